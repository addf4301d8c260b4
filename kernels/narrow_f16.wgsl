// f32 bits → f16 bits, to nearest, ties to even; overflow gives ∞, a NaN keeps its sign and stays one, subnormals are
// kept.
// In integers: the rounding of pack2x16float is left open by WGSL.
const HALF = 1u;

fn narrow(x: vec4<u32>) -> vec4<u32> {
  let sign = (x >> vec4(16u)) & vec4(0x8000u);
  let magnitude = x & vec4(0x7fffffffu);

  // Normal results: rebias the exponent from 127 to 15 and drop 13 bits. A carry runs into the exponent, as it should.
  let odd = (magnitude >> vec4(13u)) & vec4(1u);
  let normal = (magnitude - 0x38000000u + 0xfffu + odd) >> vec4(13u);
  // From 2^-14 to below 2^16 that is all, and nearly every value lies there: the rest costs more than the copy.
  if (all(magnitude - 0x38800000u < vec4(0x0f000000u))) { return sign | normal; }

  // Subnormal results, in units of 2^-24: shift the significand right by 126 − exponent, 14 to 24 bits; smaller ones
  // vanish.
  let significand = (magnitude & vec4(0x7fffffu)) | vec4(0x800000u);
  let shift = clamp(126u - min(magnitude >> vec4(23u), vec4(112u)), vec4(14u), vec4(25u));
  let half = (vec4(1u) << (shift - 1u)) - 1u;
  let subnormal = (significand + half + ((significand >> shift) & vec4(1u))) >> shift;

  // From 2^16 on even the exponent is too large; the subtraction above would wrap below 2^-15.
  let finite = select(select(normal, subnormal, magnitude < vec4(0x38800000u)), vec4(0x7c00u), magnitude >= vec4(0x47800000u));
  let nan = vec4(0x7e00u) | ((magnitude >> vec4(13u)) & vec4(0x3ffu));
  return sign | select(finite, nan, magnitude > vec4(0x7f800000u));
}
