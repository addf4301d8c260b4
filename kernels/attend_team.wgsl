// What the kernels have in common in which a team of LANES lanes shares rows: bindings, where tokens are, reading them,
// and storing.
// Appended constants: R, DR; LANES of a team, WHOLE where a team is a subgroup; ROWS of a team, TILE tokens, their
// VALUES; THREADS; LOG_LANES, LOG_ROWS and LOG_VALUES; SLICE chunks and PAIRS pairs of a lane, for which there is
// PAIR_ROOM, at least 1; ALIGNED where no tile crosses a page; ALONE where a workgroup is one team; AHEAD where the next
// tile is read while this one is computed; SWEEPS reads of each lane that touch a tile, for which there is room for
// TOUCHES, at least 1; REACH tokens that are touched ahead, whole tiles up to LANES, CHAINED where a touch
// depends on the one before.

// The order of rows and tokens. A lane of a team ends with the score of one row and one token of each tile: its lowest
// bits are the row, its highest LOG_OWN bits the upper bits of the token, those above the row its lower ones (SELECTED
// tokens), and LOG_SPARE bits between are left. LANE_OF has the lane, without those, of each value row·TILE + token; it
// is linear over exclusive or. Rows, and tokens by their upper bits, are in an order of each lane's own: in place r a
// lane has row r ^ own_row, in place i token i ^ own_token. So a lane keeps the first half of what it has and gives the
// second, where it else selects what it keeps; and what the lane with row r and token i has is in the lane at
// LANE_OF[r·TILE + i] from it. Outputs are stored in the order of the block: where bit b of own_row is set, places change
// with those whose number differs by bit b.

struct Params {
  H: u32,
  page: u32,
  pages: u32,
  width: u32,
  first: u32,
  count: u32,
  scale: f32,
  lse_factor: f32,
}

@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> work: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> q_latent: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> q_pe: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read> page_table: array<i32>;
@group(0) @binding(5) var<storage, read_write> out: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> lse: array<f32>;

const LATENT = R / 8u; // chunks of the latent; those of the rope key follow
const SECTORS = (R + DR) / 8u / SECTOR; // of 32 bytes that a token takes
const MASKED = -1e30; // finite: ∞ is no constant in WGSL, and ∞ − ∞ would be NaN
const DIRECT = 0xffffffffu; // slot of an item that writes the result
const ANYWHERE = 0xffffffffu; // past every place in a cache

const_assert LANES == 1u << LOG_LANES;
const_assert VALUES == ROWS * TILE && VALUES == 1u << LOG_VALUES;
const_assert ROWS == 1u << LOG_ROWS;
const_assert LOG_VALUES >= 1u && LOG_VALUES + LOG_SPARE == LOG_LANES;
const_assert TILE == SELECTED << LOG_OWN;
const_assert LANES % TILE == 0u;
const_assert SLICE * LANES >= LATENT;
const_assert PAIRS * LANES >= DR / 2u;

// Whether lane `l` has a `c`-th chunk of the latent, and a `c`-th pair of the rope key. What it has not is 0 in its
// queries; of keys it reads the last one in its place, for what lies behind it may be NaN.
fn has_chunk(c: u32, l: u32) -> bool { return c * LANES + l < LATENT; }
fn has_pair(c: u32, l: u32) -> bool { return c * LANES + l < DR / 2u; }

fn chunk_of(c: u32, l: u32) -> u32 {
  if (SLICE * LANES == LATENT) { return c * LANES + l; }
  return min(c * LANES + l, LATENT - 1u);
}

fn pair_of(c: u32, l: u32) -> u32 {
  if (PAIRS * LANES == DR / 2u) { return c * LANES + l; }
  return min(c * LANES + l, DR / 2u - 1u);
}

// Token after the last one that row `row` of the batch sees of those before `end`: `offset` is its sequence's, negative
// or not.
fn limit_of(row: u32, offset: u32, end: u32) -> u32 {
  return min(end, u32(max(i32(row / P.H) + bitcast<i32>(offset), 0)));
}

// Where in the cache token `token` is. One past the last that the team sees is that last one again: its weight is 0,
// and what it is multiplied by was seen. A team that sees none reads for the others of its subgroup, from the page of
// the first entry, and discards it. No page outside the cache is touched. Without a branch, in which one would wait for
// the table, several are asked for at a time.
fn place_of(sequence: u32, token: u32, limit: u32) -> u32 {
  let t = min(token, max(limit, 1u) - 1u);
  let page_id = min(u32(page_table[sequence * P.width + t / P.page]), P.pages - 1u);
  return token_place(page_id * P.page + t % P.page);
}

// 0, which no compiler knows: no launch has a count of 0.
fn hidden_zero() -> u32 { return min(P.count, 1u) - 1u; }

// The teams of a workgroup touch tokens `first` to `first + TILE` of a block together, whose places are `places`: one
// word of each 32 bytes is read, so that the caches have them REACH tokens later. A register holds 4 bytes of what
// comes, where reading ahead would hold all of it. A word is waited for when the next one is asked for, a tile later,
// and not before, else compilers use it, or copy it, at the end of its own tile: where CHAINED `before`, times zero, is
// part of where that one is; else it is gathered then.
alias Touched = array<u32, TOUCHES>;

fn touch_tile(places: u32, first: u32, team: u32, l: u32, first_lane: u32, before: Touched) -> Touched {
  var words = Touched();
  for (var i = 0u; i < SWEEPS; i++) { // unroll
    let chain = before[i] & hidden_zero();
    let sector = min(i * THREADS + team * LANES + l, TILE * SECTORS - 1u) + chain; // of the tile
    words[i] = touch(subgroupShuffle(places, first_lane + first + sector / SECTORS), sector % SECTORS);
  }
  return words;
}

fn merged(some: Touched, others: Touched) -> Touched {
  var words = Touched();
  for (var i = 0u; i < SWEEPS; i++) { // unroll
    words[i] = some[i] ^ others[i];
  }
  return words;
}

// A use of the last words, for what nothing uses is not read.
fn keep(words: Touched) {
  for (var i = 0u; i < SWEEPS; i++) { // unroll
    if ((words[i] & hidden_zero()) != 0u) { lse[0] = MASKED; }
  }
}

fn dot4(sum: f32, a: vec4<f32>, b: vec4<f32>) -> f32 {
  return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum))));
}

fn dot2(sum: f32, a: vec2<f32>, b: vec2<f32>) -> f32 {
  return fma(a.y, b.y, fma(a.x, b.x, sum));
}

// Row `r` of the block, where it has one, in the buffer of the results or of the partial ones.
fn store_row(r: u32, rows: u32, target_row: u32, chunk: u32, a: vec4<f32>, b: vec4<f32>) {
  if (r < rows) {
    let at = (target_row + r) * (R / 4u) + 2u * chunk;
    out[at] = a;
    out[at + 1u] = b;
  }
}
