// out[t,h,n] = Σ_k x[t,h,k]·w(h,k,n): w is row k of the head's weight (part q), or its row n (part v, TRANSPOSED).
// Shapes: x [tokens,heads,K] f32; weight [heads·HEAD_ROWS,R], the head's rows from FIRST_ROW on; out
// [tokens+padding,heads,N] f32.
// Mapping: workgroup ↔ ROWS tokens × COLUMNS outputs of a head, in steps of 16 along k; thread ↔ 8 × 8 of them.
// Workgroups past the last tile write the zeros of the padding rows.
// Needs: nothing optional. Appended: K, N, R, HEAD_ROWS, FIRST_ROW, TRANSPOSED, ROWS, COLUMNS, THREADS and the weight's
// Chunk.

struct Params {
  tokens: u32,
  heads: u32,
  items: u32,
  zero_begin: u32,
  zero_end: u32,
  row_tiles: u32,
}

@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<Chunk>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;

const ROW_GROUPS = ROWS / 8u; // threads along the tokens
const COLUMN_GROUPS = COLUMNS / 8u; // threads along the outputs
const COLUMN_TILES = (N + COLUMNS - 1u) / COLUMNS;
const PIECES = COLUMNS / 2u; // pieces of four rows × one chunk in a tile of the weight: 16·COLUMNS/32

const_assert THREADS == ROW_GROUPS * COLUMN_GROUPS;
const_assert THREADS % ROWS == 0u; // a piece of x for each of the first ROWS threads
const_assert PIECES <= THREADS; // at most one piece of the weight for a thread
const_assert ROW_GROUPS % 2u == 0u && COLUMN_GROUPS % 2u == 0u;

// Tiles [k % 4][k / 4][tokens or outputs, four to a vector]. Stride + 2: eight threads that store pieces of four k next
// to each other meet eight different groups of banks.
var<workgroup> x_tile: array<array<array<vec4<f32>, ROWS / 4u + 2u>, 4>, 4>;
var<workgroup> w_tile: array<array<array<vec4<f32>, COLUMNS / 4u + 2u>, 4>, 4>;

// Four elements of k of four tokens.
struct Rows {
  r0: vec4<f32>,
  r1: vec4<f32>,
  r2: vec4<f32>,
  r3: vec4<f32>,
}

// Four elements along k, from 4·quad on, of four tokens. The last token stands in for those past it: there may be NaN
// there, and their results go nowhere. Past the end of the sum there are zeros.
fn load_x(h: u32, row: u32, quad: u32) -> Rows {
  if (quad >= K / 4u) { return Rows(); }
  let last = P.tokens - 1u;
  let stride = P.heads * (K / 4u);
  let at = h * (K / 4u) + quad;
  return Rows(
    x[min(row, last) * stride + at],
    x[min(row + 1u, last) * stride + at],
    x[min(row + 2u, last) * stride + at],
    x[min(row + 3u, last) * stride + at],
  );
}

fn store_x(kq: u32, rq: u32, p: Rows) {
  x_tile[0][kq][rq] = vec4(p.r0.x, p.r1.x, p.r2.x, p.r3.x);
  x_tile[1][kq][rq] = vec4(p.r0.y, p.r1.y, p.r2.y, p.r3.y);
  x_tile[2][kq][rq] = vec4(p.r0.z, p.r1.z, p.r2.z, p.r3.z);
  x_tile[3][kq][rq] = vec4(p.r0.w, p.r1.w, p.r2.w, p.r3.w);
}

// One chunk of four rows of the weight.
struct Piece {
  c0: Chunk,
  c1: Chunk,
  c2: Chunk,
  c3: Chunk,
}

fn load_rows(row: u32, chunk: u32) -> Piece {
  let at = row * (R / 8u) + chunk;
  return Piece(weight[at], weight[at + R / 8u], weight[at + 2u * (R / 8u)], weight[at + 3u * (R / 8u)]);
}

// Piece `i` of the tile that begins at element `k` of the sum and output `n`. Rows past the last output are repeated,
// their results go nowhere; past the end of the sum there are zeros.
fn load_w(i: u32, h: u32, k: u32, n: u32) -> Piece {
  let first = h * HEAD_ROWS + FIRST_ROW;
  if (TRANSPOSED == 1u) {
    let chunk = k / 8u + i % 2u;
    if (chunk >= K / 8u) { return Piece(); }
    return load_rows(first + min(n + 4u * (i / 2u), N - 4u), chunk);
  }
  let row = k + 4u * (i / COLUMN_GROUPS);
  if (row >= K) { return Piece(); }
  return load_rows(first + row, min(n / 8u + i % COLUMN_GROUPS, N / 8u - 1u));
}

fn store_w(i: u32, p: Piece) {
  if (TRANSPOSED == 1u) {
    store_w_transposed(2u * (i % 2u), i / 2u, Rows(low(p.c0), low(p.c1), low(p.c2), low(p.c3)));
    store_w_transposed(2u * (i % 2u) + 1u, i / 2u, Rows(high(p.c0), high(p.c1), high(p.c2), high(p.c3)));
    return;
  }
  let kq = i / COLUMN_GROUPS;
  let c = 2u * (i % COLUMN_GROUPS);
  w_tile[0][kq][c] = low(p.c0);
  w_tile[0][kq][c + 1u] = high(p.c0);
  w_tile[1][kq][c] = low(p.c1);
  w_tile[1][kq][c + 1u] = high(p.c1);
  w_tile[2][kq][c] = low(p.c2);
  w_tile[2][kq][c + 1u] = high(p.c2);
  w_tile[3][kq][c] = low(p.c3);
  w_tile[3][kq][c + 1u] = high(p.c3);
}

fn store_w_transposed(kq: u32, nq: u32, p: Rows) {
  w_tile[0][kq][nq] = vec4(p.r0.x, p.r1.x, p.r2.x, p.r3.x);
  w_tile[1][kq][nq] = vec4(p.r0.y, p.r1.y, p.r2.y, p.r3.y);
  w_tile[2][kq][nq] = vec4(p.r0.z, p.r1.z, p.r2.z, p.r3.z);
  w_tile[3][kq][nq] = vec4(p.r0.w, p.r1.w, p.r2.w, p.r3.w);
}

// Eight tokens × eight outputs: s[2i] and s[2i+1] belong to token i. Indices are literals because a dynamic index would
// move the array out of registers.
alias Sums = array<vec4<f32>, 16>;

// Adds one element of the sum: eight tokens in a and b, eight outputs in c and d.
fn step(s: ptr<function, Sums>, a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) {
  (*s)[0] += a.x * c;
  (*s)[1] += a.x * d;
  (*s)[2] += a.y * c;
  (*s)[3] += a.y * d;
  (*s)[4] += a.z * c;
  (*s)[5] += a.z * d;
  (*s)[6] += a.w * c;
  (*s)[7] += a.w * d;
  (*s)[8] += b.x * c;
  (*s)[9] += b.x * d;
  (*s)[10] += b.y * c;
  (*s)[11] += b.y * d;
  (*s)[12] += b.z * c;
  (*s)[13] += b.z * d;
  (*s)[14] += b.w * c;
  (*s)[15] += b.w * d;
}

fn store_token(row: u32, h: u32, quad: u32, a: vec4<f32>, b: vec4<f32>) {
  if (row >= P.tokens) { return; }
  let at = (row * P.heads + h) * (N / 4u) + quad;
  if (quad < N / 4u) { out[at] = a; }
  if (quad + COLUMN_GROUPS < N / 4u) { out[at + COLUMN_GROUPS] = b; }
}

fn zero(at: u32) {
  if (at < P.zero_end) { out[at] = vec4<f32>(); }
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let item = workgroup.x + workgroup.y * grid.x;
  if (item >= P.items) {
    let at = P.zero_begin + (item - P.items) * 4u * THREADS + t;
    zero(at);
    zero(at + THREADS);
    zero(at + 2u * THREADS);
    zero(at + 3u * THREADS);
    return;
  }
  // Tiles of the same outputs, then of the same head, run next to each other, so that they share x and weight in the
  // cache.
  let first_row = item % P.row_tiles * ROWS;
  let first_column = item / P.row_tiles % COLUMN_TILES * COLUMNS;
  let h = item / P.row_tiles / COLUMN_TILES;

  // Neighbours (t, t^1) share the tokens and (t, t^2) the outputs: such a pair's read of workgroup memory costs one.
  let column = t % 2u + 2u * (t / 4u % (COLUMN_GROUPS / 2u));
  let row = t / 2u % 2u + 2u * (t / 4u / (COLUMN_GROUPS / 2u));
  let row2 = row + ROW_GROUPS;
  let column2 = column + COLUMN_GROUPS;

  var s = Sums();
  for (var k = 0u; k < K; k += 16u) {
    // The loads are in flight while slower threads still use the tile.
    var p = Rows();
    var q = Piece();
    if (t < ROWS) { p = load_x(h, first_row + t / 4u * 4u, k / 4u + t % 4u); }
    if (t < PIECES) { q = load_w(t, h, k, first_column); }
    workgroupBarrier();
    if (t < ROWS) { store_x(t % 4u, t / 4u, p); }
    if (t < PIECES) { store_w(t, q); }
    workgroupBarrier();
    step(&s, x_tile[0][0][row], x_tile[0][0][row2], w_tile[0][0][column], w_tile[0][0][column2]);
    step(&s, x_tile[1][0][row], x_tile[1][0][row2], w_tile[1][0][column], w_tile[1][0][column2]);
    step(&s, x_tile[2][0][row], x_tile[2][0][row2], w_tile[2][0][column], w_tile[2][0][column2]);
    step(&s, x_tile[3][0][row], x_tile[3][0][row2], w_tile[3][0][column], w_tile[3][0][column2]);
    step(&s, x_tile[0][1][row], x_tile[0][1][row2], w_tile[0][1][column], w_tile[0][1][column2]);
    step(&s, x_tile[1][1][row], x_tile[1][1][row2], w_tile[1][1][column], w_tile[1][1][column2]);
    step(&s, x_tile[2][1][row], x_tile[2][1][row2], w_tile[2][1][column], w_tile[2][1][column2]);
    step(&s, x_tile[3][1][row], x_tile[3][1][row2], w_tile[3][1][column], w_tile[3][1][column2]);
    step(&s, x_tile[0][2][row], x_tile[0][2][row2], w_tile[0][2][column], w_tile[0][2][column2]);
    step(&s, x_tile[1][2][row], x_tile[1][2][row2], w_tile[1][2][column], w_tile[1][2][column2]);
    step(&s, x_tile[2][2][row], x_tile[2][2][row2], w_tile[2][2][column], w_tile[2][2][column2]);
    step(&s, x_tile[3][2][row], x_tile[3][2][row2], w_tile[3][2][column], w_tile[3][2][column2]);
    step(&s, x_tile[0][3][row], x_tile[0][3][row2], w_tile[0][3][column], w_tile[0][3][column2]);
    step(&s, x_tile[1][3][row], x_tile[1][3][row2], w_tile[1][3][column], w_tile[1][3][column2]);
    step(&s, x_tile[2][3][row], x_tile[2][3][row2], w_tile[2][3][column], w_tile[2][3][column2]);
    step(&s, x_tile[3][3][row], x_tile[3][3][row2], w_tile[3][3][column], w_tile[3][3][column2]);
  }

  let token = first_row + 4u * row;
  let token2 = first_row + 4u * row2;
  let quad = first_column / 4u + column;
  store_token(token, h, quad, s[0], s[1]);
  store_token(token + 1u, h, quad, s[2], s[3]);
  store_token(token + 2u, h, quad, s[4], s[5]);
  store_token(token + 3u, h, quad, s[6], s[7]);
  store_token(token2, h, quad, s[8], s[9]);
  store_token(token2 + 1u, h, quad, s[10], s[11]);
  store_token(token2 + 2u, h, quad, s[12], s[13]);
  store_token(token2 + 3u, h, quad, s[14], s[15]);
}
