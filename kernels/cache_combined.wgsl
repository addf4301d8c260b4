
// The paged cache, one buffer: [pages, page, R+DR].
@group(1) @binding(0) var<storage, read> cache: array<Chunk>;

// Eight elements of the token in `slot` (page·page_size + place in it), from element 8·i on; the latent comes first.
fn cache_chunk(slot: u32, i: u32) -> Chunk {
  return cache[slot * ((R + DR) / 8u) + i];
}

// Part `j` of that chunk: two elements of 16 bits, or four of f32.
fn cache_word(slot: u32, i: u32, j: u32) -> Word {
  return cache[slot * ((R + DR) / 8u) + i][j];
}
