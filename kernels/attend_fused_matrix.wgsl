enable f16; // As attend_fused, with both products in subgroup matrices: factors in f16, sums in f32.
// Shapes: those of attend_fused; a cache of f16, or of bf16 whose values fit f16.
// Mapping: workgroup ↔ item (work_list.ts): up to ROWS rows of one sequence, its tokens in tiles of T. Scores: subgroup
// ↔ 16 rows × 16 tokens × a part of d; their sum over parts and the softmax: LANES_OF_ROW threads ↔ row; product:
// subgroup ↔ all rows × COLUMNS·16 elements of the output, which stay in registers.
// A row's weights are relative to a score that follows its maximum when that has grown by SLACK. Sums in registers
// cannot be multiplied by row: then all of them are added to `out`, what is there is scaled, and they begin anew.
// Needs: `subgroups` of LANES lanes, 16-bit cache words and the matrices of one of matrix_*.wgsl. Appended: R, DR, ROWS,
// T, LANES, SUBGROUPS, THREADS; ROW_TILES and TOKEN_TILES of 16; PARTS of d, STEPS matrices of one; COLUMNS;
// LANES_OF_ROW, TOKENS_OF_LANE; FETCHES of a thread for a tile; PAD of a row of scores; PARTIALS, room for scores and for
// a matrix of each subgroup; attend_item.wgsl, the Chunk of f16 and cache_chunk(), one of stage_*.wgsl.

// Rows of workgroup arrays are padded, so that 16 of them lie in different banks.
const TILE_STRIDE = CHUNKS + 1u; // chunks
const PARTIAL_STRIDE = T + PAD; // f32
const WEIGHTS_STRIDE = T / 8u + 1u; // chunks
const SLACK = 5.5; // weights stay below 256

const_assert PARTS >= 1u && PARTS * ROW_TILES * TOKEN_TILES == SUBGROUPS;
const_assert PARTIALS >= PARTS * ROWS * PARTIAL_STRIDE && PARTIALS >= SUBGROUPS * 256u;
const_assert ROWS <= T; // queries are staged where tiles will be
const_assert LANES_OF_ROW <= LANES && TOKENS_OF_LANE % 2u == 0u;

var<workgroup> tile: array<vec4<u32>, T * TILE_STRIDE>;
var<workgroup> slots: array<u32, T>; // where in the cache the tile's tokens are
var<workgroup> partial: array<f32, PARTIALS>; // scores; sums on their way out
var<workgroup> weights: array<vec4<u32>, ROWS * WEIGHTS_STRIDE>;
var<workgroup> factor: array<f32, ROWS>; // by which a row of the sums is multiplied when they are added to `out`
var<workgroup> sizes: array<atomic<u32>, ROWS>; // bits of the largest element of a query
var<workgroup> moved: u32; // tile, counted from 1, in which some row's reference moved

// Chunk `i` of the tile. Zero past the last token: its weight is zero, and the cache may hold NaN there.
fn fetch(i: u32) -> vec4<u32> {
  if (i < T * CHUNKS) {
    let slot = slots[i / CHUNKS];
    if (slot != NOWHERE) { return cache_chunk(slot, i % CHUNKS); }
  }
  return vec4(0u);
}

fn place_in_tile(i: u32) -> u32 { return i / CHUNKS * TILE_STRIDE + i % CHUNKS; }

// Four elements of the query of a row, from element 4·i on.
fn query_at(row: u32, i: u32) -> vec4<f32> {
  if (i < R / 4u) { return q_latent[row * (R / 4u) + i]; }
  return q_pe[row * (DR / 4u) + i - R / 4u];
}

// Power of two by which the query of a row is multiplied before it is rounded to f16: its largest element is in
// [1/2, 1) then.
fn query_factor(r: u32) -> f32 {
  let exponent = i32(atomicLoad(&sizes[r]) >> 23u); // of its largest element, biased
  return bitcast<f32>(u32(clamp(253 - exponent, 1, 254)) << 23u);
}

// Adds the sums of a subgroup to `out`, which so far holds nothing of this item unless `holds`, and multiplies all of it
// by the row's factor. `column` is the subgroup's first matrix, `at` its part of `partial`.
struct Target {
  row: u32,
  rows: u32,
  column: u32,
  at: u32,
  lane: u32,
  holds: bool,
}

fn add_to_out(to: Target, r: u32, c: u32, sums: Sums) {
  store_sums(to.at, 16u, sums);
  workgroupBarrier();
  for (var i = to.lane; i < 64u; i += LANES) { // vec4 of the matrix
    let row = 16u * r + i / 4u;
    let column = 4u * (to.column + c) + i % 4u;
    if (row < to.rows && column < R / 4u) {
      let place = (to.row + row) * (R / 4u) + column;
      let base = to.at + 4u * i;
      var sum = vec4(partial[base], partial[base + 1u], partial[base + 2u], partial[base + 3u]);
      if (to.holds) { sum += out[place]; }
      out[place] = sum * factor[row];
    }
  }
  workgroupBarrier();
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let index = workgroup.x + workgroup.y * grid.x;
  if (index >= P.count) { return; }
  let place = work[2u * (P.first + index)];
  let span = work[2u * (P.first + index) + 1u];
  let sequence = place.x;
  let first_row = place.y;
  let rows = place.z;
  let target_row = select(place.w, first_row, place.w == DIRECT);
  let begin = span.x;
  let end = span.y;
  let t = subgroup * LANES + lane;
  set_lane(lane);

  // Scores: this subgroup's rows, tokens and part of d.
  let row_tile = subgroup % ROW_TILES;
  let token_tile = subgroup / ROW_TILES % TOKEN_TILES;
  let part = subgroup / ROW_TILES / TOKEN_TILES;

  // Softmax: thread ↔ row and TOKENS_OF_LANE tokens of a tile.
  let r = t / LANES_OF_ROW;
  let own = t % LANES_OF_ROW * TOKENS_OF_LANE;
  let limit = limit_of(first_row + min(r, rows - 1u), span.z, end);
  let visible = limit_of(first_row, span.z, end); // every row of the block sees the tokens before it
  var reference = MASKED;
  var sum = 0.0;

  // Queries, as f16, through the tile into the registers of their subgroups.
  if (t < ROWS) { atomicStore(&sizes[t], 0u); }
  if (t == 0u) { moved = 0u; }
  workgroupBarrier();
  for (var i = t; i < rows * 2u * CHUNKS; i += THREADS) {
    let size = abs(query_at(first_row + i / (2u * CHUNKS), i % (2u * CHUNKS)));
    atomicMax(&sizes[i / (2u * CHUNKS)], bitcast<u32>(max(max(size.x, size.y), max(size.z, size.w))));
  }
  workgroupBarrier();
  for (var i = t; i < ROWS * CHUNKS; i += THREADS) {
    let row = i / CHUNKS;
    var chunk = vec4(0u);
    if (row < rows) {
      let f = query_factor(row);
      let a = f * query_at(first_row + row, 2u * (i % CHUNKS));
      let b = f * query_at(first_row + row, 2u * (i % CHUNKS) + 1u);
      chunk = vec4(pack2x16float(a.xy), pack2x16float(a.zw), pack2x16float(b.xy), pack2x16float(b.zw));
    }
    tile[place_in_tile(i)] = chunk;
  }
  workgroupBarrier();
  var q: array<Left, STEPS>; // unroll
  for (var i = 0u; i < STEPS; i++) { // unroll
    q[i] = queries_at(16u * row_tile * TILE_STRIDE + 2u * min(part * STEPS + i, CHUNKS / 2u - 1u), TILE_STRIDE);
  }
  let to_score = P.scale / query_factor(min(r, ROWS - 1u));

  var o: array<Sums, ROW_TILES * COLUMNS>; // unroll
  var to = Target(target_row, rows, subgroup * COLUMNS, subgroup * 256u, lane, false);

  if (t < T) { slots[t] = slot_of(sequence, begin + t, end); }
  workgroupBarrier();
  var fetched: array<vec4<u32>, FETCHES>; // unroll
  for (var i = 0u; i < FETCHES; i++) { // unroll
    fetched[i] = fetch(t + i * THREADS);
  }
  workgroupBarrier();

  var number = 0u; // of the tile, from 1
  for (var first = begin; first < end; first += T) {
    number++;
    for (var i = 0u; i < FETCHES; i++) { // unroll
      let at = t + i * THREADS;
      if (at < T * CHUNKS) { tile[place_in_tile(at)] = staged(fetched[i]); }
    }
    if (t < T) { slots[t] = slot_of(sequence, first + T + t, end); }
    workgroupBarrier();
    // The next tile is on its way while this one is computed.
    for (var i = 0u; i < FETCHES; i++) { // unroll
      fetched[i] = fetch(t + i * THREADS);
    }

    var s = Sums();
    for (var i = 0u; i < STEPS; i++) { // unroll
      if (part * STEPS + i < CHUNKS / 2u) {
        s = add_product(q[i], keys_at(16u * token_tile * TILE_STRIDE + 2u * (part * STEPS + i), TILE_STRIDE), s);
      }
    }
    store_sums((part * ROWS + 16u * row_tile) * PARTIAL_STRIDE + 16u * token_tile, PARTIAL_STRIDE, s);
    workgroupBarrier();

    // Some row weighs a token that it does not see with 0, and 0·NaN is NaN: NaN becomes 0. Rows that see it have it in
    // their score.
    if (visible < end && first + T > visible) {
      for (var i = t; i < T * CHUNKS; i += THREADS) { tile[place_in_tile(i)] = finite(tile[place_in_tile(i)]); }
    }
    var score: array<f32, TOKENS_OF_LANE>; // unroll
    var largest = MASKED;
    for (var i = 0u; i < TOKENS_OF_LANE; i++) { // unroll
      for (var j = 0u; j < PARTS; j++) { // unroll
        score[i] += partial[(j * ROWS + r) * PARTIAL_STRIDE + own + i];
      }
      score[i] = select(MASKED, score[i] * to_score, first + own + i < limit);
      largest = max(largest, score[i]);
    }
    for (var i = 1u; i < LANES_OF_ROW; i *= 2u) { largest = max(largest, subgroupShuffleXor(largest, i)); }
    // NaN is no number that a reference can follow: it goes on through the weights.
    let moves = largest > reference + SLACK;
    let change = select(1.0, exp(reference - largest), moves);
    if (own == 0u) {
      factor[r] = change;
      if (moves && first > begin) { moved = number; }
    }
    reference = select(reference, largest, moves);
    sum *= change;
    for (var i = 0u; i < TOKENS_OF_LANE / 2u; i++) { // unroll
      let visible_0 = first + own + 2u * i < limit;
      let visible_1 = first + own + 2u * i + 1u < limit;
      let pair = vec2(
        select(0.0, exp(score[2u * i] - reference), visible_0),
        select(0.0, exp(score[2u * i + 1u] - reference), visible_1),
      );
      sum += pair.x + pair.y; // not rounded: the log-sum-exp is of all f32
      let at = own / 2u + i;
      weights[r * WEIGHTS_STRIDE + at / 4u][at % 4u] = pack2x16float(pair);
    }
    if (workgroupUniformLoad(&moved) == number) {
      for (var i = 0u; i < ROW_TILES; i++) { // unroll
        for (var c = 0u; c < COLUMNS; c++) { // unroll
          add_to_out(to, i, c, o[i * COLUMNS + c]);
          o[i * COLUMNS + c] = Sums();
        }
      }
      to.holds = true;
    }

    for (var k = 0u; k < TOKEN_TILES; k++) { // unroll
      for (var c = 0u; c < COLUMNS; c++) { // unroll
        let v = values_at(16u * k * TILE_STRIDE + 2u * min(to.column + c, R / 16u - 1u), TILE_STRIDE);
        for (var i = 0u; i < ROW_TILES; i++) { // unroll
          o[i * COLUMNS + c] = add_product(weights_at(16u * i * WEIGHTS_STRIDE + 2u * k, WEIGHTS_STRIDE), v, o[i * COLUMNS + c]);
        }
      }
    }
    workgroupBarrier(); // tile, weights and factor are free
  }

  for (var i = 1u; i < LANES_OF_ROW; i *= 2u) { sum += subgroupShuffleXor(sum, i); }
  if (own == 0u) {
    // Only a row that sees no token of the span is empty: a sum that is NaN must stay one.
    factor[r] = select(0.0, 1.0 / sum, begin < limit);
    if (r < rows) { lse[target_row + r] = select(MASKED, (reference + log(sum)) * P.lse_factor, begin < limit); }
  }
  workgroupBarrier();
  for (var i = 0u; i < ROW_TILES; i++) { // unroll
    for (var c = 0u; c < COLUMNS; c++) { // unroll
      add_to_out(to, i, c, o[i * COLUMNS + c]);
    }
  }
}
