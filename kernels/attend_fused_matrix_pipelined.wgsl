enable f16; // As attend_fused_matrix, for blocks of four tiles of rows: scores of a tile beside the product before.
// Mapping: as there, with a tile of SIDE tokens between two barriers: every subgroup multiplies for the scores of the
// next tile and for the product of this one, half of them in the opposite order, so that one subgroup reads while
// another multiplies. Two tiles are in workgroup memory, a third is on its way in registers.
// Needs and appended: those of attend_matrix.wgsl; BUFFERS is 2, TOKEN_TILES is 1.

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
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
  let subgroup = t / LANES; // subgroups are full, and hold invocations in a row
  let lane = t % LANES;
  if (begin == end) {
    leave_empty(t, rows, target_row);
    return;
  }

  // Scores: this subgroup's rows and part of d.
  let row_tile = subgroup % ROW_TILES;
  let part = subgroup / ROW_TILES;
  let half = subgroupBroadcastFirst(subgroup / (SUBGROUPS / 2u));
  let own_scores = (part * ROWS + SIDE * row_tile) * PARTIAL_STRIDE;

  var q: array<Left, STEPS>; // unroll
  for (var round = 0u; round < ROWS / (BUFFERS * T); round++) { // unroll
    stage_queries(first_row, rows, round * STAGED, subgroup, lane);
    workgroupBarrier();
    if (row_tile / (STAGED / SIDE) == round) {
      for (var i = 0u; i < STEPS; i++) { // unroll
        let at = MATRIX_CHUNKS * (part * STEPS + i);
        q[i] = subgroupMatrixLoad<Left, row_major>(&tile[row_tile % (STAGED / SIDE)], at, TILE_STRIDE);
      }
    }
    workgroupBarrier();
  }
  let r = t / LANES_OF_ROW;
  let limit = limit_of(first_row + min(r, rows - 1u), span.z, end);
  var row = Row(r, t % LANES_OF_ROW * TOKENS_OF_LANE, limit, 1.0 / factor_of(r), MASKED, vec2(0.0));
  let visible = limit_of(first_row, span.z, end); // every row of the block sees the tokens before it
  if (t < ROWS) { atomicStore(&largest[t], 0u); }
  if (t < ROW_TILES) {
    moved[t] = 0u;
    held[t] = 0u;
  }
  if (t == 0u) { moved_any = 0u; }

  // Products: this subgroup's columns, for all rows.
  let column = subgroup * COLUMNS;
  var o: array<Sums, ROW_TILES * COLUMNS>; // unroll

  // The first tile, its scores, and the second one on its way.
  let chunk = t % LANES_OF_TOKEN; // the first that this thread fetches
  let place_in_tile = t / LANES_OF_TOKEN * TILE_STRIDE + chunk;
  var fetched: array<vec4<u32>, FETCHES>; // unroll
  var page_id = page_of(sequence, begin + own_token(t), end);
  var slot = slot_in(page_id, begin + own_token(t), end);
  for (var i = 0u; i < FETCHES; i++) { // unroll
    if (chunk + i * LANES_OF_TOKEN < CHUNKS) { fetched[i] = cache_chunk(slot, chunk + i * LANES_OF_TOKEN); }
  }
  page_id = page_of(sequence, begin + T + own_token(t), end);
  for (var i = 0u; i < FETCHES; i++) { // unroll
    if (chunk + i * LANES_OF_TOKEN < CHUNKS) { tile[0][place_in_tile + i * LANES_OF_TOKEN] = staged(fetched[i]); }
  }
  slot = slot_in(page_id, begin + T + own_token(t), end);
  for (var i = 0u; i < FETCHES; i++) { // unroll
    if (chunk + i * LANES_OF_TOKEN < CHUNKS) { fetched[i] = cache_chunk(slot, chunk + i * LANES_OF_TOKEN); }
  }
  page_id = page_of(sequence, begin + 2u * T + own_token(t), end);
  workgroupBarrier();
  {
    var s = Sums();
    for (var i = 0u; i < STEPS; i++) { // unroll
      let k = subgroupMatrixLoad<Right, col_major>(&tile[0], MATRIX_CHUNKS * (part * STEPS + i), TILE_STRIDE);
      s = subgroupMatrixMultiplyAccumulate(q[i], k, s);
    }
    subgroupMatrixStore<row_major>(&partial, own_scores, s, PARTIAL_STRIDE);
  }
  workgroupBarrier();

  var first = begin;
  let tiles = (end - begin + T - 1u) / T;
  for (var turn = 0u; turn < tiles; turn++) {
    let number = turn + 1u; // of the tile
    let now = turn % 2u; // its buffer
    let next = 1u - now;
    for (var i = 0u; i < FETCHES; i++) { // unroll
      if (chunk + i * LANES_OF_TOKEN < CHUNKS) { tile[next][place_in_tile + i * LANES_OF_TOKEN] = staged(fetched[i]); }
    }
    slot = slot_in(page_id, first + 2u * T + own_token(t), end);
    for (var i = 0u; i < FETCHES; i++) { // unroll
      if (chunk + i * LANES_OF_TOKEN < CHUNKS) { fetched[i] = cache_chunk(slot, chunk + i * LANES_OF_TOKEN); }
    }
    page_id = page_of(sequence, first + 3u * T + own_token(t), end);
    if (visible < end && first + T > visible) { clear_hidden(now, t); }
    var found = weigh(row, first);
    ask_to_follow(row, found, number);
    workgroupBarrier();
    if (subgroupBroadcastFirst(moved_any) == number) {
      row = follow(row, number);
      found = weigh(row, first);
      workgroupBarrier();
      let source = (P.first + index) * ROWS * WIDTH;
      for (var i = 0u; i < ROW_TILES; i++) { // unroll
        if (moved[i] == number) {
          for (var c = 0u; c < COLUMNS; c++) { // unroll
            let at = source + SIDE * i * WIDTH + MATRIX_QUADS * (column + c);
            subgroupMatrixStore<row_major>(&sums, at, o[i * COLUMNS + c], WIDTH);
            o[i * COLUMNS + c] = Sums();
          }
        }
      }
      storageBarrier();
      workgroupBarrier();
      for (var i = 0u; i < ROW_TILES; i++) {
        if (moved[i] == number) { add_to_out(i, source, rows, target_row, t); }
      }
      storageBarrier(); // other threads add to `out` next, and others store to `sums`
      workgroupBarrier();
      if (t < ROW_TILES && moved[t % ROW_TILES] == number) { held[t % ROW_TILES] = 1u; }
    }

    for (var order = 0u; order < 2u; order++) { // unroll
      if (half == order) {
        var s = Sums();
        for (var i = 0u; i < STEPS; i++) { // unroll
          let k = subgroupMatrixLoad<Right, col_major>(&tile[next], MATRIX_CHUNKS * (part * STEPS + i), TILE_STRIDE);
          s = subgroupMatrixMultiplyAccumulate(q[i], k, s);
        }
        subgroupMatrixStore<row_major>(&partial, own_scores, s, PARTIAL_STRIDE);
      }
      if (order == 0u) { // unroll
        // Two row tiles at a time: weights of all four would take registers that keys are read into.
        for (var h = 0u; h < ROW_TILES / 2u; h++) { // unroll
          let at = 2u * h * SIDE * WEIGHTS_STRIDE;
          let p_0 = subgroupMatrixLoad<Left, row_major>(&weights, at, WEIGHTS_STRIDE);
          let p_1 = subgroupMatrixLoad<Left, row_major>(&weights, at + SIDE * WEIGHTS_STRIDE, WEIGHTS_STRIDE);
          for (var c = 0u; c < COLUMNS; c++) { // unroll
            let v = subgroupMatrixLoad<Right, row_major>(&tile[now], MATRIX_CHUNKS * (column + c), TILE_STRIDE);
            o[2u * h * COLUMNS + c] = subgroupMatrixMultiplyAccumulate(p_0, v, o[2u * h * COLUMNS + c]);
            o[(2u * h + 1u) * COLUMNS + c] = subgroupMatrixMultiplyAccumulate(p_1, v, o[(2u * h + 1u) * COLUMNS + c]);
          }
        }
      }
    }
    row.sums += found.sums;
    first += T;
    workgroupBarrier(); // the tile and its weights are free
  }

  finish(row, t, rows, target_row, begin);
  for (var i = 0u; i < ROW_TILES; i++) { // unroll
    for (var c = 0u; c < COLUMNS; c++) { // unroll
      subgroupMatrixStore<row_major>(&partial, subgroup * SIDE * MATRIX_PAIRS, o[i * COLUMNS + c], MATRIX_PAIRS);
      workgroupBarrier();
      store_out(i, column + c, subgroup * SIDE * MATRIX_PAIRS, rows, target_row, lane);
      workgroupBarrier();
    }
  }
}
