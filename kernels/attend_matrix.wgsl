// What the kernels of matrices have in common: queries and tiles of tokens in workgroup memory, the softmax of a tile,
// and sums on their way out of the registers. Needs attend_item.wgsl, the Chunk of f16, one of stage_*.wgsl, subgroups
// of LANES lanes and their matrices. Appended: R, DR, ROWS, T, LANES, SUBGROUPS, THREADS, BUFFERS for tiles; SIDE of a
// matrix; ROW_TILES and TOKEN_TILES of that; PARTS of d, STEPS matrices of one; COLUMNS; LANES_OF_ROW, TOKENS_OF_LANE;
// LANES_OF_TOKEN, FETCHES of each; OWN_QUERIES of a subgroup, QUERY_CHUNKS of a lane for one; TILE_STRIDE, chunks of
// all steps and columns and one; PAD of a row of scores; PARTIALS, room for scores and for a matrix of each subgroup;
// PAGE, tokens of a page.
// Nothing is shuffled: with that NVIDIA's compiler keeps account, in every loop, of which lanes are together. What is
// the same for all lanes and decides a branch around products is told to be, for the same reason.

// Matrices of SIDE × SIDE that a subgroup holds together: factors in f16, products added up in f32. Offsets and strides
// count elements of the array that is read. They stand in `main`, and numbers in them are of a known range: Tint clamps
// what it cannot see to be inside of the array, and then NVIDIA's compiler reads a matrix half by half.
alias Left = subgroup_matrix_left<f16, SIDE, SIDE>;
alias Right = subgroup_matrix_right<f16, SIDE, SIDE>;
alias Sums = subgroup_matrix_result<f32, SIDE, SIDE>;

// Rows of workgroup arrays are padded, those of scores where there is room, so that those of a matrix lie in different
// banks; what is past d in a tile stays zero.
const PARTIAL_STRIDE = T / 2u + PAD; // pairs
const WEIGHTS_STRIDE = T / 4u + 2u; // pairs of words
const STAGED = BUFFERS * T; // rows of queries for which there is room where tiles will be
const MATRIX_CHUNKS = SIDE / 8u; // chunks of a row of a matrix of f16
const MATRIX_PAIRS = SIDE / 2u; // pairs of a row of one of f32
const MATRIX_QUADS = SIDE / 4u; // vec4 of a row of one of f32, pairs of words of one of f16
const WIDTH = MATRIX_QUADS * COLUMNS * SUBGROUPS; // vec4 of a row of `sums`
const SLACK = 14.0; // in powers of two
const MOST = 15.0; // of a weight, which fits f16 then, however what SLACK is compared with was rounded
const LOG2_E = 1.44269504;
const LN_2 = 0.69314718;

const_assert PARTS >= 1u && PARTS * ROW_TILES * TOKEN_TILES == SUBGROUPS;
const_assert PARTIALS >= PARTS * ROWS * PARTIAL_STRIDE && PARTIALS >= SUBGROUPS * SIDE * MATRIX_PAIRS;
const_assert PARTIALS >= THREADS;
const_assert TOKENS_OF_LANE % 2u == 0u;

// Sums of items on their way to `out`.
@group(0) @binding(7) var<storage, read_write> sums: array<vec4<f32>>;

var<workgroup> tile: array<array<vec4<u32>, T * TILE_STRIDE>, BUFFERS>;
var<workgroup> partial: array<vec2<f32>, PARTIALS>; // scores; sums on their way out
var<workgroup> weights: array<vec2<u32>, ROWS * WEIGHTS_STRIDE>; // and behind each row its factor
var<workgroup> largest: array<atomic<u32>, ROWS>; // element of a query; a score that a reference has to follow, or 0
var<workgroup> moved: array<u32, ROW_TILES>; // tile, counted from 1, in which a reference of SIDE rows moved last
var<workgroup> moved_any: u32; // the same of all rows
var<workgroup> held: array<u32, ROW_TILES>; // whether `out` holds some of their sums already

// By what a row of queries was multiplied; then, by what its sums are when they are added to `out`.
fn factor_of(r: u32) -> f32 { return bitcast<f32>(weights[r * WEIGHTS_STRIDE + T / 4u].x); }
fn set_factor(r: u32, f: f32) { weights[r * WEIGHTS_STRIDE + T / 4u].x = bitcast<u32>(f); }

// The token of a tile that a thread fetches.
fn own_token(t: u32) -> u32 { return t / LANES_OF_TOKEN; }

// Page of a token; past the last one that of the last.
fn page_of(sequence: u32, token: u32, end: u32) -> u32 {
  return u32(page_table[sequence * P.width + min(token, end - 1u) / PAGE]);
}

// Where in the cache it is, in tokens. No page outside the cache is touched.
fn slot_in(page_id: u32, token: u32, end: u32) -> u32 {
  return min(page_id, P.pages - 1u) * PAGE + min(token, end - 1u) % PAGE;
}

// Some row weighs a token that it does not see with 0, and 0·NaN and 0·∞ are NaN: both become 0. Rows that see it have
// it in their score.
fn clear_hidden(buffer: u32, t: u32) {
  for (var i = t % LANES_OF_TOKEN; i < CHUNKS; i += LANES_OF_TOKEN) {
    let at = own_token(t) * TILE_STRIDE + i;
    tile[buffer][at] = finite(tile[buffer][at]);
  }
}

// Four elements of the query of a row, from element 4·i on.
fn query_at(row: u32, i: u32) -> vec4<f32> {
  if (i < R / 4u) { return q_latent[row * (R / 4u) + i]; }
  return q_pe[row * (DR / 4u) + i - R / 4u];
}

fn size_of(x: vec4<f32>) -> u32 {
  let bits = bitcast<vec4<u32>>(abs(x));
  return max(max(bits.x, bits.y), max(bits.z, bits.w));
}

// Queries from row `first` of the block on, as f16, where tiles will be: as many as fit, each read by a subgroup. They
// are multiplied by a power of two, the row's factor, after which the largest element is in [1/2, 1), or nearly.
fn stage_queries(block: u32, rows: u32, first: u32, subgroup: u32, lane: u32) {
  var q: array<vec4<f32>, 2u * OWN_QUERIES * QUERY_CHUNKS>; // unroll
  for (var j = 0u; j < OWN_QUERIES; j++) { // unroll
    let row = first + j * SUBGROUPS + subgroup;
    var size = 0u;
    for (var i = 0u; i < QUERY_CHUNKS; i++) { // unroll
      if (row < rows && lane + i * LANES < CHUNKS) {
        q[2u * (j * QUERY_CHUNKS + i)] = query_at(block + row, 2u * (lane + i * LANES));
        q[2u * (j * QUERY_CHUNKS + i) + 1u] = query_at(block + row, 2u * (lane + i * LANES) + 1u);
      }
      let of_chunk = max(size_of(q[2u * (j * QUERY_CHUNKS + i)]), size_of(q[2u * (j * QUERY_CHUNKS + i) + 1u]));
      size = max(size, of_chunk);
    }
    atomicMax(&largest[row], size);
  }
  workgroupBarrier();
  for (var j = 0u; j < OWN_QUERIES; j++) { // unroll
    let own = j * SUBGROUPS + subgroup;
    let exponent = i32(atomicLoad(&largest[first + own]) >> 23u); // biased
    let f = bitcast<f32>(u32(clamp(253 - exponent, 1, 254)) << 23u);
    if (lane == 0u) { set_factor(first + own, f); }
    for (var i = 0u; i < QUERY_CHUNKS; i++) { // unroll
      if (lane + i * LANES < CHUNKS) {
        let a = f * q[2u * (j * QUERY_CHUNKS + i)];
        let b = f * q[2u * (j * QUERY_CHUNKS + i) + 1u];
        let chunk = vec4(pack2x16float(a.xy), pack2x16float(a.zw), pack2x16float(b.xy), pack2x16float(b.zw));
        tile[own / T][own % T * TILE_STRIDE + lane + i * LANES] = chunk;
      }
    }
  }
}

// A row on its way through the tokens of an item.
struct Row {
  index: u32, // in the block
  token: u32, // the first of a tile that this thread has
  limit: u32, // token after the last one that it sees
  unscale: f32, // by which its products are multiplied: 1 / factor
  reference: f32, // score to which weights are relative: it follows the largest one when that has grown by SLACK
  sums: vec2<f32>, // of this thread's weights: as they are, and as they are multiplied
}

// What a thread finds in a tile.
struct Weighed {
  sums: vec2<f32>,
  largest: f32,
}

// Weights of this thread's tokens of the tile from token `first` on, whose scores are in `partial`.
fn weigh(row: Row, first: u32) -> Weighed {
  let seen = first + row.token;
  var found = Weighed(vec2(0.0), MASKED);
  for (var i = 0u; i < TOKENS_OF_LANE / 2u; i++) { // unroll
    var score = vec2(0.0);
    for (var j = 0u; j < PARTS; j++) { // unroll
      score += partial[(j * ROWS + row.index) * PARTIAL_STRIDE + row.token / 2u + i];
    }
    score = score * row.unscale * (P.scale * LOG2_E); // one after the other: their product may be no f32
    let is_seen = vec2(seen + 2u * i, seen + 2u * i + 1u) < vec2(row.limit);
    found.largest = max(found.largest, max(select(MASKED, score.x, is_seen.x), select(MASKED, score.y, is_seen.y)));
    let above = score - row.reference;
    let pair = select(vec2(0.0), exp2(select(above, vec2(MOST), above > vec2(MOST))), is_seen); // NaN stays NaN
    let halves = pack2x16float(pair);
    let rounded = unpack2x16float(halves);
    found.sums += vec2(pair.x + pair.y, rounded.x + rounded.y);
    let at = row.token / 2u + i;
    weights[row.index * WEIGHTS_STRIDE + at / 2u][at % 2u] = halves;
  }
  return found;
}

// Numbers of scores in their order, none of them 0.
fn order_of(x: f32) -> u32 {
  let bits = bitcast<u32>(x);
  return bits ^ select(0x80000000u, 0xffffffffu, bits >= 0x80000000u);
}
fn score_at(order: u32) -> f32 { return bitcast<f32>(order ^ select(0xffffffffu, 0x80000000u, order >= 0x80000000u)); }

// Asks all threads of a row to let its reference follow a score. NaN is no number that it can: it goes on through the
// weights. The difference is compared: of large scores a sum with SLACK is rounded away.
fn ask_to_follow(row: Row, found: Weighed, number: u32) {
  if (found.largest - row.reference > SLACK) {
    atomicMax(&largest[row.index], order_of(found.largest));
    moved_any = number;
  }
}

// The same row after its reference has followed. A barrier is in it, and another one must follow before what it writes
// is read. The tile is weighed anew then.
fn follow(before: Row, number: u32) -> Row {
  var row = before;
  let order = atomicLoad(&largest[row.index]);
  let follows = order != 0u;
  row.reference = select(row.reference, score_at(order), follows);
  let change = select(1.0, exp2(before.reference - row.reference), follows);
  row.sums *= change;
  workgroupBarrier();
  if (row.token == 0u) {
    atomicStore(&largest[row.index], 0u);
    set_factor(row.index, change);
    if (follows && number > 1u) { moved[row.index / SIDE] = number; }
  }
  return row;
}

// Adds the sums of SIDE rows from row SIDE·r on, which are in `sums` from `source` on, to what `out` holds of them, and
// multiplies by the factors of the rows.
fn add_to_out(r: u32, source: u32, rows: u32, target_row: u32, t: u32) {
  let holds = held[r] != 0u;
  for (var i = t; i < min(SIDE, max(rows, SIDE * r) - SIDE * r) * (R / 4u); i += THREADS) { // vec4
    let row = SIDE * r + i / (R / 4u);
    let column = i % (R / 4u);
    let place = (target_row + row) * (R / 4u) + column;
    var sum = sums[source + row * WIDTH + column];
    if (holds) { sum += out[place]; }
    out[place] = sum * factor_of(row);
  }
}

// The same for a matrix that is in `partial` from `at` on, by its subgroup.
fn store_out(r: u32, matrix: u32, at: u32, rows: u32, target_row: u32, lane: u32) {
  let holds = held[r] != 0u;
  for (var i = lane; i < SIDE * MATRIX_QUADS; i += LANES) { // vec4
    let row = SIDE * r + i / MATRIX_QUADS;
    let column = MATRIX_QUADS * matrix + i % MATRIX_QUADS;
    if (row < rows && column < R / 4u) {
      let place = (target_row + row) * (R / 4u) + column;
      var sum = vec4(partial[at + 2u * i], partial[at + 2u * i + 1u]);
      if (holds) { sum += out[place]; }
      out[place] = sum * factor_of(row);
    }
  }
}

// What becomes of an item without tokens.
fn leave_empty(t: u32, rows: u32, target_row: u32) {
  for (var i = t; i < rows * (R / 4u); i += THREADS) { out[target_row * (R / 4u) + i] = vec4<f32>(); }
  if (t < rows) { lse[target_row + t] = MASKED; }
}

// The log-sum-exp of a row, which is of weights as they are, and its factor for the sums of all tokens. Those are divided
// by the weights that were multiplied: a weight that outweighs all others need not be 1, and its rounding cancels.
fn finish(row: Row, t: u32, rows: u32, target_row: u32, begin: u32) {
  partial[t] = row.sums;
  workgroupBarrier();
  if (row.token == 0u) {
    var sum = vec2(0.0);
    for (var i = 0u; i < LANES_OF_ROW; i++) { sum += partial[t + i]; }
    // Only a row that sees no token of the span is empty: a sum that is NaN must stay one.
    let is_seen = begin < row.limit;
    set_factor(row.index, select(0.0, 1.0 / sum.y, is_seen));
    if (row.index < rows) {
      lse[target_row + row.index] = select(MASKED, (row.reference + log2(sum.x)) * (LN_2 * P.lse_factor), is_seen);
    }
  }
  workgroupBarrier();
}
