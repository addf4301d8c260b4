// The paged cache that is written, two buffers: latents [pages, page, R] and rope keys [pages, page, DR].
@group(1) @binding(0) var<storage, read_write> ckv_cache: array<vec4<u32>>;
@group(1) @binding(1) var<storage, read_write> kpe_cache: array<vec4<u32>>;

// Pieces of 16 bytes of the token in `slot` (page·page_size + place in it).
fn store_latent(slot: u32, piece: u32, value: vec4<u32>) { ckv_cache[slot * LATENT + piece] = value; }
fn store_rope(slot: u32, piece: u32, value: vec4<u32>) { kpe_cache[slot * ROPE + piece] = value; }
