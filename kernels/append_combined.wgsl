// The paged cache that is written, one buffer: [pages, page, R+DR].
@group(1) @binding(0) var<storage, read_write> cache: array<vec4<u32>>;

// Pieces of 16 bytes of the token in `slot` (page·page_size + place in it); the latent comes first.
fn store_latent(slot: u32, piece: u32, value: vec4<u32>) { cache[slot * (LATENT + ROPE) + piece] = value; }
fn store_rope(slot: u32, piece: u32, value: vec4<u32>) { cache[slot * (LATENT + ROPE) + LATENT + piece] = value; }
