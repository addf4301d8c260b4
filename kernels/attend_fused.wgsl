// out[r,:] = Σ_t p[t]·cache[t,:R], p = softmax over the t that row r sees of scale·(q_latent[r,:]·cache[t,:R] +
// q_pe[r,:]·cache[t,R:]).
// Shapes: work [items,2]; q_latent [rows,R], q_pe [rows,DR] f32, row = query token·H + head; page_table [B,width]; out
// [rows,R], lse [rows].
// Mapping: workgroup ↔ item (work_list.ts): up to ROWS rows of one sequence, its tokens from begin to end in tiles of
// T, online softmax.
// Needs: nothing optional. Appended: R, DR, ROWS, T, THREADS, SLICES, attend_item.wgsl, the cache's Chunk and
// cache_chunk().

const QUADS = T / 4u; // groups of four tokens in a tile
const GROUPS = ROWS / 8u; // groups of eight rows

const_assert T % 4u == 0u;
const_assert THREADS == SLICES * (ROWS / 2u) * QUADS; // 2 rows × 4 tokens of scores for each thread
const_assert THREADS >= GROUPS * LATENT; // 8 rows × 8 elements of the output for each thread

var<workgroup> tile: array<Chunk, T * CHUNKS>; // [T][CHUNKS], as it lies in the cache
var<workgroup> slots: array<u32, T>; // where in the cache the tile's tokens are
var<workgroup> partial: array<vec4<f32>, SLICES * QUADS * ROWS>; // scores before the sum over slices of d, vec4 over tokens
var<workgroup> prob: array<vec4<f32>, QUADS * ROWS>; // scores, then exp(score − maximum), vec4 over tokens
var<workgroup> factor: array<f32, ROWS>; // by which the tile changes what was summed before; at the end 1/sum

// Chunk `i` of the tile. Zero past the last token: its probability is zero, and the cache may hold NaN there.
fn fetch(i: u32) -> Chunk {
  if (i < T * CHUNKS) {
    let slot = slots[i / CHUNKS];
    if (slot != NOWHERE) { return cache_chunk(slot, i % CHUNKS); }
  }
  return Chunk();
}

fn store_tile(i: u32, c: Chunk) {
  if (i < T * CHUNKS) { tile[i] = c; }
}

// Eight elements of d of four tokens.
struct Keys {
  a0: vec4<f32>,
  b0: vec4<f32>,
  a1: vec4<f32>,
  b1: vec4<f32>,
  a2: vec4<f32>,
  b2: vec4<f32>,
  a3: vec4<f32>,
  b3: vec4<f32>,
}

fn load_keys(k: u32) -> Keys {
  let k0 = tile[k];
  let k1 = tile[k + CHUNKS];
  let k2 = tile[k + 2u * CHUNKS];
  let k3 = tile[k + 3u * CHUNKS];
  return Keys(low(k0), high(k0), low(k1), high(k1), low(k2), high(k2), low(k3), high(k3));
}

fn dot8(sum: f32, q0: vec4<f32>, q1: vec4<f32>, a: vec4<f32>, b: vec4<f32>) -> f32 {
  let s = sum + q0.x * a.x + q0.y * a.y + q0.z * a.z + q0.w * a.w;
  return s + q1.x * b.x + q1.y * b.y + q1.z * b.z + q1.w * b.w;
}

// Products of one row with four tokens, added to `sum`.
fn dots(sum: vec4<f32>, q0: vec4<f32>, q1: vec4<f32>, k: Keys) -> vec4<f32> {
  return vec4(
    dot8(sum.x, q0, q1, k.a0, k.b0),
    dot8(sum.y, q0, q1, k.a1, k.b1),
    dot8(sum.z, q0, q1, k.a2, k.b2),
    dot8(sum.w, q0, q1, k.a3, k.b3),
  );
}

// Eight rows × eight elements of the output: o[2r] and o[2r+1] belong to row r. Indices are literals because a
// dynamic index would move the array out of registers.
alias Output = array<vec4<f32>, 16>;

fn add_token(o: ptr<function, Output>, v: Chunk, p: vec4<f32>, q: vec4<f32>) {
  let a = low(v);
  let b = high(v);
  (*o)[0] += p.x * a;
  (*o)[1] += p.x * b;
  (*o)[2] += p.y * a;
  (*o)[3] += p.y * b;
  (*o)[4] += p.z * a;
  (*o)[5] += p.z * b;
  (*o)[6] += p.w * a;
  (*o)[7] += p.w * b;
  (*o)[8] += q.x * a;
  (*o)[9] += q.x * b;
  (*o)[10] += q.y * a;
  (*o)[11] += q.y * b;
  (*o)[12] += q.z * a;
  (*o)[13] += q.z * b;
  (*o)[14] += q.w * a;
  (*o)[15] += q.w * b;
}

fn rescale(o: ptr<function, Output>, p: vec4<f32>, q: vec4<f32>) {
  (*o)[0] *= p.x;
  (*o)[1] *= p.x;
  (*o)[2] *= p.y;
  (*o)[3] *= p.y;
  (*o)[4] *= p.z;
  (*o)[5] *= p.z;
  (*o)[6] *= p.w;
  (*o)[7] *= p.w;
  (*o)[8] *= q.x;
  (*o)[9] *= q.x;
  (*o)[10] *= q.y;
  (*o)[11] *= q.y;
  (*o)[12] *= q.z;
  (*o)[13] *= q.z;
  (*o)[14] *= q.w;
  (*o)[15] *= q.w;
}

// Row `r` of the block, where it has one, in the buffer of the results or of the partial ones.
fn store_row(r: u32, rows: u32, target_row: u32, chunk: u32, a: vec4<f32>, b: vec4<f32>) {
  if (r < rows && chunk < LATENT) {
    let at = (target_row + r) * (R / 4u) + 2u * chunk;
    out[at] = a;
    out[at + 1u] = b;
  }
}

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

  // Scores: thread ↔ 2 rows × 4 tokens × every SLICES-th chunk of d. Neighbours (t, t^1) share the tokens.
  let slice = t / 2u % SLICES;
  let quad = t / 2u / SLICES % QUADS;
  let row = 2u * (t % 2u + 2u * (t / 2u / SLICES / QUADS));
  let row0 = first_row + min(row, rows - 1u);
  let row1 = first_row + min(row + 1u, rows - 1u);

  // Product: thread ↔ 8 rows × one chunk of the latent. Threads past the last chunk repeat it and store nothing.
  let group = t % GROUPS;
  let chunk = t / GROUPS;
  let v_chunk = min(chunk, LATENT - 1u);
  var o = Output();

  // Every row of the block sees the tokens before it: the first row sees the fewest.
  let visible = limit_of(first_row, span.z, end);

  // Softmax: thread ↔ row, for t < ROWS.
  let limit = limit_of(first_row + t, span.z, end);
  var maximum = MASKED;
  var sum = 0.0;

  if (t < T) { slots[t] = slot_of(sequence, begin + t, end); }
  workgroupBarrier();

  for (var first = begin; first < end; first += T) {
    // Stage the tile. Five loads are in flight before the first is stored: one round for 9 rows and more, two for up to
    // 8.
    for (var i = t; i < T * CHUNKS; i += 5u * THREADS) {
      let c0 = fetch(i);
      let c1 = fetch(i + THREADS);
      let c2 = fetch(i + 2u * THREADS);
      let c3 = fetch(i + 3u * THREADS);
      let c4 = fetch(i + 4u * THREADS);
      store_tile(i, c0);
      store_tile(i + THREADS, c1);
      store_tile(i + 2u * THREADS, c2);
      store_tile(i + 3u * THREADS, c3);
      store_tile(i + 4u * THREADS, c4);
    }
    workgroupBarrier();
    if (t < T) { slots[t] = slot_of(sequence, first + T + t, end); }

    var s0 = vec4<f32>(0.0);
    var s1 = vec4<f32>(0.0);
    for (var c = slice; c < LATENT; c += SLICES) {
      let k = load_keys(4u * quad * CHUNKS + c);
      let a0 = q_latent[row0 * (R / 4u) + 2u * c];
      let a1 = q_latent[row0 * (R / 4u) + 2u * c + 1u];
      let b0 = q_latent[row1 * (R / 4u) + 2u * c];
      let b1 = q_latent[row1 * (R / 4u) + 2u * c + 1u];
      s0 = dots(s0, a0, a1, k);
      s1 = dots(s1, b0, b1, k);
    }
    for (var c = slice; c < DR / 8u; c += SLICES) {
      let k = load_keys(4u * quad * CHUNKS + LATENT + c);
      let a0 = q_pe[row0 * (DR / 4u) + 2u * c];
      let a1 = q_pe[row0 * (DR / 4u) + 2u * c + 1u];
      let b0 = q_pe[row1 * (DR / 4u) + 2u * c];
      let b1 = q_pe[row1 * (DR / 4u) + 2u * c + 1u];
      s0 = dots(s0, a0, a1, k);
      s1 = dots(s1, b0, b1, k);
    }
    partial[(slice * QUADS + quad) * ROWS + row] = s0;
    partial[(slice * QUADS + quad) * ROWS + row + 1u] = s1;
    workgroupBarrier();

    // Some row weighs a token that it does not see with 0, and 0·NaN is NaN: NaN becomes 0. Rows that see it have it in
    // their score.
    if (visible < end && first + T > visible) {
      for (var i = t; i < T * CHUNKS; i += THREADS) { tile[i] = finite(tile[i]); }
    }
    if (t < ROWS) {
      var tile_maximum = maximum;
      for (var i = 0u; i < QUADS; i++) {
        var s = vec4<f32>(0.0);
        for (var j = 0u; j < SLICES; j += 2u) {
          s += partial[(j * QUADS + i) * ROWS + t] + partial[((j + 1u) * QUADS + i) * ROWS + t];
        }
        let token = first + 4u * i + vec4(0u, 1u, 2u, 3u);
        s = select(vec4(MASKED), s * P.scale, token < vec4(limit));
        prob[i * ROWS + t] = s;
        tile_maximum = max(tile_maximum, max(max(s.x, s.y), max(s.z, s.w)));
      }
      let change = exp(maximum - tile_maximum);
      maximum = tile_maximum;
      sum *= change;
      for (var i = 0u; i < QUADS; i++) {
        let token = first + 4u * i + vec4(0u, 1u, 2u, 3u);
        let p = select(vec4(0.0), exp(prob[i * ROWS + t] - maximum), token < vec4(limit));
        prob[i * ROWS + t] = p;
        sum += (p.x + p.y) + (p.z + p.w);
      }
      factor[t] = change;
    }
    workgroupBarrier();

    let f = 8u * group;
    let fp = vec4(factor[f], factor[f + 1u], factor[f + 2u], factor[f + 3u]);
    let fq = vec4(factor[f + 4u], factor[f + 5u], factor[f + 6u], factor[f + 7u]);
    if (any(fp != vec4(1.0)) || any(fq != vec4(1.0))) { rescale(&o, fp, fq); }
    for (var i = 0u; i < QUADS; i++) {
      let p = i * ROWS + 8u * group;
      let p0 = prob[p];
      let p1 = prob[p + 1u];
      let p2 = prob[p + 2u];
      let p3 = prob[p + 3u];
      let p4 = prob[p + 4u];
      let p5 = prob[p + 5u];
      let p6 = prob[p + 6u];
      let p7 = prob[p + 7u];
      let v = 4u * i * CHUNKS + v_chunk;
      add_token(&o, tile[v], vec4(p0.x, p1.x, p2.x, p3.x), vec4(p4.x, p5.x, p6.x, p7.x));
      add_token(&o, tile[v + CHUNKS], vec4(p0.y, p1.y, p2.y, p3.y), vec4(p4.y, p5.y, p6.y, p7.y));
      add_token(&o, tile[v + 2u * CHUNKS], vec4(p0.z, p1.z, p2.z, p3.z), vec4(p4.z, p5.z, p6.z, p7.z));
      add_token(&o, tile[v + 3u * CHUNKS], vec4(p0.w, p1.w, p2.w, p3.w), vec4(p4.w, p5.w, p6.w, p7.w));
    }
    workgroupBarrier(); // tile, prob and factor are free
  }

  if (t < ROWS) {
    // Only a row that sees no token of the span is empty: a sum that is NaN must stay one.
    factor[t] = select(0.0, 1.0 / sum, begin < limit);
    if (t < rows) { lse[target_row + t] = select(MASKED, (maximum + log(sum)) * P.lse_factor, begin < limit); }
  }
  workgroupBarrier();
  let f = 8u * group;
  rescale(
    &o,
    vec4(factor[f], factor[f + 1u], factor[f + 2u], factor[f + 3u]),
    vec4(factor[f + 4u], factor[f + 5u], factor[f + 6u], factor[f + 7u]),
  );
  store_row(f, rows, target_row, chunk, o[0], o[1]);
  store_row(f + 1u, rows, target_row, chunk, o[2], o[3]);
  store_row(f + 2u, rows, target_row, chunk, o[4], o[5]);
  store_row(f + 3u, rows, target_row, chunk, o[6], o[7]);
  store_row(f + 4u, rows, target_row, chunk, o[8], o[9]);
  store_row(f + 5u, rows, target_row, chunk, o[10], o[11]);
  store_row(f + 6u, rows, target_row, chunk, o[12], o[13]);
  store_row(f + 7u, rows, target_row, chunk, o[14], o[15]);
}
