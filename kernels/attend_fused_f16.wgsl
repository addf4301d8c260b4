enable f16; // As attend_fused_subgroup, with both products in chains of f16 that are added up in f32.
// Shapes: work [items,2]; q_latent [rows,R], q_pe [rows,DR] f32, row = query token·H + head; page_table [B,width]; out
// [rows,R], lse [rows].
// Mapping: workgroup ↔ item; a team of LANES lanes ↔ ROWS rows; lane ↔ every LANES-th chunk of d, of queries, keys and
// output alike.
// Needs: `shader-f16`, `subgroups` of a multiple of LANES lanes that divides THREADS, a cache of f16. Appended: as
// attend_fused_subgroup.

// A score's chain: even and odd elements of CHAIN chunks of a lane, and of the rope key. Where a lane has one chain,
// the first step of the sum over lanes is in f16 as well: 18 products at rank 512. An output's chain: the tokens of a
// block, at most 32. Appended beside those of attend_team.wgsl: CHAIN; FIRST_HALF values that the first step leaves in
// f16, else 0; WIDE_VALUES that are widened before it, else 0; FIRST_WIDE, the first step in f32.

// Queries are scaled by a power of two, their largest element to [1/64, 1/32): no chain overflows, |key| being 65504 at
// most.
const QUERY_EXPONENT = -5;
// Weights are relative to a score that is at most this below the largest so far: sums are scaled anew only where a
// score exceeds it by more.
const SLACK = 0.5;
// So weights are at most exp(SLACK); scaled by this, no chain of 32 tokens overflows.
const WEIGHT_SCALE = 0.015625;

alias Half2 = vec2<f16>;

// naga gives a bitcast from u32 to vec2<f16> the wrong type; this one compiles to nothing where it can.
fn halves(word: u32) -> Half2 { return Half2(unpack2x16float(word)); }

fn word_of(h: Half2) -> u32 { return pack2x16float(vec2<f32>(h)); }

// `v` in f16, whose halves no compiler finds: NVIDIA's else pairs halves of two rows, and puts them together again for
// each product.
fn hidden(v: vec2<f32>) -> Half2 { return halves(pack2x16float(v) ^ hidden_zero()); }

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

  // Softmax: this lane's row and token of a tile, and the token after the last one that the rows of the team see, all
  // the same: they are of one query token, or there is no causal rule.
  let own_row = l % ROWS;
  let own_token = l / (LANES >> LOG_OWN) * SELECTED;
  let soft_row = min(team_row + own_row, rows - 1u);
  let limit = limit_of(first_row + soft_row, span.z, end);
  let bound = subgroupMax(limit); // of all teams of the subgroup, which stay together

  // Lane ↔ token of a block of LANES tokens: where in the cache it is, of this block and of the next.
  var places = place_of(sequence, begin + l, limit);
  var upcoming = place_of(sequence, begin + LANES + l, limit);
  let last_place = place_of(sequence, limit, limit);
  var touched = Touched();
  if (CHAINED == 0u) { // unroll
    var gathered = Touched();
  }
  for (var i = 0u; i < REACH / TILE; i++) { // unroll
    touched = merged(touched, touch_tile(places, i * TILE, team, l, first_lane, Touched()));
  }

  // The exponent of each row's largest element, cut to what has an inverse: elements of 0, of infinity, and of sizes
  // next to them.
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
        q[(r * SLICE + c) * 4u] = hidden(low_half.xy);
        q[(r * SLICE + c) * 4u + 1u] = hidden(low_half.zw);
        q[(r * SLICE + c) * 4u + 2u] = hidden(high_half.xy);
        q[(r * SLICE + c) * 4u + 3u] = hidden(high_half.zw);
      }
    }
    for (var c = 0u; c < PAIRS; c++) { // unroll
      if (has_pair(c, l)) { qr[r * PAIRS + c] = hidden(q_pe[row * (DR / 2u) + c * LANES + l] * scale); }
    }
  }
  var o: array<vec4<f32>, ROWS * SLICE * 2u>; // unroll
  var a: array<u32, ROWS * SLICE * 4u>; // unroll
  let scale_of_score = unscale * P.scale;
  var reference = MASKED; // what weights are relative to: a score of this lane's row, the largest when it was taken
  var behind = 1.0; // by what the outputs are to be multiplied before a chain is added to them
  var sum = 0.0; // of this lane's own tokens

  // Keys of a tile; where one is read ahead, those of the first.
  var latent: array<Chunk, TILE * SLICE>; // unroll
  var rope: array<Pair, TILE * PAIR_ROOM>; // unroll
  for (var i = 0u; i < TILE * AHEAD; i++) { // unroll
    let place = subgroupShuffle(places, first_lane + (i ^ own_token));
    for (var c = 0u; c < SLICE; c++) { // unroll
      latent[i * SLICE + c] = chunk_at(place, chunk_of(c, l));
    }
    for (var c = 0u; c < PAIRS; c++) { // unroll
      rope[i * PAIRS + c] = rope_pair(place, pair_of(c, l));
    }
  }

  for (var block = begin; block < bound; block += LANES) {
    for (var tile = 0u; tile < LANES && block + tile < bound; tile += TILE) {
      var reached = tile; // in the next block, or a tile of this one
      var reach = upcoming;
      if (REACH < LANES) { // unroll
        reached = (tile + REACH) % LANES;
        reach = select(places, upcoming, reached < tile);
      }
      if (CHAINED == 1u) { // unroll
        touched = touch_tile(reach, reached, team, l, first_lane, touched);
      }
      if (CHAINED == 0u) { // unroll
        gathered = merged(gathered, touched);
        touched = touch_tile(reach, reached, team, l, first_lane, Touched());
      }
      // Read this tile, or the one after it. No token of one that lies in a single page is past the last that is seen.
      let at = tile + TILE * AHEAD;
      let source = select(places, upcoming, at == LANES);
      let first_place = subgroupShuffle(source, first_lane + at % LANES);
      let most = select(ANYWHERE, last_place, block + at + TILE > limit);
      var fresh: array<Chunk, TILE * SLICE>; // unroll
      var fresh_rope: array<Pair, TILE * PAIR_ROOM>; // unroll
      for (var i = 0u; i < TILE; i++) { // unroll
        var place = min(first_place + (i ^ own_token) * TOKEN, most);
        if (ALIGNED == 0u) { place = subgroupShuffle(source, first_lane + at % LANES + (i ^ own_token)); }
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
        for (var c = 0u; c < SLICE; c++) { // unroll
          for (var j = 0u; j < 4u; j++) { // unroll
            k[(i * SLICE + c) * 4u + j] = halves(latent[i * SLICE + c][j]);
          }
        }
      }
      for (var r = 0u; r < ROWS; r++) { // unroll
        for (var i = 0u; i < TILE; i++) { // unroll
          for (var chain = 0u; chain < SLICE / CHAIN; chain++) { // unroll
            for (var c = 4u * chain * CHAIN; c < 4u * (chain + 1u) * CHAIN; c++) { // unroll
              h[r * TILE + i] = fma(q[r * SLICE * 4u + c], k[i * SLICE * 4u + c], h[r * TILE + i]);
            }
            // All but the last chain end here.
            if (chain + 1u < SLICE / CHAIN) { // unroll
              s[r * TILE + i] += both(h[r * TILE + i]);
              h[r * TILE + i] = Half2();
            }
          }
          for (var c = 0u; c < PAIRS; c++) { // unroll
            h[r * TILE + i] = fma(qr[r * PAIRS + c], halves(rope[i * PAIRS + c]), h[r * TILE + i]);
          }
        }
      }
      // Sum over the team: at each step a lane keeps half of its values and gives the other half to the lane that keeps
      // those: its first half as long as rows and tokens are in an order of its own.
      for (var i = 0u; i < FIRST_HALF; i++) { // unroll
        s[i] = both(h[i] + halves(subgroupShuffleXor(word_of(h[i + FIRST_HALF]), LANE_OF[FIRST_HALF])));
      }
      for (var i = 0u; i < WIDE_VALUES; i++) { // unroll
        s[i] += both(h[i]);
      }
      for (var step = FIRST_WIDE; step < LOG_ROWS + LOG_OWN; step++) { // unroll
        for (var i = 0u; i < VALUES >> (step + 1u); i++) { // unroll
          s[i] += subgroupShuffleXor(s[i + (VALUES >> (step + 1u))], LANE_OF[VALUES >> (step + 1u)]);
        }
      }
      for (var step = LOG_ROWS + LOG_OWN; step < LOG_VALUES; step++) { // unroll
        let upper = (l & LANE_OF[VALUES >> (step + 1u)]) != 0u;
        for (var i = 0u; i < VALUES >> (step + 1u); i++) { // unroll
          let kept = select(s[i], s[i + (VALUES >> (step + 1u))], upper);
          let given = select(s[i + (VALUES >> (step + 1u))], s[i], upper);
          s[i] = kept + subgroupShuffleXor(given, LANE_OF[VALUES >> (step + 1u)]);
        }
      }
      for (var step = 0u; step < LOG_SPARE; step++) { // unroll
        s[0] += subgroupShuffleXor(s[0], (ROWS * SELECTED) << step);
      }

      let present = block + tile + own_token + l / ROWS % SELECTED < limit;
      let score = select(MASKED, s[0] * scale_of_score, present);
      // Seldom: a score is above the reference by more than the slack. Chains go on, scaled; what they are added to
      // follows when they end.
      if (subgroupAny(score > reference + SLACK)) {
        var largest = max(reference, score);
        for (var step = LOG_ROWS; step < LOG_VALUES; step++) { // unroll
          largest = max(largest, subgroupShuffleXor(largest, LANE_OF[VALUES >> (step + 1u)]));
        }
        // Only of rows of which one does: what a row is does not depend on the others, and its sum is seldom rounded
        // anew.
        largest = select(reference, largest, largest > reference + SLACK);
        let change = exp(reference - largest);
        reference = largest;
        sum *= change;
        behind *= change;
        for (var r = 0u; r < ROWS; r++) { // unroll
          let factor = Half2(vec2(subgroupShuffleXor(change, LANE_OF[r * TILE])));
          for (var c = 0u; c < SLICE * 4u; c++) { // unroll
            a[r * SLICE * 4u + c] = word_of(halves(a[r * SLICE * 4u + c]) * factor);
          }
        }
      }
      let p = select(0.0, exp(score - reference), present);
      sum += p;

      // Weights of this lane's row for the tokens that are not in an order of its own.
      var weights: array<u32, SELECTED>; // unroll
      weights[0] = pack2x16float(vec2(p * WEIGHT_SCALE));
      for (var step = 0u; step < LOG_VALUES - LOG_ROWS - LOG_OWN; step++) { // unroll
        let upper = (l & LANE_OF[1u << step]) != 0u;
        for (var i = 0u; i < 1u << step; i++) { // unroll
          let other = subgroupShuffleXor(weights[i], LANE_OF[1u << step]);
          weights[i + (1u << step)] = select(other, weights[i], upper);
          weights[i] = select(weights[i], other, upper);
        }
      }
      var sums: array<Half2, ROWS * SLICE * 4u>; // unroll
      for (var c = 0u; c < ROWS * SLICE * 4u; c++) { // unroll
        sums[c] = halves(a[c]);
      }
      for (var i = 0u; i < TILE; i++) { // unroll
        for (var r = 0u; r < ROWS; r++) { // unroll
          let weight = halves(subgroupShuffleXor(weights[i % SELECTED], LANE_OF[r * TILE + i - i % SELECTED]));
          for (var c = 0u; c < SLICE * 4u; c++) { // unroll
            sums[r * SLICE * 4u + c] = fma(weight, k[i * SLICE * 4u + c], sums[r * SLICE * 4u + c]);
          }
        }
      }
      for (var c = 0u; c < ROWS * SLICE * 4u; c++) { // unroll
        a[c] = word_of(sums[c]);
      }
      for (var i = 0u; i < TILE * SLICE * AHEAD; i++) { // unroll
        latent[i] = fresh[i];
      }
      for (var i = 0u; i < TILE * PAIRS * AHEAD; i++) { // unroll
        rope[i] = fresh_rope[i];
      }
    }
    for (var r = 0u; r < ROWS; r++) { // unroll
      let factor = subgroupShuffleXor(behind, LANE_OF[r * TILE]);
      for (var c = r * SLICE * 2u; c < (r + 1u) * SLICE * 2u; c++) { // unroll
        o[c] = fma(o[c], vec4(factor), vec4(unpack2x16float(a[2u * c]), unpack2x16float(a[2u * c + 1u])));
        a[2u * c] = 0u;
        a[2u * c + 1u] = 0u;
      }
    }
    behind = 1.0;
    places = upcoming;
    // Past the last block nothing is looked up; by a team that is alone without a branch, which would wait for the table.
    if (ALONE == 1u) { // unroll
      upcoming = place_of(sequence, block + 2u * LANES + l, limit);
    }
    if (ALONE == 0u) { // unroll
      if (block + 2u * LANES < bound) { upcoming = place_of(sequence, block + 2u * LANES + l, limit); }
    }
  }

  var total = sum;
  for (var step = LOG_ROWS; step < LOG_VALUES; step++) { // unroll
    total += subgroupShuffleXor(total, LANE_OF[VALUES >> (step + 1u)]);
  }
  let inverse = 1.0 / (total * WEIGHT_SCALE);
  // Only rows that see no token of the span are empty: a sum that is NaN must stay one.
  for (var r = 0u; r < ROWS; r++) { // unroll
    let factor = subgroupShuffleXor(inverse, LANE_OF[r * TILE]);
    for (var c = r * SLICE * 2u; c < (r + 1u) * SLICE * 2u; c++) { // unroll
      o[c] = select(vec4(0.0), o[c] * factor, begin < limit);
    }
  }
  // Rows in the order of the block, so that all lanes of a store write one row of the output, next to each other: a third
  // of the time.
  for (var step = 0u; step < LOG_ROWS; step++) { // unroll
    let is_turned = (own_row >> step) % 2u == 1u;
    for (var r = 0u; r < ROWS; r++) { // unroll
      for (var c = r * SLICE * 2u; c < (r + 1u - (r >> step) % 2u) * SLICE * 2u; c++) { // unroll
        let turned = select(o[c], o[c + ((SLICE * 2u) << step)], is_turned);
        o[c + ((SLICE * 2u) << step)] = select(o[c + ((SLICE * 2u) << step)], o[c], is_turned);
        o[c] = turned;
      }
    }
  }
  for (var r = 0u; r < ROWS; r++) { // unroll
    for (var c = 0u; c < SLICE; c++) { // unroll
      if (has_chunk(c, l)) {
        store_row(team_row + r, rows, target_row, c * LANES + l, o[(r * SLICE + c) * 2u], o[(r * SLICE + c) * 2u + 1u]);
      }
    }
  }
  if (l < ROWS && team_row + own_row < rows) {
    lse[target_row + soft_row] = select(MASKED, (reference + log(total)) * P.lse_factor, begin < limit);
  }
  if (CHAINED == 0u) { // unroll
    touched = merged(gathered, touched);
  }
  keep(touched);
}
