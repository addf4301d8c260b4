enable f16; // As attend_fused, with both products in subgroup matrices: factors in f16, sums in f32.
// Shapes: those of attend_fused; a cache of f16, or of bf16 whose values fit f16.
// Mapping: workgroup ↔ item (work_list.ts): up to ROWS rows of one sequence, its tokens in tiles of T. Scores: subgroup
// ↔ SIDE rows × SIDE tokens × a part of d; their sum over parts and the softmax: LANES_OF_ROW threads ↔ row; product:
// subgroup ↔ all rows × COLUMNS·SIDE elements of the output, which stay in registers.
// Sums in registers cannot be multiplied by row. Where the reference of one of SIDE rows moves, their sums are added to
// `out`, what is there is scaled, and they begin anew.
// Needs and appended: those of attend_matrix.wgsl; BUFFERS is 1.

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

  // Scores: this subgroup's rows, tokens and part of d.
  let row_tile = subgroup % ROW_TILES;
  let token_tile = subgroup / ROW_TILES % TOKEN_TILES;
  let part = subgroup / (ROW_TILES * TOKEN_TILES);
  let own_scores = (part * ROWS + SIDE * row_tile) * PARTIAL_STRIDE + MATRIX_PAIRS * token_tile;

  stage_queries(first_row, rows, 0u, subgroup, lane);
  workgroupBarrier();
  var q: array<Left, STEPS>; // unroll
  for (var i = 0u; i < STEPS; i++) { // unroll
    let at = SIDE * row_tile * TILE_STRIDE + MATRIX_CHUNKS * (part * STEPS + i);
    q[i] = subgroupMatrixLoad<Left, row_major>(&tile[0], at, TILE_STRIDE);
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

  // The first tile is on its way, and where the second one is.
  let chunk = t % LANES_OF_TOKEN; // the first that this thread fetches
  let place_in_tile = t / LANES_OF_TOKEN * TILE_STRIDE + chunk;
  var fetched: array<vec4<u32>, FETCHES>; // unroll
  var page_id = page_of(sequence, begin + own_token(t), end);
  var slot = slot_in(page_id, begin + own_token(t), end);
  for (var i = 0u; i < FETCHES; i++) { // unroll
    if (chunk + i * LANES_OF_TOKEN < CHUNKS) { fetched[i] = cache_chunk(slot, chunk + i * LANES_OF_TOKEN); }
  }
  page_id = page_of(sequence, begin + T + own_token(t), end);
  workgroupBarrier();

  var first = begin;
  let tiles = (end - begin + T - 1u) / T;
  for (var turn = 0u; turn < tiles; turn++) {
    let number = turn + 1u; // of the tile
    for (var i = 0u; i < FETCHES; i++) { // unroll
      if (chunk + i * LANES_OF_TOKEN < CHUNKS) { tile[0][place_in_tile + i * LANES_OF_TOKEN] = staged(fetched[i]); }
    }
    // The next tile is on its way while this one is computed.
    slot = slot_in(page_id, first + T + own_token(t), end);
    for (var i = 0u; i < FETCHES; i++) { // unroll
      if (chunk + i * LANES_OF_TOKEN < CHUNKS) { fetched[i] = cache_chunk(slot, chunk + i * LANES_OF_TOKEN); }
    }
    page_id = page_of(sequence, first + 2u * T + own_token(t), end);
    workgroupBarrier();

    var s = Sums();
    for (var i = 0u; i < STEPS; i++) { // unroll
      let at = SIDE * token_tile * TILE_STRIDE + MATRIX_CHUNKS * (part * STEPS + i);
      let k = subgroupMatrixLoad<Right, col_major>(&tile[0], at, TILE_STRIDE);
      s = subgroupMatrixMultiplyAccumulate(q[i], k, s);
    }
    subgroupMatrixStore<row_major>(&partial, own_scores, s, PARTIAL_STRIDE);
    workgroupBarrier();

    if (visible < end && first + T > visible) { clear_hidden(0u, t); }
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

    for (var k = 0u; k < TOKEN_TILES; k++) { // unroll
      var p: array<Left, ROW_TILES>; // unroll
      for (var i = 0u; i < ROW_TILES; i++) { // unroll
        let at = SIDE * i * WEIGHTS_STRIDE + MATRIX_QUADS * k;
        p[i] = subgroupMatrixLoad<Left, row_major>(&weights, at, WEIGHTS_STRIDE);
      }
      for (var c = 0u; c < COLUMNS; c++) { // unroll
        let at = SIDE * k * TILE_STRIDE + MATRIX_CHUNKS * (column + c);
        let v = subgroupMatrixLoad<Right, row_major>(&tile[0], at, TILE_STRIDE);
        for (var i = 0u; i < ROW_TILES; i++) { // unroll
          o[i * COLUMNS + c] = subgroupMatrixMultiplyAccumulate(p[i], v, o[i * COLUMNS + c]);
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
