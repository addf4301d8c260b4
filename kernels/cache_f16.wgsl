// Cache of f16: eight elements in 16 bytes, decoded from words, so that no device needs `shader-f16`.
alias Word = u32;
alias Chunk = vec4<Word>;

fn low(c: Chunk) -> vec4<f32> { return vec4(unpack2x16float(c.x), unpack2x16float(c.y)); }
fn high(c: Chunk) -> vec4<f32> { return vec4(unpack2x16float(c.z), unpack2x16float(c.w)); }

// 0 in place of ∞ and NaN.
fn finite(c: Chunk) -> Chunk {
  let even = select(c & vec4(0xffffu), vec4(0u), (c & vec4(0x7c00u)) == vec4(0x7c00u));
  let odd = select(c & vec4(0xffff0000u), vec4(0u), (c & vec4(0x7c000000u)) == vec4(0x7c000000u));
  return even | odd;
}
