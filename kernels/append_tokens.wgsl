// slot[i] = cache_loc[cu_num_pages[b] + pos / page]·page + pos % page, pos = input_pos[b] + i − cu_seqlen[b]; cache[slot[i]] = (compressed_kv[i], kpe[i]).
// Shapes: compressed_kv [≥tokens,R], kpe [≥tokens,DR] f32 bits; cu_seqlen, cu_num_pages [B+1]; cache_loc [entries]; input_pos [B].
// Mapping: workgroup ↔ 256 pieces of 16 bytes of the cache, thread ↔ 4 of them; the slot of each token they belong to is found once,
//   by binary search over cu_seqlen, while the 4 to 8 loads of every thread are in flight.
// Needs: nothing optional. Appended: R, DR, HALF (elements of 2 bytes, not 4), `narrow`, which rounds to them, and `store`.

struct Params {
  B: u32,
  tokens: u32,
  page: u32,
  pages: u32,
  entries: u32,
}

@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> compressed_kv: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> kpe: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> cu_seqlen: array<u32>;
@group(0) @binding(4) var<storage, read> cu_num_pages: array<u32>;
@group(0) @binding(5) var<storage, read> cache_loc: array<i32>;
@group(0) @binding(6) var<storage, read> input_pos: array<u32>;

const LATENT = R / (4u * (1u + HALF)); // 16-byte pieces of a latent
const ROPE = DR / (4u * (1u + HALF)); // 16-byte pieces of a rope key
const PIECES = LATENT + ROPE; // of a token, the latent first
const SPAN = 256u; // pieces of a workgroup
const NOWHERE = 0xffffffffu; // slot of a token that is not to be written

var<workgroup> slots: array<u32, SPAN / PIECES + 2u>; // of the tokens that the workgroup's pieces belong to

// 16 bytes of the cache.
fn piece_of(item: u32) -> vec4<u32> {
  if (item >= P.tokens * PIECES) { return vec4(0u); }
  let token = item / PIECES;
  let piece = item % PIECES * (1u + HALF);
  if (item % PIECES < LATENT) {
    let at = token * (R / 4u) + piece;
    if (HALF == 0u) { return compressed_kv[at]; }
    return pack(compressed_kv[at], compressed_kv[at + HALF]);
  }
  let at = token * (DR / 4u) + piece - R / 4u;
  if (HALF == 0u) { return kpe[at]; }
  return pack(kpe[at], kpe[at + HALF]);
}

// Eight f32 as eight elements of 2 bytes.
fn pack(x: vec4<u32>, y: vec4<u32>) -> vec4<u32> {
  let a = narrow(x);
  let b = narrow(y);
  return vec4(a.x | (a.y << 16u), a.z | (a.w << 16u), b.x | (b.y << 16u), b.z | (b.w << 16u));
}

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
  if (token >= min(P.tokens, cu_seqlen[b + 1u])) { return NOWHERE; } // padding
  let pos = input_pos[b] + token - cu_seqlen[b];
  if (pos >= 0x80000000u) { return NOWHERE; } // negative as i32
  let first = cu_num_pages[b];
  let end = min(cu_num_pages[b + 1u], P.entries);
  if (first >= end || pos / P.page >= end - first) { return NOWHERE; }
  let page_id = u32(cache_loc[first + pos / P.page]);
  if (page_id >= P.pages) { return NOWHERE; }
  return page_id * P.page + pos % P.page;
}

fn write(item: u32, first_token: u32, value: vec4<u32>) {
  let slot = slots[min(item / PIECES - first_token, SPAN / PIECES + 1u)];
  if (slot != NOWHERE) { store(slot, item % PIECES, value); }
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let item = (workgroup.x + workgroup.y * grid.x) * SPAN + t;
  let first_token = (item - t) / PIECES;
  let v0 = piece_of(item);
  let v1 = piece_of(item + 64u);
  let v2 = piece_of(item + 128u);
  let v3 = piece_of(item + 192u);
  for (var i = t; i < SPAN / PIECES + 2u; i += 64u) { slots[i] = slot_of(first_token + i); }
  workgroupBarrier();
  write(item, first_token, v0);
  write(item + 64u, first_token, v1);
  write(item + 128u, first_token, v2);
  write(item + 192u, first_token, v3);
}
