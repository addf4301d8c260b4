// Cache of f32: eight elements in 32 bytes.
struct Chunk { a: vec4<u32>, b: vec4<u32> }

fn low(c: Chunk) -> vec4<f32> { return bitcast<vec4<f32>>(c.a); }
fn high(c: Chunk) -> vec4<f32> { return bitcast<vec4<f32>>(c.b); }

// 0 in place of ∞ and NaN.
fn finite(c: Chunk) -> Chunk {
  const EXPONENT = vec4(0x7f800000u);
  return Chunk(select(c.a, vec4(0u), (c.a & EXPONENT) == EXPONENT), select(c.b, vec4(0u), (c.b & EXPONENT) == EXPONENT));
}
