// out[t,h,n] = Σ_k x[t,h,k]·w(h,k,n): w is row k of the head's weight (part q), or its row n (part v, TRANSPOSED).
// Shapes: x [tokens,heads,K] f32; weight [heads·HEAD_ROWS,R], the head's rows from FIRST_ROW on; out
// [tokens+padding,heads,N] f32.
// Mapping: workgroup ↔ OUTPUTS outputs of a head and TOKENS tokens; thread ↔ 8 outputs × TOKENS × every SLICES-th block
// of 8 along k. Workgroups past the last block write the zeros of the padding rows.
// Needs: nothing optional. Appended: K, N, R, HEAD_ROWS, FIRST_ROW, TRANSPOSED, TOKENS, SLICES, ROUND, THREADS and the
// weight's Chunk.

struct Params {
  tokens: u32,
  heads: u32,
  items: u32,
  zero_begin: u32,
  zero_end: u32,
  groups: u32,
}

@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<Chunk>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;

const PLACES = THREADS / SLICES; // threads along the outputs
const OUTPUTS = 8u * PLACES;
const BLOCKS = (N + OUTPUTS - 1u) / OUTPUTS;
const STEPS = K / 8u; // blocks of eight along the sum
const QUADS = 2u * PLACES; // vectors of outputs of one token

const_assert THREADS == PLACES * SLICES;
const_assert SLICES % 8u == 0u;
const_assert TOKENS >= 1u && TOKENS <= 8u;
const_assert ROUND * QUADS <= THREADS; // a thread for each sum of a round

// Sums before those over the slices: [token of the round][slice][half of eight outputs][place].
var<workgroup> partial: array<vec4<f32>, ROUND * SLICES * QUADS>;

struct Eight {
  a: vec4<f32>,
  b: vec4<f32>,
}

// A chunk of eight rows of the weight: rows along k and chunks along the outputs in part q, the reverse in part v.
struct Block {
  r0: Eight,
  r1: Eight,
  r2: Eight,
  r3: Eight,
  r4: Eight,
  r5: Eight,
  r6: Eight,
  r7: Eight,
}

fn eight(c: Chunk) -> Eight { return Eight(low(c), high(c)); }

fn load_block(h: u32, k8: u32, n8: u32) -> Block {
  const WIDTH = R / 8u;
  let row = select(k8, n8, TRANSPOSED == 1u);
  let at = (h * HEAD_ROWS + FIRST_ROW + 8u * row) * WIDTH + select(n8, k8, TRANSPOSED == 1u);
  return Block(
    eight(weight[at]),
    eight(weight[at + WIDTH]),
    eight(weight[at + 2u * WIDTH]),
    eight(weight[at + 3u * WIDTH]),
    eight(weight[at + 4u * WIDTH]),
    eight(weight[at + 5u * WIDTH]),
    eight(weight[at + 6u * WIDTH]),
    eight(weight[at + 7u * WIDTH]),
  );
}

// Eight elements of a token. The last token stands in for those past it: there may be NaN there.
fn load_x(token: u32, h: u32, k8: u32) -> Eight {
  let at = ((min(token, P.tokens - 1u) * P.heads + h) * STEPS + k8) * 2u;
  return Eight(x[at], x[at + 1u]);
}

fn dot8(v: Eight, w: Eight) -> f32 {
  let s = v.a.x * w.a.x + v.a.y * w.a.y + v.a.z * w.a.z + v.a.w * w.a.w;
  return s + v.b.x * w.b.x + v.b.y * w.b.y + v.b.z * w.b.z + v.b.w * w.b.w;
}

// Eight outputs of one token, eight elements of the sum further.
fn add(s: Eight, w: Block, v: Eight) -> Eight {
  if (TRANSPOSED == 1u) {
    return Eight(
      s.a + vec4(dot8(v, w.r0), dot8(v, w.r1), dot8(v, w.r2), dot8(v, w.r3)),
      s.b + vec4(dot8(v, w.r4), dot8(v, w.r5), dot8(v, w.r6), dot8(v, w.r7)),
    );
  }
  let a = s.a + v.a.x * w.r0.a + v.a.y * w.r1.a + v.a.z * w.r2.a + v.a.w * w.r3.a;
  let b = s.b + v.a.x * w.r0.b + v.a.y * w.r1.b + v.a.z * w.r2.b + v.a.w * w.r3.b;
  return Eight(
    a + v.b.x * w.r4.a + v.b.y * w.r5.a + v.b.z * w.r6.a + v.b.w * w.r7.a,
    b + v.b.x * w.r4.b + v.b.y * w.r5.b + v.b.z * w.r6.b + v.b.w * w.r7.b,
  );
}

// What a workgroup works on, and a thread's share of it.
struct Place {
  h: u32,
  token: u32, // the first
  block: u32,
  place: u32,
  slice: u32,
  thread: u32,
}

// Takes token `i` of the group to its place in the round; the last of a round, or of all, adds the slices up.
fn finish(i: u32, s: Eight, p: Place) {
  let at = (i % ROUND * SLICES + p.slice) * QUADS + p.place;
  partial[at] = s.a;
  partial[at + PLACES] = s.b;
  if ((i + 1u) % ROUND != 0u && i + 1u != TOKENS) { return; }
  workgroupBarrier();
  let token = i / ROUND * ROUND + p.thread / QUADS;
  if (token <= i) { store_sum(token, p); }
  workgroupBarrier();
}

// Thread ↔ one vector of outputs of `token`.
fn store_sum(token: u32, p: Place) {
  let q = p.thread % QUADS;
  var sum = vec4<f32>();
  for (var s = 0u; s < SLICES; s += 8u) {
    let at = (token % ROUND * SLICES + s) * QUADS + q;
    let a = partial[at] + partial[at + QUADS] + partial[at + 2u * QUADS] + partial[at + 3u * QUADS];
    let b = partial[at + 4u * QUADS] + partial[at + 5u * QUADS] + partial[at + 6u * QUADS] + partial[at + 7u * QUADS];
    sum += a + b;
  }
  let quad = p.block * QUADS + 2u * (q % PLACES) + q / PLACES;
  if (quad < N / 4u && p.token + token < P.tokens) {
    out[((p.token + token) * P.heads + p.h) * (N / 4u) + quad] = sum;
  }
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
  // Groups of tokens of the same block run next to each other, so that they share its weight in the cache of the
  // device.
  let token = item % P.groups * TOKENS;
  let block = item / P.groups % BLOCKS;
  let h = item / P.groups / BLOCKS;
  // Neighbours read neighbouring chunks of a row of the weight.
  let place = select(t % PLACES, t / SLICES, TRANSPOSED == 1u);
  let slice = select(t / PLACES, t % SLICES, TRANSPOSED == 1u);
  // Threads past the last output repeat it and store nothing.
  let n8 = min(block * PLACES + place, N / 8u - 1u);

  // Conditions on TOKENS are constant; literal indices keep the sums in registers.
  var s = array<Eight, 8>();
  for (var k8 = slice; k8 < STEPS; k8 += SLICES) {
    let w = load_block(h, k8, n8);
    s[0] = add(s[0], w, load_x(token, h, k8));
    if (TOKENS > 1u) { s[1] = add(s[1], w, load_x(token + 1u, h, k8)); }
    if (TOKENS > 2u) { s[2] = add(s[2], w, load_x(token + 2u, h, k8)); }
    if (TOKENS > 3u) { s[3] = add(s[3], w, load_x(token + 3u, h, k8)); }
    if (TOKENS > 4u) { s[4] = add(s[4], w, load_x(token + 4u, h, k8)); }
    if (TOKENS > 5u) { s[5] = add(s[5], w, load_x(token + 5u, h, k8)); }
    if (TOKENS > 6u) { s[6] = add(s[6], w, load_x(token + 6u, h, k8)); }
    if (TOKENS > 7u) { s[7] = add(s[7], w, load_x(token + 7u, h, k8)); }
  }
  let p = Place(h, token, block, place, slice, t);
  finish(0u, s[0], p);
  if (TOKENS > 1u) { finish(1u, s[1], p); }
  if (TOKENS > 2u) { finish(2u, s[2], p); }
  if (TOKENS > 3u) { finish(3u, s[3], p); }
  if (TOKENS > 4u) { finish(4u, s[4], p); }
  if (TOKENS > 5u) { finish(5u, s[5], p); }
  if (TOKENS > 6u) { finish(6u, s[6], p); }
  if (TOKENS > 7u) { finish(7u, s[7], p); }
}
