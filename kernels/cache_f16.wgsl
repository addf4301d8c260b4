// Cache of f16: eight elements in 16 bytes, decoded from words, so that no device needs `shader-f16`.
alias Chunk = vec4<u32>;

fn low(c: Chunk) -> vec4<f32> { return vec4(unpack2x16float(c.x), unpack2x16float(c.y)); }
fn high(c: Chunk) -> vec4<f32> { return vec4(unpack2x16float(c.z), unpack2x16float(c.w)); }
