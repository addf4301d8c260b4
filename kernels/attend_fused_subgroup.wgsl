// out[r,:] = Σ_t p[t]·cache[t,:R], p = softmax over the t that row r sees of scale·(q_latent[r,:]·cache[t,:R] + q_pe[r,:]·cache[t,R:]).
// Shapes: work [items,2]; q_latent [rows,R], q_pe [rows,DR] f32, row = query token·H + head; page_table [B,width]; out [rows,R], lse [rows].
// Mapping: as attend_fused, but a thread holds 4 rows × 4 tokens of scores, and four lanes sum and share them by shuffles.
// Needs: `subgroups` of at least 4·LANE lanes that divide THREADS. Appended: R, DR, ROWS, T, THREADS, SLICES, LANE, Chunk, cache_chunk().

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
@group(0) @binding(3) var<storage, read> q_pe: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> page_table: array<i32>;
@group(0) @binding(5) var<storage, read_write> out: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> lse: array<f32>;

const LATENT = R / 8u; // chunks of the latent; those of the rope key follow
const CHUNKS = (R + DR) / 8u; // chunks of a token
const QUADS = T / 4u; // groups of four tokens in a tile
const GROUPS = ROWS / 8u; // groups of eight rows
const MASKED = -1e30; // finite: ∞ is no constant in WGSL, and ∞ − ∞ would be NaN
const NOWHERE = 0xffffffffu; // slot of a token that is not there
const DIRECT = 0xffffffffu; // slot of an item that writes the result

const_assert T % 4u == 0u;
const_assert THREADS == SLICES * (ROWS / 4u) * QUADS; // 4 rows × 4 tokens of scores for each thread
const_assert SLICES % 4u == 0u; // four lanes sum what they hold; the sums of the groups of four meet in workgroup memory
const_assert QUADS == 1u || QUADS == 2u || QUADS == 4u; // lanes that share a row in the softmax
const_assert LANE == 1u || LANE == 2u; // distance of the lanes that sum: at 2, neighbours hold the same tokens
const_assert THREADS >= GROUPS * LATENT; // 8 rows × 8 elements of the output for each thread

var<workgroup> tile: array<Chunk, T * CHUNKS>; // [T][CHUNKS], as it lies in the cache
var<workgroup> slots: array<u32, T>; // where in the cache the tile's tokens are
var<workgroup> partial: array<vec4<f32>, SLICES / 4u * QUADS * ROWS>; // scores before the last sum over slices of d, vec4 over tokens
var<workgroup> prob: array<vec4<f32>, QUADS * ROWS>; // exp(score − maximum), vec4 over tokens
var<workgroup> factor: array<f32, ROWS>; // by which the tile changes what was summed before; at the end 1/sum

// Token after the last one that row `row` of the batch sees of those before `end`: `offset` is its sequence's, negative or not.
fn limit_of(row: u32, offset: u32, end: u32) -> u32 {
  return min(end, u32(max(i32(row / P.H) + bitcast<i32>(offset), 0)));
}

// Index into the cache, in tokens. The table is read only for tokens before `end`, and no page outside the cache is touched.
fn slot_of(sequence: u32, token: u32, end: u32) -> u32 {
  if (token >= end) { return NOWHERE; }
  let page_id = u32(page_table[sequence * P.width + token / P.page]);
  if (page_id >= P.pages) { return NOWHERE; }
  return page_id * P.page + token % P.page;
}

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

// Maximum, and sum, over the QUADS lanes that share a row. Every lane of the workgroup must take part.
fn row_maximum(x: f32) -> f32 {
  var m = x;
  if (QUADS > 1u) { m = max(m, subgroupShuffleXor(m, 1u)); }
  if (QUADS > 2u) { m = max(m, subgroupShuffleXor(m, 2u)); }
  return m;
}

fn row_sum(x: f32) -> f32 {
  var s = x;
  if (QUADS > 1u) { s += subgroupShuffleXor(s, 1u); }
  if (QUADS > 2u) { s += subgroupShuffleXor(s, 2u); }
  return s;
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
  @builtin(subgroup_id) subgroup: u32,
  @builtin(subgroup_size) lanes: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  // Threads are numbered by subgroup and lane, because WGSL does not say how local_invocation_index maps to lanes.
  let t = subgroup * lanes + lane;

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

  // Scores: thread ↔ 4 rows × 4 tokens × every SLICES-th chunk of d. At LANE 2 neighbours (t, t^1) share the tokens.
  let slice = t / LANE % SLICES;
  let rest = t / LANE / SLICES;
  let quad = rest % QUADS;
  let row = 4u * (t % LANE + LANE * (rest / QUADS));
  let row0 = first_row + min(row, rows - 1u);
  let row1 = first_row + min(row + 1u, rows - 1u);
  let row2 = first_row + min(row + 2u, rows - 1u);
  let row3 = first_row + min(row + 3u, rows - 1u);
  let odd = slice % 2u == 1u;
  let upper = slice / 2u % 2u == 1u;
  let part = (slice / 4u * QUADS + quad) * ROWS + row + select(0u, 2u, odd) + select(0u, 1u, upper);

  // Product: thread ↔ 8 rows × one chunk of the latent. Threads past the last chunk repeat it and store nothing.
  let group = t % GROUPS;
  let chunk = t / GROUPS;
  let v_chunk = min(chunk, LATENT - 1u);
  var o = Output();

  // Every row of the block sees the tokens before it: the first row sees the fewest.
  let visible = limit_of(first_row, span.z, end);

  // Softmax: thread ↔ row × 4 tokens, QUADS lanes side by side for a row. Threads past the last row repeat the
  // first ones, so that every lane takes part in the shuffles. `sum` is of the thread's own tokens.
  let soft_quad = t % QUADS;
  let soft_row = t / QUADS % ROWS;
  let limit = limit_of(first_row + soft_row, span.z, end);
  var maximum = MASKED;
  var sum = 0.0;

  if (t < T) { slots[t] = slot_of(sequence, begin + t, end); }
  workgroupBarrier();

  for (var first = begin; first < end; first += T) {
    // Stage the tile. Five loads are in flight before the first is stored; 16 tokens of rank 512 take 2 rounds.
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
    var s2 = vec4<f32>(0.0);
    var s3 = vec4<f32>(0.0);
    for (var c = slice; c < LATENT; c += SLICES) {
      let k = load_keys(4u * quad * CHUNKS + c);
      let q0 = row0 * (R / 4u) + 2u * c;
      let q1 = row1 * (R / 4u) + 2u * c;
      let q2 = row2 * (R / 4u) + 2u * c;
      let q3 = row3 * (R / 4u) + 2u * c;
      s0 = dots(s0, q_latent[q0], q_latent[q0 + 1u], k);
      s1 = dots(s1, q_latent[q1], q_latent[q1 + 1u], k);
      s2 = dots(s2, q_latent[q2], q_latent[q2 + 1u], k);
      s3 = dots(s3, q_latent[q3], q_latent[q3 + 1u], k);
    }
    for (var c = slice; c < DR / 8u; c += SLICES) {
      let k = load_keys(4u * quad * CHUNKS + LATENT + c);
      let q0 = row0 * (DR / 4u) + 2u * c;
      let q1 = row1 * (DR / 4u) + 2u * c;
      let q2 = row2 * (DR / 4u) + 2u * c;
      let q3 = row3 * (DR / 4u) + 2u * c;
      s0 = dots(s0, q_pe[q0], q_pe[q0 + 1u], k);
      s1 = dots(s1, q_pe[q1], q_pe[q1 + 1u], k);
      s2 = dots(s2, q_pe[q2], q_pe[q2 + 1u], k);
      s3 = dots(s3, q_pe[q3], q_pe[q3 + 1u], k);
    }
    // Sum over four lanes; each keeps one row of the four: odd lanes rows 2 and 3, then upper lanes the second of the two.
    let pair0 = select(s0, s2, odd) + subgroupShuffleXor(select(s2, s0, odd), LANE);
    let pair1 = select(s1, s3, odd) + subgroupShuffleXor(select(s3, s1, odd), LANE);
    partial[part] = select(pair0, pair1, upper) + subgroupShuffleXor(select(pair1, pair0, upper), 2u * LANE);
    workgroupBarrier();

    // Some row weighs a token that it does not see with 0, and 0·NaN is NaN: NaN becomes 0. Rows that see it have it in their score.
    if (visible < end && first + T > visible) {
      for (var i = t; i < T * CHUNKS; i += THREADS) { tile[i] = finite(tile[i]); }
    }
    var s = partial[soft_quad * ROWS + soft_row];
    for (var j = 1u; j < SLICES / 4u; j++) { s += partial[(j * QUADS + soft_quad) * ROWS + soft_row]; }
    let present = first + 4u * soft_quad + vec4(0u, 1u, 2u, 3u) < vec4(limit);
    s = select(vec4(MASKED), s * P.scale, present);
    let tile_maximum = max(maximum, row_maximum(max(max(s.x, s.y), max(s.z, s.w))));
    let p = select(vec4(0.0), exp(s - tile_maximum), present);
    let change = exp(maximum - tile_maximum);
    maximum = tile_maximum;
    sum = sum * change + ((p.x + p.y) + (p.z + p.w));
    if (t < QUADS * ROWS) {
      prob[soft_quad * ROWS + soft_row] = p;
      if (soft_quad == 0u) { factor[soft_row] = change; }
    }
    workgroupBarrier();

    let f = 8u * group;
    let fp = vec4(factor[f], factor[f + 1u], factor[f + 2u], factor[f + 3u]);
    let fq = vec4(factor[f + 4u], factor[f + 5u], factor[f + 6u], factor[f + 7u]);
    if (any(fp != vec4(1.0)) || any(fq != vec4(1.0))) { rescale(&o, fp, fq); }
    for (var i = 0u; i < QUADS; i++) {
      let at = i * ROWS + 8u * group;
      let p0 = prob[at];
      let p1 = prob[at + 1u];
      let p2 = prob[at + 2u];
      let p3 = prob[at + 3u];
      let p4 = prob[at + 4u];
      let p5 = prob[at + 5u];
      let p6 = prob[at + 6u];
      let p7 = prob[at + 7u];
      let v = 4u * i * CHUNKS + v_chunk;
      add_token(&o, tile[v], vec4(p0.x, p1.x, p2.x, p3.x), vec4(p4.x, p5.x, p6.x, p7.x));
      add_token(&o, tile[v + CHUNKS], vec4(p0.y, p1.y, p2.y, p3.y), vec4(p4.y, p5.y, p6.y, p7.y));
      add_token(&o, tile[v + 2u * CHUNKS], vec4(p0.z, p1.z, p2.z, p3.z), vec4(p4.z, p5.z, p6.z, p7.z));
      add_token(&o, tile[v + 3u * CHUNKS], vec4(p0.w, p1.w, p2.w, p3.w), vec4(p4.w, p5.w, p6.w, p7.w));
    }
    workgroupBarrier(); // tile, prob and factor are free
  }

  let total = row_sum(sum);
  if (t < QUADS * ROWS && soft_quad == 0u) {
    // Only a row that sees no token of the span is empty: a sum that is NaN must stay one.
    factor[soft_row] = select(0.0, 1.0 / total, begin < limit);
    if (soft_row < rows) {
      lse[target_row + soft_row] = select(MASKED, (maximum + log(total)) * P.lse_factor, begin < limit);
    }
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
