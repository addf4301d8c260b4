// What is staged as f16, of a cache of bf16: a chunk of values that f16 has room for. Exact from 2⁻¹⁷ on; what is below
// 2⁻²⁵ is lost. A bf16 is the upper half of an f32.
fn staged(c: vec4<u32>) -> vec4<u32> {
  let even = bitcast<vec4<f32>>(c << vec4(16u));
  let odd = bitcast<vec4<f32>>(c & vec4(0xffff0000u));
  return vec4(
    pack2x16float(vec2(even.x, odd.x)),
    pack2x16float(vec2(even.y, odd.y)),
    pack2x16float(vec2(even.z, odd.z)),
    pack2x16float(vec2(even.w, odd.w)),
  );
}
