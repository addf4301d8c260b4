
// The paged cache, two buffers: latents [pages, page, R] and rope keys [pages, page, DR].
@group(1) @binding(0) var<storage, read> ckv_cache: array<Chunk>;
@group(1) @binding(1) var<storage, read> kpe_cache: array<Chunk>;

// Eight elements of the token in `slot` (page·page_size + place in it), from element 8·i on; the latent comes first.
fn cache_chunk(slot: u32, i: u32) -> Chunk {
  if (i < R / 8u) { return ckv_cache[slot * (R / 8u) + i]; }
  return kpe_cache[slot * (DR / 8u) + i - R / 8u];
}

// Part `j` of that chunk: two elements of 16 bits, or four of f32.
fn cache_word(slot: u32, i: u32, j: u32) -> Word {
  if (i < R / 8u) { return ckv_cache[slot * (R / 8u) + i][j]; }
  return kpe_cache[slot * (DR / 8u) + i - R / 8u][j];
}
