// slot[i] = cache_loc[cu_num_pages[b] + pos / page]·page + pos % page, pos = input_pos[b] + i − cu_seqlen[b];
// cache[slot[i]] = (compressed_kv[i], kpe[i]).
// Shapes: compressed_kv [≥tokens,R], kpe [≥tokens,DR] f32 bits; cu_seqlen, cu_num_pages [B+1]; cache_loc [entries];
// input_pos [B].
// Mapping: workgroup ↔ 256 pieces of 16 bytes, of latents (the first ones) or of rope keys; thread ↔ 4 of them. The
// slots of its tokens
//   are found once, by binary search over cu_seqlen, while the loads of all threads are in flight: they are in no
//   branch.
// Needs: nothing optional. Appended: R, DR, HALF (elements of 2 bytes, not 4), `narrow`, which rounds to them, and the
// two stores.

struct Params {
  B: u32,
  tokens: u32,
  page: u32,
  pages: u32,
  entries: u32,
  latents: u32,
}

@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> compressed_kv: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> kpe: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> cu_seqlen: array<u32>;
@group(0) @binding(4) var<storage, read> cu_num_pages: array<u32>;
@group(0) @binding(5) var<storage, read> cache_loc: array<i32>;
@group(0) @binding(6) var<storage, read> input_pos: array<u32>;

const QUADS = 1u + HALF; // groups of four f32 that become a piece
const LATENT = R / (4u * QUADS); // pieces of a latent
const ROPE = DR / (4u * QUADS); // pieces of a rope key
const SPAN = 256u; // pieces of a workgroup
const MOST = SPAN / 2u + 2u; // tokens that they can belong to: a row has at least two pieces
const NOWHERE = 0xffffffffu; // slot of a token that is not to be written

var<workgroup> slots: array<u32, MOST>;

// The last sequence that starts at or before the token: empty ones before it start there too and are skipped.
fn sequence_of(token: u32) -> u32 {
  var low = 0u;
  var high = P.B;
  while (high - low > 1u) {
    let middle = (low + high) / 2u;
    if (cu_seqlen[middle] <= token) { low = middle; } else { high = middle; }
  }
  return low;
}

// Where a token belongs, in tokens of the cache. No page but the sequence's own is written, and none outside the cache.
fn slot_of(token: u32) -> u32 {
  let b = sequence_of(token);
  let end = min(P.tokens, cu_seqlen[b + 1u]); // what follows is padding
  let pos = input_pos[b] + token - cu_seqlen[b];
  let entry = cu_num_pages[b] + pos / P.page;
  let entries = min(cu_num_pages[b + 1u], P.entries);
  let owned = entries - min(entries, cu_num_pages[b]);
  // Positions from 2³¹ on are negative as i32.
  if (token >= end || pos >= 0x80000000u || pos / P.page >= owned) { return NOWHERE; }
  let page_id = u32(cache_loc[entry]);
  if (page_id >= P.pages) { return NOWHERE; }
  return page_id * P.page + pos % P.page;
}

// Four or eight f32 as a piece of 16 bytes.
fn pack(x: vec4<u32>, y: vec4<u32>) -> vec4<u32> {
  if (HALF == 0u) { return x; }
  let a = narrow(x);
  let b = narrow(y);
  return vec4(a.x | (a.y << 16u), a.z | (a.w << 16u), b.x | (b.y << 16u), b.z | (b.w << 16u));
}

fn write(rope: bool, row: u32, piece: u32, x: vec4<u32>, y: vec4<u32>) {
  let slot = slots[min(row, MOST - 1u)];
  if (slot == NOWHERE) { return; }
  if (rope) {
    store_rope(slot, piece, pack(x, y));
  } else {
    store_latent(slot, piece, pack(x, y));
  }
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let index = workgroup.x + workgroup.y * grid.x;
  let rope = index >= P.latents;
  if (rope && ROPE == 0u) { return; }
  let width = select(LATENT, max(ROPE, 1u), rope); // pieces of a row
  let first = select(index, index - P.latents, rope) * SPAN; // piece of the workgroup
  let i0 = first + t;
  let i1 = i0 + 64u;
  let i2 = i0 + 128u;
  let i3 = i0 + 192u;

  // Past the last token the last piece is read, and nothing written.
  let last = P.tokens * width - 1u;
  let a0 = min(i0, last) * QUADS;
  let a1 = min(i1, last) * QUADS;
  let a2 = min(i2, last) * QUADS;
  let a3 = min(i3, last) * QUADS;
  var x0 = vec4<u32>();
  var x1 = vec4<u32>();
  var x2 = vec4<u32>();
  var x3 = vec4<u32>();
  var y0 = vec4<u32>();
  var y1 = vec4<u32>();
  var y2 = vec4<u32>();
  var y3 = vec4<u32>();
  if (rope) {
    x0 = kpe[a0];
    x1 = kpe[a1];
    x2 = kpe[a2];
    x3 = kpe[a3];
    y0 = kpe[a0 + HALF];
    y1 = kpe[a1 + HALF];
    y2 = kpe[a2 + HALF];
    y3 = kpe[a3 + HALF];
  } else {
    x0 = compressed_kv[a0];
    x1 = compressed_kv[a1];
    x2 = compressed_kv[a2];
    x3 = compressed_kv[a3];
    y0 = compressed_kv[a0 + HALF];
    y1 = compressed_kv[a1 + HALF];
    y2 = compressed_kv[a2 + HALF];
    y3 = compressed_kv[a3 + HALF];
  }

  let token = first / width;
  for (var i = t; i < SPAN / width + 2u; i += 64u) { slots[i] = slot_of(token + i); }
  workgroupBarrier();
  write(rope, i0 / width - token, i0 % width, x0, y0);
  write(rope, i1 / width - token, i1 % width, x1, y1);
  write(rope, i2 / width - token, i2 % width, x2, y2);
  write(rope, i3 / width - token, i3 % width, x3, y3);
}
