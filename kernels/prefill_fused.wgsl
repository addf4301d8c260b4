// out[i,h,:] = Σ_j p[j]·V[h,j,:], p = softmax over j of scale·(q_nope[i,h,:]·K[h,j,:] + q_pe[i,h,:]·k_pe[j,:]), j below
// what query i sees.
// Shapes: queries, scaled by scale·log₂e, per block [D,rows]; keys [heads,DN,tokens]; rope [DR,tokens]; values
// [heads,tokens,DV]; out [T+P,H,DV]; lse [T,H].
// Mapping: workgroup ↔ (item of the work list: ROWS query tokens of a sequence; head), walking the tokens in tiles of
// TILE.
//   thread ↔ 8 rows × 4 tokens of the scores and 8 rows × 8 elements of the output, operands in steps of STEP through
//   the pool.
// Needs: nothing optional. Appended: DN, DR, DV, ROWS, TILE, STEP, WIDTH, LSE2.

struct Params {
  items: u32,
  heads: u32,
  first_head: u32,
  H: u32,
  queries: u32,
  query_quads: u32,
  token_quads: u32,
}

struct Item {
  first: u32, // query token of the batch
  rows: u32,
  query_quad: u32, // where its queries are, in groups of four
  token_quad: u32, // where the tokens of its sequence are, in groups of four
  end: u32, // tokens that its last row sees
  limit: i32, // row r sees the tokens below min(end, r + limit)
}

@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> work: array<Item>;
@group(0) @binding(2) var<storage, read> queries: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> keys: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> rope: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> values: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> out: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> lse: array<f32>;

const THREADS = 128u;
const D = DN + DR;
const ROW_GROUPS = ROWS / 8u;
const COLUMN_GROUPS = THREADS / ROW_GROUPS; // groups of four tokens in a tile, and of eight elements of a value
const QUERY_QUADS = ROWS / 4u;
const VALUE_QUADS = 2u * COLUMN_GROUPS; // of a value, padded to the threads
const MASKED = -1e30; // finite: ∞ is no constant in WGSL, and ∞ − ∞ would be NaN

const_assert TILE == 4u * COLUMN_GROUPS;
const_assert VALUE_QUADS * 4u >= DV;
const_assert WIDTH >= QUERY_QUADS + COLUMN_GROUPS && WIDTH >= QUERY_QUADS + VALUE_QUADS;
const_assert WIDTH >= (COLUMN_GROUPS + STEP - 1u) / STEP * QUERY_QUADS;
const_assert STEP == 8u || STEP == 16u;
// Each is staged in as many steps as the loops below have.
const_assert 4u * THREADS >= STEP * QUERY_QUADS && 2u * THREADS >= STEP * COLUMN_GROUPS;
const_assert 4u * THREADS >= STEP * VALUE_QUADS && STEP % (THREADS / VALUE_QUADS) == 0u;

// One memory for three uses: [d][queries, keys], [column group][maxima or sums of all rows], [token][probabilities,
// values]. An array of arrays: an index that is a literal needs no bounds check, and the checks of the others are
// shared.
var<workgroup> pool: array<array<vec4<f32>, WIDTH>, STEP>;

// Where the operands begin: vec4 of each array.
struct Block {
  query: u32,
  query_quads: u32, // from one d to the next
  key: u32, // of d = 0 and token 0
  rope: u32, // of d = DN and token 0
  value: u32, // of token 0
  end: u32,
  seen_by_all: u32, // tokens that every row sees
}

// A thread stages vectors t, t + THREADS, …: of the same column each time, and of rows that are these apart.
const QUERY_ROWS = THREADS / QUERY_QUADS;
const KEY_ROWS = THREADS / COLUMN_GROUPS;
const VALUE_ROWS = THREADS / VALUE_QUADS;

// Queries of d = `d0` + the thread's n-th row.
fn fetch_query(t: u32, n: u32, d0: u32, block: Block) -> vec4<f32> {
  let row = t / QUERY_QUADS + n * QUERY_ROWS;
  let quad = t % QUERY_QUADS;
  if (n * QUERY_ROWS >= STEP || row >= STEP || quad >= block.query_quads) { return vec4(0.0); }
  if (D % STEP != 0u && d0 + row >= D) { return vec4(0.0); }
  return queries[block.query + quad + (d0 + row) * block.query_quads];
}

fn store_query(t: u32, n: u32, v: vec4<f32>) {
  let row = t / QUERY_QUADS + n * QUERY_ROWS;
  if (n * QUERY_ROWS < STEP && row < STEP) { pool[row][t % QUERY_QUADS] = v; }
}

// Keys of d = `d0` + the thread's n-th row, for the tile from `first` on.
fn fetch_key(t: u32, n: u32, d0: u32, first: u32, block: Block) -> vec4<f32> {
  let row = t / COLUMN_GROUPS + n * KEY_ROWS;
  let quad = t % COLUMN_GROUPS;
  if (n * KEY_ROWS >= STEP || row >= STEP || first + 4u * quad >= block.end) { return vec4(0.0); }
  if (D % STEP != 0u && d0 + row >= D) { return vec4(0.0); }
  let at = first / 4u + quad;
  // Where steps do not straddle keys and rope, the choice is the same for all threads.
  if (select(d0, d0 + row, DN % STEP != 0u) < DN) { return keys[block.key + at + (d0 + row) * P.token_quads]; }
  return rope[block.rope + at + (d0 + row - DN) * P.token_quads];
}

fn store_key(t: u32, n: u32, v: vec4<f32>) {
  let row = t / COLUMN_GROUPS + n * KEY_ROWS;
  if (n * KEY_ROWS < STEP && row < STEP) { pool[row][QUERY_QUADS + t % COLUMN_GROUPS] = v; }
}

// NaN and ∞ as 0, in tokens that some rows do not see: their probability is 0, but 0·NaN is NaN. Rows that do see one
// have NaN in their scores already, because keys and values come of the same latent. Token 0 keeps what a weight did to
// it.
fn finite(v: vec4<f32>) -> vec4<f32> {
  return select(v, vec4(0.0), (bitcast<vec4<u32>>(v) & vec4(0x7f800000u)) == vec4(0x7f800000u));
}

// Values of token `first` + the thread's n-th row. Zero past the last: its probability is zero, and NaN·0 is NaN.
fn fetch_value(t: u32, n: u32, first: u32, block: Block) -> vec4<f32> {
  let row = t / VALUE_QUADS + n * VALUE_ROWS;
  let quad = t % VALUE_QUADS;
  if (n * VALUE_ROWS >= STEP || first + row >= block.end || quad >= DV / 4u) { return vec4(0.0); }
  let v = values[block.value + quad + (first + row) * (DV / 4u)];
  if (first + row >= block.seen_by_all) { return finite(v); }
  return v;
}

fn store_value(t: u32, n: u32, v: vec4<f32>) {
  if (n * VALUE_ROWS < STEP) { pool[t / VALUE_QUADS + n * VALUE_ROWS][QUERY_QUADS + t % VALUE_QUADS] = v; }
}

// 8 rows × 4 tokens. Indices are literals because a dynamic index would move the array out of registers.
alias Scores = array<vec4<f32>, 8>;

fn add_product(s: ptr<function, Scores>, d: u32, rg: u32, cg: u32) {
  let a = pool[d][rg];
  let b = pool[d][ROW_GROUPS + rg];
  let k = pool[d][QUERY_QUADS + cg];
  (*s)[0] += a.x * k;
  (*s)[1] += a.y * k;
  (*s)[2] += a.z * k;
  (*s)[3] += a.w * k;
  (*s)[4] += b.x * k;
  (*s)[5] += b.y * k;
  (*s)[6] += b.z * k;
  (*s)[7] += b.w * k;
}

fn add_products8(s: ptr<function, Scores>, d: u32, rg: u32, cg: u32) {
  add_product(s, d, rg, cg);
  add_product(s, d + 1u, rg, cg);
  add_product(s, d + 2u, rg, cg);
  add_product(s, d + 3u, rg, cg);
  add_product(s, d + 4u, rg, cg);
  add_product(s, d + 5u, rg, cg);
  add_product(s, d + 6u, rg, cg);
  add_product(s, d + 7u, rg, cg);
}

fn masked(s: vec4<f32>, token: u32, limit: i32) -> vec4<f32> {
  return select(vec4(MASKED), s, vec4<i32>(i32(token)) + vec4(0, 1, 2, 3) < vec4(limit));
}

fn mask(s: ptr<function, Scores>, token: u32, row: u32, item: Item) {
  let end = i32(item.end);
  let low = i32(row) + item.limit;
  let high = low + i32(ROWS / 2u);
  (*s)[0] = masked((*s)[0], token, min(end, low));
  (*s)[1] = masked((*s)[1], token, min(end, low + 1));
  (*s)[2] = masked((*s)[2], token, min(end, low + 2));
  (*s)[3] = masked((*s)[3], token, min(end, low + 3));
  (*s)[4] = masked((*s)[4], token, min(end, high));
  (*s)[5] = masked((*s)[5], token, min(end, high + 1));
  (*s)[6] = masked((*s)[6], token, min(end, high + 2));
  (*s)[7] = masked((*s)[7], token, min(end, high + 3));
}

fn largest(s: vec4<f32>) -> f32 { return max(max(s.x, s.y), max(s.z, s.w)); }
fn total(s: vec4<f32>) -> f32 { return (s.x + s.y) + (s.z + s.w); }

// A value for each of the thread's rows.
struct OfRows { a: vec4<f32>, b: vec4<f32> }

fn store_partial(rg: u32, cg: u32, v: OfRows) {
  let at = cg / STEP * QUERY_QUADS + rg;
  pool[cg % STEP][at] = v.a;
  pool[cg % STEP][at + ROW_GROUPS] = v.b;
}

fn partial(rg: u32, cg: u32) -> OfRows {
  let at = cg / STEP * QUERY_QUADS + rg;
  return OfRows(pool[cg % STEP][at], pool[cg % STEP][at + ROW_GROUPS]);
}

// The thread's probabilities, transposed: [token][rows].
fn store_probabilities(s: ptr<function, Scores>, token: u32, rg: u32) {
  let a = transpose(mat4x4((*s)[0], (*s)[1], (*s)[2], (*s)[3]));
  let b = transpose(mat4x4((*s)[4], (*s)[5], (*s)[6], (*s)[7]));
  pool[token][rg] = a[0];
  pool[token][ROW_GROUPS + rg] = b[0];
  pool[token + 1u][rg] = a[1];
  pool[token + 1u][ROW_GROUPS + rg] = b[1];
  pool[token + 2u][rg] = a[2];
  pool[token + 2u][ROW_GROUPS + rg] = b[2];
  pool[token + 3u][rg] = a[3];
  pool[token + 3u][ROW_GROUPS + rg] = b[3];
}

// 8 rows × 8 elements of the output: o[2r] and o[2r+1] belong to row r.
alias Output = array<vec4<f32>, 16>;

fn add_token(o: ptr<function, Output>, token: u32, rg: u32, cg: u32) {
  let p = pool[token][rg];
  let q = pool[token][ROW_GROUPS + rg];
  let v = pool[token][QUERY_QUADS + cg];
  let w = pool[token][QUERY_QUADS + COLUMN_GROUPS + cg];
  (*o)[0] += p.x * v;
  (*o)[1] += p.x * w;
  (*o)[2] += p.y * v;
  (*o)[3] += p.y * w;
  (*o)[4] += p.z * v;
  (*o)[5] += p.z * w;
  (*o)[6] += p.w * v;
  (*o)[7] += p.w * w;
  (*o)[8] += q.x * v;
  (*o)[9] += q.x * w;
  (*o)[10] += q.y * v;
  (*o)[11] += q.y * w;
  (*o)[12] += q.z * v;
  (*o)[13] += q.z * w;
  (*o)[14] += q.w * v;
  (*o)[15] += q.w * w;
}

fn add_tokens8(o: ptr<function, Output>, token: u32, rg: u32, cg: u32) {
  add_token(o, token, rg, cg);
  add_token(o, token + 1u, rg, cg);
  add_token(o, token + 2u, rg, cg);
  add_token(o, token + 3u, rg, cg);
  add_token(o, token + 4u, rg, cg);
  add_token(o, token + 5u, rg, cg);
  add_token(o, token + 6u, rg, cg);
  add_token(o, token + 7u, rg, cg);
}

fn rescale(o: ptr<function, Output>, f: OfRows) {
  (*o)[0] *= f.a.x;
  (*o)[1] *= f.a.x;
  (*o)[2] *= f.a.y;
  (*o)[3] *= f.a.y;
  (*o)[4] *= f.a.z;
  (*o)[5] *= f.a.z;
  (*o)[6] *= f.a.w;
  (*o)[7] *= f.a.w;
  (*o)[8] *= f.b.x;
  (*o)[9] *= f.b.x;
  (*o)[10] *= f.b.y;
  (*o)[11] *= f.b.y;
  (*o)[12] *= f.b.z;
  (*o)[13] *= f.b.z;
  (*o)[14] *= f.b.w;
  (*o)[15] *= f.b.w;
}

// A row that sees no token is zero, also where a token that others see is no number.
fn store_row(row: u32, head: u32, cg: u32, item: Item, v: vec4<f32>, w: vec4<f32>) {
  if (row >= item.rows) { return; }
  let at = ((item.first + row) * P.H + head) * (DV / 4u);
  let some = sees(row, item);
  if (cg < DV / 4u) { out[at + cg] = select(vec4(0.0), v, some); }
  if (COLUMN_GROUPS + cg < DV / 4u) { out[at + COLUMN_GROUPS + cg] = select(vec4(0.0), w, some); }
}

// A row that sees no token has −1e30, whatever its sums are; only that one: a sum that is NaN must stay one.
fn store_lse(row: u32, head: u32, item: Item, maximum: f32, sum: f32) {
  if (row >= item.rows || item.first + row >= P.queries) { return; }
  let scale = select(0.6931471805599453, 1.0, LSE2 == 1u);
  let value = (maximum + log2(sum)) * scale;
  lse[(item.first + row) * P.H + head] = select(MASKED, value, sees(row, item));
}

fn sees(row: u32, item: Item) -> bool { return min(i32(item.end), i32(row) + item.limit) > 0; }

@compute @workgroup_size(128)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  // Items stand long ones first; their heads run side by side.
  let index = workgroup.x + workgroup.y * grid.x;
  if (index >= P.items * P.heads) { return; }
  let item = work[index / P.heads];
  let head = index % P.heads;
  let block = Block(
    (head * P.query_quads + item.query_quad) * D,
    (item.rows + 3u) / 4u,
    head * DN * P.token_quads + item.token_quad,
    item.token_quad,
    (head * P.token_quads + item.token_quad) * DV,
    item.end,
    u32(max(min(i32(item.end), item.limit), 0)),
  );

  // Neighbours (t, t^1) share the tokens, (t, t^2) the rows: memory serves two lanes that read one address at once.
  let rg = t % 2u + 2u * (t / 4u % (ROW_GROUPS / 2u));
  let cg = t / 2u % 2u + 2u * (t / (2u * ROW_GROUPS));

  var o = Output();
  var maximum = OfRows(vec4(MASKED), vec4(MASKED));
  var sum = OfRows(vec4(0.0), vec4(0.0)); // of the thread's own tokens, until the end

  for (var first = 0u; first < item.end; first += TILE) {
    var s = Scores();
    for (var d = 0u; d < D; d += STEP) {
      let q0 = fetch_query(t, 0u, d, block);
      let q1 = fetch_query(t, 1u, d, block);
      let q2 = fetch_query(t, 2u, d, block);
      let q3 = fetch_query(t, 3u, d, block);
      let k0 = fetch_key(t, 0u, d, first, block);
      let k1 = fetch_key(t, 1u, d, first, block);
      workgroupBarrier(); // the pool is free
      store_query(t, 0u, q0);
      store_query(t, 1u, q1);
      store_query(t, 2u, q2);
      store_query(t, 3u, q3);
      store_key(t, 0u, k0);
      store_key(t, 1u, k1);
      workgroupBarrier();
      add_products8(&s, 0u, rg, cg);
      if (STEP > 8u) { add_products8(&s, STEP - 8u, rg, cg); }
    }
    if (first + TILE > block.seen_by_all) { mask(&s, first + 4u * cg, 4u * rg, item); }

    let own = OfRows(
      vec4(largest(s[0]), largest(s[1]), largest(s[2]), largest(s[3])),
      vec4(largest(s[4]), largest(s[5]), largest(s[6]), largest(s[7])),
    );
    workgroupBarrier(); // the pool is free
    store_partial(rg, cg, own);
    workgroupBarrier();
    var top = maximum;
    for (var i = 0u; i < COLUMN_GROUPS; i += 4u) {
      let p0 = partial(rg, i);
      let p1 = partial(rg, i + 1u);
      let p2 = partial(rg, i + 2u);
      let p3 = partial(rg, i + 3u);
      top.a = max(top.a, max(max(p0.a, p1.a), max(p2.a, p3.a)));
      top.b = max(top.b, max(max(p0.b, p1.b), max(p2.b, p3.b)));
    }
    let change = OfRows(exp2(maximum.a - top.a), exp2(maximum.b - top.b));
    maximum = top;
    s[0] = exp2(s[0] - top.a.x);
    s[1] = exp2(s[1] - top.a.y);
    s[2] = exp2(s[2] - top.a.z);
    s[3] = exp2(s[3] - top.a.w);
    s[4] = exp2(s[4] - top.b.x);
    s[5] = exp2(s[5] - top.b.y);
    s[6] = exp2(s[6] - top.b.z);
    s[7] = exp2(s[7] - top.b.w);
    sum.a = sum.a * change.a + vec4(total(s[0]), total(s[1]), total(s[2]), total(s[3]));
    sum.b = sum.b * change.b + vec4(total(s[4]), total(s[5]), total(s[6]), total(s[7]));
    if (any(change.a != vec4(1.0)) || any(change.b != vec4(1.0))) { rescale(&o, change); }

    for (var step = 0u; step < TILE / STEP; step++) {
      let token = first + step * STEP;
      if (token >= item.end) { break; }
      let v0 = fetch_value(t, 0u, token, block);
      let v1 = fetch_value(t, 1u, token, block);
      let v2 = fetch_value(t, 2u, token, block);
      let v3 = fetch_value(t, 3u, token, block);
      workgroupBarrier(); // the pool is free
      if (cg / (STEP / 4u) == step) { store_probabilities(&s, 4u * (cg % (STEP / 4u)), rg); }
      store_value(t, 0u, v0);
      store_value(t, 1u, v1);
      store_value(t, 2u, v2);
      store_value(t, 3u, v3);
      workgroupBarrier();
      add_tokens8(&o, 0u, rg, cg);
      if (STEP > 8u) { add_tokens8(&o, STEP - 8u, rg, cg); }
    }
  }

  workgroupBarrier(); // the pool is free
  store_partial(rg, cg, sum);
  workgroupBarrier();
  var all = OfRows(vec4(0.0), vec4(0.0));
  for (var i = 0u; i < COLUMN_GROUPS; i += 4u) {
    let p0 = partial(rg, i);
    let p1 = partial(rg, i + 1u);
    let p2 = partial(rg, i + 2u);
    let p3 = partial(rg, i + 3u);
    all.a += (p0.a + p1.a) + (p2.a + p3.a);
    all.b += (p0.b + p1.b) + (p2.b + p3.b);
  }
  let h = P.first_head + head;
  let low = 4u * rg;
  let high = ROWS / 2u + 4u * rg;
  if (cg == 0u) {
    store_lse(low, h, item, maximum.a.x, all.a.x);
    store_lse(low + 1u, h, item, maximum.a.y, all.a.y);
    store_lse(low + 2u, h, item, maximum.a.z, all.a.z);
    store_lse(low + 3u, h, item, maximum.a.w, all.a.w);
    store_lse(high, h, item, maximum.b.x, all.b.x);
    store_lse(high + 1u, h, item, maximum.b.y, all.b.y);
    store_lse(high + 2u, h, item, maximum.b.z, all.b.z);
    store_lse(high + 3u, h, item, maximum.b.w, all.b.w);
  }
  rescale(&o, OfRows(1.0 / all.a, 1.0 / all.b));
  store_row(low, h, cg, item, o[0], o[1]);
  store_row(low + 1u, h, cg, item, o[2], o[3]);
  store_row(low + 2u, h, cg, item, o[4], o[5]);
  store_row(low + 3u, h, cg, item, o[6], o[7]);
  store_row(high, h, cg, item, o[8], o[9]);
  store_row(high + 1u, h, cg, item, o[10], o[11]);
  store_row(high + 2u, h, cg, item, o[12], o[13]);
  store_row(high + 3u, h, cg, item, o[14], o[15]);
}
