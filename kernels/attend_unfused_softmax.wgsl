// scores[i][r,t] ← exp(scores[i][r,t] − max) / sum over the tokens of work item i that row r sees, 0 for the others;
//   lse[r] = (max + log sum)·lse_factor.
// Shapes: work [items,2]; scores of an item [rows, tokens up to 16] f32; lse [rows of the batch] or, of split items,
// [partial rows] f32.
// Mapping: workgroup ↔ (item, row); thread ↔ every 64th group of four tokens, which it reads twice: once for its
// maximum and the sum
//   relative to that, once to write.
// Needs: nothing optional, and nothing is appended.

struct Params {
  H: u32,
  first: u32,
  count: u32,
  rows: u32,
  lse_factor: f32,
}

@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> work: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> scores: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> lse: array<f32>;

const DIRECT = 0xffffffffu; // slot of an item that writes the final result
const MASKED = -1e30; // finite: ∞ is no constant in WGSL

var<workgroup> parts: array<f32, 64>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let index = workgroup.x + workgroup.y * grid.x;
  if (index >= P.count * P.rows) { return; }
  let rows = work[2u * (P.first + index / P.rows)]; // sequence, row, rows, slot
  let span = work[2u * (P.first + index / P.rows) + 1u]; // begin, end, offset, scores
  let r = index % P.rows;
  if (r >= rows.z) { return; }
  let quads = (span.y - span.x + 15u) / 16u * 4u;
  let limit = min(i32(span.y), i32((rows.y + r) / P.H) + i32(span.z));
  let seen = u32(max(limit - i32(span.x), 0)); // tokens of the item that the row sees
  let at = span.w * 4u + r * quads;

  var own = MASKED;
  var sum = 0.0;
  for (var quad = t; 4u * quad < seen; quad += 64u) {
    let unseen = 4u * quad + vec4(0u, 1u, 2u, 3u) >= vec4(seen);
    let s = select(scores[at + quad], vec4(MASKED), unseen);
    let top = max(max(s.x, s.y), max(s.z, s.w));
    if (top > own) {
      sum *= exp(own - top);
      own = top;
    }
    let p = select(exp(s - own), vec4(0.0), unseen);
    sum += p.x + p.y + p.z + p.w;
  }
  parts[t] = own;
  workgroupBarrier();
  for (var width = 32u; width > 0u; width /= 2u) {
    if (t < width) { parts[t] = max(parts[t], parts[t + width]); }
    workgroupBarrier();
  }
  let maximum = parts[0];
  workgroupBarrier(); // parts is free
  parts[t] = sum * exp(own - maximum);
  workgroupBarrier();
  for (var width = 32u; width > 0u; width /= 2u) {
    if (t < width) { parts[t] += parts[t + width]; }
    workgroupBarrier();
  }
  sum = parts[0];

  for (var quad = t; quad < quads; quad += 64u) {
    let unseen = 4u * quad + vec4(0u, 1u, 2u, 3u) >= vec4(seen);
    scores[at + quad] = select(exp(scores[at + quad] - maximum) / sum, vec4(0.0), unseen);
  }
  if (t == 0u) {
    // Only a row that sees nothing is empty: a sum that is NaN must stay one.
    let row = select(rows.w, rows.y, rows.w == DIRECT) + r;
    lse[row] = select(MASKED, (maximum + log(sum)) * P.lse_factor, seen > 0u);
  }
}
