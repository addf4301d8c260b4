// Parts of chunks of a cache of f32: a pair of elements is half of what `rope_word_at` gives.
alias Pair = vec2<u32>;
const SECTOR = 1u; // chunks in 32 bytes

// Elements 2w and 2w+1 of the rope key of the token at `place`.
fn rope_pair(place: u32, w: u32) -> Pair {
  let four = rope_word_at(place, w / 4u, w / 2u % 2u);
  return select(four.xy, four.zw, w % 2u == 1u);
}

fn wide_pair(p: Pair) -> vec2<f32> { return bitcast<vec2<f32>>(p); }

// A word of the 32 bytes number `sector` of the token at `place`.
fn touch(place: u32, sector: u32) -> u32 { return word_at(place, sector, 0u).x; }
