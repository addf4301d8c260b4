enable f16; // As attend_fused_subgroup, with both products in chains of f16 that are added up in f32.
// Shapes: work [items,2]; q_latent [rows,R], q_pe [rows,DR] f32, row = query token·H + head; page_table [B,width]; out [rows,R], lse [rows].
// Mapping: workgroup ↔ item; a team of LANES lanes ↔ ROWS rows; lane ↔ every LANES-th chunk of d, of queries, keys and output alike.
// Needs: `shader-f16`, `subgroups` of a multiple of LANES lanes that divides THREADS, a cache of f16. Appended: as attend_fused_subgroup.

// A score's chain: even and odd elements of CHAIN chunks of a lane, and of the rope key. Where a lane has one chain, the first step
// of the sum over lanes is in f16 as well: 18 products at rank 512. An output's chain: the tokens of a block, at most 32.
// Appended beside those of attend_team.wgsl: CHAIN; FIRST_HALF values that the first step leaves in f16, else 0; WIDE_VALUES that are
// widened before it, else 0; FIRST_WIDE, the first step in f32.

// Queries are scaled by a power of two, their largest element to [1/64, 1/32): no chain overflows, |key| being 65504 at most.
const QUERY_EXPONENT = -5;
// Weights are at most 1; scaled by this, neither does a chain of 32 tokens.
const WEIGHT_SCALE = 0.015625;

alias Half2 = vec2<f16>;

// naga gives a bitcast from u32 to vec2<f16> the wrong type; this one compiles to nothing where it can.
fn halves(word: u32) -> Half2 { return Half2(unpack2x16float(word)); }

fn both(sum: Half2) -> f32 { return f32(sum.x) + f32(sum.y); }

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(subgroup_size) lanes: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let index = workgroup.x + workgroup.y * grid.x;
  if (index >= P.count) { return; }
  // The same for all, and told so: compilers keep what may differ from lane to lane in more instructions.
  let place = subgroupBroadcastFirst(work[2u * (P.first + index)]);
  let span = subgroupBroadcastFirst(work[2u * (P.first + index) + 1u]);
  let sequence = place.x;
  let first_row = place.y;
  let rows = place.z;
  let target_row = select(place.w, first_row, place.w == DIRECT);
  let begin = span.x;
  let end = span.y;

  // Threads are numbered by subgroup and lane, because WGSL does not say how local_invocation_index maps to lanes.
  let l = lane % LANES;
  let team = (subgroup * lanes + lane) / LANES;
  let first_lane = select(lane - l, 0u, WHOLE == 1u);
  let team_row = team * ROWS; // in the block
  if (subgroupBroadcastFirst(team_row) >= rows) { return; } // a subgroup as a whole: what follows stays uniform

  // Softmax: this lane's row and token of a tile, and the token after the last one that the rows of the team see, all the same:
  // they are of one query token, or there is no causal rule.
  let value = reverseBits(l) >> (32u - LOG_VALUES);
  let soft_row = min(team_row + value / TILE, rows - 1u);
  let limit = limit_of(first_row + soft_row, span.z, end);
  let bound = subgroupMax(limit); // of all teams of the subgroup, which stay together

  // Rows of a lane are in an order of its own: in place r it has row r ^ own_row. So in the sum over the team each lane keeps its
  // first half and gives its second, where it would have to select both.
  let own_row = value / TILE;

  // The exponent of each row's largest element, cut to what has an inverse: elements of 0, of infinity, and of sizes next to them.
  var exponents: array<i32, ROWS>; // unroll
  for (var r = 0u; r < ROWS; r++) { // unroll
    let row = first_row + min(team_row + r, rows - 1u);
    var largest = vec4(0.0);
    for (var c = 0u; c < SLICE; c++) { // unroll
      if (has_chunk(c, l)) {
        let at = row * (R / 4u) + 2u * (c * LANES + l);
        largest = max(largest, max(abs(q_latent[at]), abs(q_latent[at + 1u])));
      }
    }
    for (var c = 0u; c < PAIRS; c++) { // unroll
      if (has_pair(c, l)) { largest = max(largest, vec4(abs(q_pe[row * (DR / 2u) + c * LANES + l]), 0.0, 0.0)); }
    }
    var size = max(max(largest.x, largest.y), max(largest.z, largest.w));
    for (var step = 0u; step < LOG_LANES; step++) { // unroll
      size = max(size, subgroupShuffleXor(size, 1u << step));
    }
    exponents[r] = clamp(i32((bitcast<u32>(size) >> 23u) & 0xffu) - 126, -120, 120);
  }

  // Queries of the rows; a row past the block's last is its last again, and is not stored.
  var q: array<Half2, ROWS * SLICE * 4u>; // unroll
  var qr: array<Half2, ROWS * PAIR_ROOM>; // unroll
  var unscale = 1.0; // of this lane's row
  for (var r = 0u; r < ROWS; r++) { // unroll
    let row = first_row + min(team_row + (r ^ own_row), rows - 1u);
    var exponent = 0;
    for (var other = 0u; other < ROWS; other++) { // unroll
      if ((r ^ own_row) == other) { exponent = exponents[other]; }
    }
    let scale = ldexp(1.0, QUERY_EXPONENT - exponent);
    if (r == 0u) { unscale = ldexp(1.0, exponent - QUERY_EXPONENT); }
    for (var c = 0u; c < SLICE; c++) { // unroll
      if (has_chunk(c, l)) {
        let at = row * (R / 4u) + 2u * (c * LANES + l);
        let low_half = q_latent[at] * scale;
        let high_half = q_latent[at + 1u] * scale;
        q[(r * SLICE + c) * 4u] = Half2(low_half.xy);
        q[(r * SLICE + c) * 4u + 1u] = Half2(low_half.zw);
        q[(r * SLICE + c) * 4u + 2u] = Half2(high_half.xy);
        q[(r * SLICE + c) * 4u + 3u] = Half2(high_half.zw);
      }
    }
    for (var c = 0u; c < PAIRS; c++) { // unroll
      if (has_pair(c, l)) { qr[r * PAIRS + c] = Half2(q_pe[row * (DR / 2u) + c * LANES + l] * scale); }
    }
  }
  // Lane with the first token of the row in place r.
  var peers: array<u32, ROWS>; // unroll
  for (var r = 0u; r < ROWS; r++) { // unroll
    peers[r] = first_lane + ((l % ROWS) ^ LANE_OF[r * TILE]);
  }
  var o: array<vec4<f32>, ROWS * SLICE * 2u>; // unroll
  var a: array<Half2, ROWS * SLICE * 4u>; // unroll
  var maximum = MASKED;
  var sum = 0.0; // of this lane's own tokens

  // Lane ↔ token of a block of LANES tokens: where in the cache it is, of this block and of the next.
  var places = place_of(sequence, begin + l, limit);
  var upcoming = place_of(sequence, begin + LANES + l, limit);
  let last_place = place_of(sequence, limit, limit);
  var ahead = touch_block(places, team, l, first_lane);
  var touched = 0u;
  // Keys of a tile; where one is read ahead, those of the first.
  var latent: array<Chunk, TILE * SLICE>; // unroll
  var rope: array<Pair, TILE * PAIR_ROOM>; // unroll
  for (var i = 0u; i < TILE * AHEAD; i++) { // unroll
    let place = subgroupShuffle(places, first_lane + i);
    for (var c = 0u; c < SLICE; c++) { // unroll
      latent[i * SLICE + c] = chunk_at(place, chunk_of(c, l));
    }
    for (var c = 0u; c < PAIRS; c++) { // unroll
      rope[i * PAIRS + c] = rope_pair(place, pair_of(c, l));
    }
  }

  for (var block = begin; block < bound; block += LANES) {
    touched ^= used(ahead);
    ahead = touch_block(upcoming, team, l, first_lane);
    for (var tile = 0u; tile < LANES && block + tile < bound; tile += TILE) {
      // Read this tile, or the one after it. No token of one that lies in a single page is past the last that is seen.
      let at = tile + TILE * AHEAD;
      let source = select(places, upcoming, at == LANES);
      let first_place = subgroupShuffle(source, first_lane + at % LANES);
      let most = select(ANYWHERE, last_place, block + at + TILE > limit);
      var fresh: array<Chunk, TILE * SLICE>; // unroll
      var fresh_rope: array<Pair, TILE * PAIR_ROOM>; // unroll
      for (var i = 0u; i < TILE; i++) { // unroll
        var place = min(first_place + i * TOKEN, most);
        if (ALIGNED == 0u) { place = subgroupShuffle(source, first_lane + at % LANES + i); }
        for (var c = 0u; c < SLICE; c++) { // unroll
          fresh[i * SLICE + c] = chunk_at(place, chunk_of(c, l));
        }
        for (var c = 0u; c < PAIRS; c++) { // unroll
          fresh_rope[i * PAIRS + c] = rope_pair(place, pair_of(c, l));
        }
      }
      for (var i = 0u; i < TILE * SLICE * (1u - AHEAD); i++) { // unroll
        latent[i] = fresh[i];
      }
      for (var i = 0u; i < TILE * PAIRS * (1u - AHEAD); i++) { // unroll
        rope[i] = fresh_rope[i];
      }

      var k: array<Half2, TILE * SLICE * 4u>; // unroll
      var h: array<Half2, VALUES>; // unroll
      var s: array<f32, VALUES>; // unroll
      for (var i = 0u; i < TILE; i++) { // unroll
        for (var chain = 0u; chain < SLICE / CHAIN; chain++) { // unroll
          for (var c = chain * CHAIN; c < (chain + 1u) * CHAIN; c++) { // unroll
            for (var j = 0u; j < 4u; j++) { // unroll
              k[(i * SLICE + c) * 4u + j] = halves(latent[i * SLICE + c][j]);
            }
            for (var r = 0u; r < ROWS; r++) { // unroll
              for (var j = 0u; j < 4u; j++) { // unroll
                h[r * TILE + i] = fma(q[(r * SLICE + c) * 4u + j], k[(i * SLICE + c) * 4u + j], h[r * TILE + i]);
              }
            }
          }
          // All but the last chain end here.
          for (var r = 0u; r < ROWS * u32(chain + 1u < SLICE / CHAIN); r++) { // unroll
            s[r * TILE + i] += both(h[r * TILE + i]);
            h[r * TILE + i] = Half2();
          }
        }
        for (var c = 0u; c < PAIRS; c++) { // unroll
          for (var r = 0u; r < ROWS; r++) { // unroll
            h[r * TILE + i] = fma(qr[r * PAIRS + c], halves(rope[i * PAIRS + c]), h[r * TILE + i]);
          }
        }
      }
      // Sum over the team: at each step a lane keeps half of its values and gives the other half to the lane that keeps those. First
      // the rows, which need no selecting, then the tokens.
      for (var i = 0u; i < FIRST_HALF; i++) { // unroll
        s[i] = both(h[i] + halves(subgroupShuffleXor(pack2x16float(vec2<f32>(h[i + FIRST_HALF])), 1u)));
      }
      for (var i = 0u; i < WIDE_VALUES; i++) { // unroll
        s[i] += both(h[i]);
      }
      for (var step = FIRST_WIDE; step < LOG_ROWS; step++) { // unroll
        for (var i = 0u; i < VALUES >> (step + 1u); i++) { // unroll
          s[i] += subgroupShuffleXor(s[i + (VALUES >> (step + 1u))], 1u << step);
        }
      }
      for (var step = LOG_ROWS; step < LOG_VALUES; step++) { // unroll
        let upper = ((l >> step) & 1u) == 1u;
        for (var i = 0u; i < VALUES >> (step + 1u); i++) { // unroll
          let kept = select(s[i], s[i + (VALUES >> (step + 1u))], upper);
          let given = select(s[i + (VALUES >> (step + 1u))], s[i], upper);
          s[i] = kept + subgroupShuffleXor(given, 1u << step);
        }
      }
      for (var step = LOG_VALUES; step < LOG_LANES; step++) { // unroll
        s[0] += subgroupShuffleXor(s[0], 1u << step);
      }

      let present = block + tile + value % TILE < limit;
      let score = select(MASKED, s[0] * unscale * P.scale, present);
      var tile_maximum = max(maximum, score);
      for (var step = LOG_ROWS; step < LOG_VALUES; step++) { // unroll
        tile_maximum = max(tile_maximum, subgroupShuffleXor(tile_maximum, 1u << step));
      }
      let p = select(0.0, exp(score - tile_maximum), present);
      let change = exp(maximum - tile_maximum);
      maximum = tile_maximum;
      sum = sum * change + p;
      // Seldom: the maximum moved.
      if (subgroupAny(change != 1.0)) {
        for (var r = 0u; r < ROWS; r++) { // unroll
          let factor = subgroupShuffle(change, peers[r]);
          for (var c = r * SLICE * 2u; c < (r + 1u) * SLICE * 2u; c++) { // unroll
            o[c] = flushed(o[c], a[2u * c], a[2u * c + 1u]) * factor;
            a[2u * c] = Half2();
            a[2u * c + 1u] = Half2();
          }
        }
      }

      let weights = pack2x16float(vec2(p * WEIGHT_SCALE));
      for (var i = 0u; i < TILE; i++) { // unroll
        for (var r = 0u; r < ROWS; r++) { // unroll
          let weight = halves(subgroupShuffle(weights, peers[r] + LANE_OF[i]));
          for (var c = 0u; c < SLICE * 4u; c++) { // unroll
            a[r * SLICE * 4u + c] = fma(weight, k[i * SLICE * 4u + c], a[r * SLICE * 4u + c]);
          }
        }
      }
      for (var i = 0u; i < TILE * SLICE * AHEAD; i++) { // unroll
        latent[i] = fresh[i];
      }
      for (var i = 0u; i < TILE * PAIRS * AHEAD; i++) { // unroll
        rope[i] = fresh_rope[i];
      }
    }
    for (var c = 0u; c < ROWS * SLICE * 2u; c++) { // unroll
      o[c] = flushed(o[c], a[2u * c], a[2u * c + 1u]);
      a[2u * c] = Half2();
      a[2u * c + 1u] = Half2();
    }
    places = upcoming;
    upcoming = place_of(sequence, block + 2u * LANES + l, limit);
  }

  var total = sum;
  for (var step = LOG_ROWS; step < LOG_VALUES; step++) { // unroll
    total += subgroupShuffleXor(total, 1u << step);
  }
  let inverse = 1.0 / total;
  // Only rows that see no token of the span are empty: a sum that is NaN must stay one.
  for (var r = 0u; r < ROWS; r++) { // unroll
    let factor = subgroupShuffle(inverse, peers[r]);
    for (var c = 0u; c < SLICE; c++) { // unroll
      let low_half = select(vec4(0.0), o[(r * SLICE + c) * 2u] * factor, begin < limit);
      let high_half = select(vec4(0.0), o[(r * SLICE + c) * 2u + 1u] * factor, begin < limit);
      if (has_chunk(c, l)) { store_row(team_row + (r ^ own_row), rows, target_row, c * LANES + l, low_half, high_half); }
    }
  }
  if (value % TILE == 0u && l < VALUES && team_row + own_row < rows) {
    lse[target_row + soft_row] = select(MASKED, (maximum + log(total)) * P.lse_factor, begin < limit);
  }
  keep(touched);
}

// The sum `o` and what chains have added.
fn flushed(o: vec4<f32>, a: Half2, b: Half2) -> vec4<f32> {
  return fma(vec4(1.0 / WEIGHT_SCALE), vec4(vec2<f32>(a), vec2<f32>(b)), o);
}
