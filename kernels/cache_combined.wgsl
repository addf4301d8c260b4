
// The paged cache, one buffer: [pages, page, R+DR].
@group(1) @binding(0) var<storage, read> cache: array<Chunk>;

// Eight elements of the token in `slot` (page·page_size + place in it), from element 8·i on; the latent comes first.
fn cache_chunk(slot: u32, i: u32) -> Chunk {
  return cache[slot * ((R + DR) / 8u) + i];
}

// The same for kernels that read many chunks of a token: where it begins, by how much the next one of its page follows,
// a chunk of it, and part `j` of a chunk, counted from the latent or from the rope key: two elements of 16 bits, or
// four of f32.
const TOKEN = (R + DR) / 8u;
fn token_place(slot: u32) -> u32 { return slot * TOKEN; }
fn chunk_at(place: u32, i: u32) -> Chunk { return cache[place + i]; }
fn word_at(place: u32, i: u32, j: u32) -> Word { return cache[place + i][j]; }
fn rope_word_at(place: u32, i: u32, j: u32) -> Word { return cache[place + R / 8u + i][j]; }
