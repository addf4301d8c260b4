// Cache of f32: eight elements in 32 bytes.
struct Chunk { a: vec4<u32>, b: vec4<u32> }

fn low(c: Chunk) -> vec4<f32> { return bitcast<vec4<f32>>(c.a); }
fn high(c: Chunk) -> vec4<f32> { return bitcast<vec4<f32>>(c.b); }
