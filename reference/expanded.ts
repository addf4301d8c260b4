/**
 * The expanded formulation of MLA in f64, as the models define it: keys and values of every head are unfolded from the
 * latents, then ordinary attention runs per head. Written apart from `mla.ts`, with which it must agree, and shares no
 * code with it.
 *
 * @module
 */

/** Sizes that the two projections share. */
export interface ProjectionDims {
  /** Heads. */
  readonly H: number;
  /** Width of the latent. */
  readonly R: number;
  /** Width of a head's key without position. */
  readonly Dn: number;
  /** Width of a head's value. */
  readonly Dv: number;
}

/** One sequence before absorption. Element types may be f32 or f64; the arithmetic is f64. */
export interface ExpandedInputs extends ProjectionDims {
  /** Width of the rope part. */
  readonly Dr: number;
  /** Softmax scale. */
  readonly scale: number;
  /** Bottom-right aligned causal rule: query i of q sees key j iff j ≤ i + kv − q. */
  readonly causal: boolean;
  /** Queries without position `[q, H, Dn]`. */
  readonly qNope: ArrayLike<number>;
  /** Rope part of the queries `[q, H, Dr]`. */
  readonly qPe: ArrayLike<number>;
  /** Latents `[kv, R]`. */
  readonly compressedKv: ArrayLike<number>;
  /** Rope keys, shared by the heads `[kv, Dr]`. */
  readonly kpe: ArrayLike<number>;
  /** `kv_b_proj` `[H·(Dn+Dv), R]`: per head Dn rows W_k, then Dv rows W_v. */
  readonly kvB: ArrayLike<number>;
}

/** Result of {@linkcode attendExpanded}. */
export interface ExpandedAttention {
  /** `[q, H, Dv]`; zero where a query sees no key. */
  readonly out: Float64Array<ArrayBuffer>;
  /** Natural logarithm of the sum of exponentials `[q, H]`; −Infinity where a query sees no key. */
  readonly lse: Float64Array<ArrayBuffer>;
}

/** Attention of one sequence from the keys and values of every head. */
export function attendExpanded(inputs: ExpandedInputs): ExpandedAttention {
  const { H, R, Dn, Dr, Dv, scale, causal, qNope, qPe, compressedKv, kpe, kvB } = inputs;
  const q = qNope.length / (H * Dn);
  const kv = compressedKv.length / R;
  const out = new Float64Array(q * H * Dv);
  const lse = new Float64Array(q * H);
  const unfolded = new Float64Array(kv * (Dn + Dv));
  for (let h = 0; h < H; h++) {
    // [K_nope | V] of this head, token by token: latent · W_hᵀ.
    for (let j = 0; j < kv; j++) {
      for (let c = 0; c < Dn + Dv; c++) {
        let sum = 0;
        for (let r = 0; r < R; r++) sum += kvB[(h * (Dn + Dv) + c) * R + r] * compressedKv[j * R + r];
        unfolded[j * (Dn + Dv) + c] = sum;
      }
    }
    for (let i = 0; i < q; i++) {
      const visible = causal ? Math.max(0, i + 1 + kv - q) : kv;
      const logits: number[] = [];
      for (let j = 0; j < visible; j++) {
        let dot = 0;
        for (let d = 0; d < Dn; d++) dot += qNope[(i * H + h) * Dn + d] * unfolded[j * (Dn + Dv) + d];
        for (let d = 0; d < Dr; d++) dot += qPe[(i * H + h) * Dr + d] * kpe[j * Dr + d];
        logits.push(dot * scale);
      }
      const top = logits.reduce((a, b) => Math.max(a, b), -Infinity);
      let denominator = 0;
      for (let j = 0; j < visible; j++) {
        const weight = Math.exp(logits[j] - top);
        denominator += weight;
        for (let v = 0; v < Dv; v++) out[(i * H + h) * Dv + v] += weight * unfolded[j * (Dn + Dv) + Dn + v];
      }
      if (visible > 0) { for (let v = 0; v < Dv; v++) out[(i * H + h) * Dv + v] /= denominator; }
      lse[i * H + h] = top + Math.log(denominator);
    }
  }
  return { out, lse };
}

/**
 * Absorbs the key projection into the queries: `q_latent[i, h] = Σ_d q_nope[i, h, d]·W_k[h, d]`.
 *
 * @param qNope `[q, H, Dn]`.
 * @param kvB `[H·(Dn+Dv), R]`.
 * @returns `[q, H, R]`.
 */
export function absorb(
  qNope: ArrayLike<number>,
  kvB: ArrayLike<number>,
  { H, R, Dn, Dv }: ProjectionDims,
): Float64Array<ArrayBuffer> {
  const q = qNope.length / (H * Dn);
  const latent = new Float64Array(q * H * R);
  for (let i = 0; i < q; i++) {
    for (let h = 0; h < H; h++) {
      for (let d = 0; d < Dn; d++) {
        const x = qNope[(i * H + h) * Dn + d];
        for (let r = 0; r < R; r++) latent[(i * H + h) * R + r] += x * kvB[(h * (Dn + Dv) + d) * R + r];
      }
    }
  }
  return latent;
}

/**
 * Projects the latent output to the value heads: `out[i, h, v] = W_v[h, v]·latent[i, h]`.
 *
 * @param latentOut `[q, H, R]`.
 * @param kvB `[H·(Dn+Dv), R]`.
 * @returns `[q, H, Dv]`.
 */
export function projectValue(
  latentOut: ArrayLike<number>,
  kvB: ArrayLike<number>,
  { H, R, Dn, Dv }: ProjectionDims,
): Float64Array<ArrayBuffer> {
  const q = latentOut.length / (H * R);
  const out = new Float64Array(q * H * Dv);
  for (let i = 0; i < q; i++) {
    for (let h = 0; h < H; h++) {
      for (let v = 0; v < Dv; v++) {
        let sum = 0;
        for (let r = 0; r < R; r++) sum += kvB[(h * (Dn + Dv) + Dn + v) * R + r] * latentOut[(i * H + h) * R + r];
        out[(i * H + h) * Dv + v] = sum;
      }
    }
  }
  return out;
}
