// Parts of chunks of a cache of 16-bit elements: a pair of elements is a word.
alias Pair = u32;
const SECTOR = 2u; // chunks in 32 bytes

// Elements 2w and 2w+1 of the rope key of the token at `place`.
fn rope_pair(place: u32, w: u32) -> Pair { return rope_word_at(place, w / 4u, w % 4u); }

fn wide_pair(p: Pair) -> vec2<f32> { return low(vec4(p, 0u, 0u, 0u)).xy; }

// A word of the 32 bytes number `sector` of the token at `place`.
fn touch(place: u32, sector: u32) -> u32 { return word_at(place, SECTOR * sector, 0u); }
