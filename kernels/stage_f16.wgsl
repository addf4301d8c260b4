// What is staged as f16, of a cache of f16: a chunk as it is.
fn staged(c: vec4<u32>) -> vec4<u32> { return c; }
