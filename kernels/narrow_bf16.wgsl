// f32 bits → bf16 bits, to nearest, ties to even; a NaN keeps its sign and stays one. In integers: WGSL leaves rounding
// open.
const HALF = 1u;

fn narrow(x: vec4<u32>) -> vec4<u32> {
  let rounded = (x + 0x7fffu + ((x >> vec4(16u)) & vec4(1u))) >> vec4(16u);
  let nan = (x >> vec4(16u)) | vec4(0x40u);
  return select(rounded, nan, (x & vec4(0x7fffffffu)) > vec4(0x7f800000u));
}
