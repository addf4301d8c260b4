
// The paged cache, two buffers: latents [pages, page, R] and rope keys [pages, page, DR].
@group(1) @binding(0) var<storage, read> ckv_cache: array<Chunk>;
@group(1) @binding(1) var<storage, read> kpe_cache: array<Chunk>;

// Eight elements of the token in `slot` (page·page_size + place in it), from element 8·i on; the latent comes first.
fn cache_chunk(slot: u32, i: u32) -> Chunk {
  if (i < R / 8u) { return ckv_cache[slot * (R / 8u) + i]; }
  return kpe_cache[slot * (DR / 8u) + i - R / 8u];
}

// The same for kernels that read many chunks of a token: where it begins, by how much the next one of its page follows,
// a chunk of its latent, and part `j` of a chunk, counted from the latent or from the rope key: two elements of 16
// bits, or four of f32.
const TOKEN = 1u;
fn token_place(slot: u32) -> u32 { return slot; }
fn chunk_at(place: u32, i: u32) -> Chunk { return ckv_cache[place * (R / 8u) + i]; }
fn word_at(place: u32, i: u32, j: u32) -> Word {
  if (i < R / 8u) { return ckv_cache[place * (R / 8u) + i][j]; }
  return kpe_cache[place * (DR / 8u) + i - R / 8u][j];
}
fn rope_word_at(place: u32, i: u32, j: u32) -> Word { return kpe_cache[place * (DR / 8u) + i][j]; }
