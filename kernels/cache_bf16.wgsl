// Cache of bf16: eight elements in 16 bytes. A bf16 is the upper half of an f32.
alias Word = u32;
alias Chunk = vec4<Word>;

fn widen(xy: u32, zw: u32) -> vec4<f32> {
  return bitcast<vec4<f32>>(vec4(xy << 16u, xy & 0xffff0000u, zw << 16u, zw & 0xffff0000u));
}
fn low(c: Chunk) -> vec4<f32> { return widen(c.x, c.y); }
fn high(c: Chunk) -> vec4<f32> { return widen(c.z, c.w); }

// 0 in place of ∞ and NaN.
fn finite(c: Chunk) -> Chunk {
  let even = select(c & vec4(0xffffu), vec4(0u), (c & vec4(0x7f80u)) == vec4(0x7f80u));
  let odd = select(c & vec4(0xffff0000u), vec4(0u), (c & vec4(0x7f800000u)) == vec4(0x7f800000u));
  return even | odd;
}
