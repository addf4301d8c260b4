// Cache of f32: eight elements in 32 bytes.
alias Word = vec4<u32>;
alias Chunk = array<Word, 2>;

fn low(c: Chunk) -> vec4<f32> { return bitcast<vec4<f32>>(c[0]); }
fn high(c: Chunk) -> vec4<f32> { return bitcast<vec4<f32>>(c[1]); }

// 0 in place of ∞ and NaN.
fn finite(c: Chunk) -> Chunk {
  const EXPONENT = vec4(0x7f800000u);
  return Chunk(
    select(c[0], vec4(0u), (c[0] & EXPONENT) == EXPONENT),
    select(c[1], vec4(0u), (c[1] & EXPONENT) == EXPONENT),
  );
}
