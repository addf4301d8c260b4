// An f32 cache holds the bits as they come.
const HALF = 0u;

fn narrow(x: vec4<u32>) -> vec4<u32> { return x; }
