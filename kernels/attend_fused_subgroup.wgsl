// out[r,:] = Σ_t p[t]·cache[t,:R], p = softmax over the t that row r sees of scale·(q_latent[r,:]·cache[t,:R] +
// q_pe[r,:]·cache[t,R:]).
// Shapes: work [items,2]; q_latent [rows,R], q_pe [rows,DR] f32, row = query token·H + head; page_table [B,width]; out
// [rows,R], lse [rows].
// Mapping: workgroup ↔ item; a team of LANES lanes ↔ ROWS rows; lane ↔ every LANES-th chunk of d, of queries, keys and
// output alike.
// Needs: `subgroups` of a multiple of LANES lanes that divides THREADS. Appended: the cache, attend_team.wgsl, and
// constants named there.

// Scores: lane ↔ its chunks of ROWS × TILE dot products. LANES lanes sum them by halves, so that each ends with the
// score of one row and token. Softmax: lane ↔ that score. Product: lane ↔ its chunks of the output of all rows. A key
// is read once and widened once, as key and as value: it never leaves the registers, and no barrier is needed.
// attend_team.wgsl tells the order of rows and tokens. Loops marked `unroll` are written out by unroll.ts: WGSL's loop
// counters would cost half the speed, and indices of arrays that are not literals would move those out of registers.

// Weights are relative to a score that is at most this below the largest so far: sums are scaled anew only where a
// score exceeds it by more, seldom after the first tiles. What a sum can hold is less by exp(SLACK).
const SLACK = 2.0;

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

  // Queries of the rows; a row past the block's last is its last again, and is not stored.
  var q: array<vec4<f32>, ROWS * SLICE * 2u>; // unroll
  var qr: array<vec2<f32>, ROWS * PAIR_ROOM>; // unroll
  for (var r = 0u; r < ROWS; r++) { // unroll
    let row = first_row + min(team_row + (r ^ own_row), rows - 1u);
    for (var c = 0u; c < SLICE; c++) { // unroll
      if (has_chunk(c, l)) {
        let at = row * (R / 4u) + 2u * (c * LANES + l);
        q[(r * SLICE + c) * 2u] = q_latent[at];
        q[(r * SLICE + c) * 2u + 1u] = q_latent[at + 1u];
      }
    }
    for (var c = 0u; c < PAIRS; c++) { // unroll
      if (has_pair(c, l)) { qr[r * PAIRS + c] = q_pe[row * (DR / 2u) + c * LANES + l]; }
    }
  }
  var o: array<vec4<f32>, ROWS * SLICE * 2u>; // unroll

  var reference = MASKED; // what weights are relative to: a score of this lane's row, the largest when it was taken
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

      var k: array<vec4<f32>, TILE * SLICE * 2u>; // unroll
      var s: array<f32, VALUES>; // unroll
      for (var i = 0u; i < TILE; i++) { // unroll
        for (var c = 0u; c < SLICE; c++) { // unroll
          k[(i * SLICE + c) * 2u] = low(latent[i * SLICE + c]);
          k[(i * SLICE + c) * 2u + 1u] = high(latent[i * SLICE + c]);
          for (var r = 0u; r < ROWS; r++) { // unroll
            s[r * TILE + i] = dot4(s[r * TILE + i], q[(r * SLICE + c) * 2u], k[(i * SLICE + c) * 2u]);
            s[r * TILE + i] = dot4(s[r * TILE + i], q[(r * SLICE + c) * 2u + 1u], k[(i * SLICE + c) * 2u + 1u]);
          }
        }
        for (var c = 0u; c < PAIRS; c++) { // unroll
          let pair = wide_pair(rope[i * PAIRS + c]);
          for (var r = 0u; r < ROWS; r++) { // unroll
            s[r * TILE + i] = dot2(s[r * TILE + i], qr[r * PAIRS + c], pair);
          }
        }
      }
      // Sum over the team: at each step a lane keeps half of its values and gives the other half to the lane that keeps
      // those: its first half as long as rows and tokens are in an order of its own.
      for (var step = 0u; step < LOG_ROWS + LOG_OWN; step++) { // unroll
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
      let score = select(MASKED, s[0] * P.scale, present);
      // Seldom: a score is above the reference by more than the slack.
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
        for (var r = 0u; r < ROWS; r++) { // unroll
          let factor = subgroupShuffleXor(change, LANE_OF[r * TILE]);
          for (var c = 0u; c < SLICE * 2u; c++) { // unroll
            o[r * SLICE * 2u + c] *= factor;
          }
        }
      }
      let p = select(0.0, exp(score - reference), present);
      sum += p;

      // Weights of this lane's row for the tokens that are not in an order of its own.
      var weights: array<f32, SELECTED>; // unroll
      weights[0] = p;
      for (var step = 0u; step < LOG_VALUES - LOG_ROWS - LOG_OWN; step++) { // unroll
        let upper = (l & LANE_OF[1u << step]) != 0u;
        for (var i = 0u; i < 1u << step; i++) { // unroll
          let other = subgroupShuffleXor(weights[i], LANE_OF[1u << step]);
          weights[i + (1u << step)] = select(other, weights[i], upper);
          weights[i] = select(weights[i], other, upper);
        }
      }
      for (var i = 0u; i < TILE; i++) { // unroll
        for (var r = 0u; r < ROWS; r++) { // unroll
          let weight = subgroupShuffleXor(weights[i % SELECTED], LANE_OF[r * TILE + i - i % SELECTED]);
          for (var c = 0u; c < SLICE * 2u; c++) { // unroll
            o[r * SLICE * 2u + c] = fma(vec4(weight), k[i * SLICE * 2u + c], o[r * SLICE * 2u + c]);
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
  let inverse = 1.0 / total;
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
