/**
 * What each kind of seeded `attend` inputs is made of; `model_inputs.ts` has those of the other operations.
 *
 * In MLA the value of a token is the first R elements of its key, so logits are steered through the query, the rope
 * part, or a few elements of the latent, and the rest of the latent stays free to tell tokens apart.
 *
 * | kind | exposes |
 * |---|---|
 * | `normal` | wrong sums, scale, rope, dims, heads: keys are N(0, 1), logits have a standard deviation of {@linkcode LOGIT_DEVIATION} |
 * | `peak` | a lost or misplaced token at a page boundary: each row's query is aligned with one key, which takes nearly all the weight (R+Dr ≥ 64); the boundary tokens are taken in turn |
 * | `large` | exponentials without max subtraction: logits as in `normal`, plus {@linkcode LARGE_LOGIT} in even rows and minus it in odd ones |
 * | `equal` | padding that counts in the denominator, lost tokens: all logits of a row are the same non-zero number, `out` is the mean of V |
 * | `monotone` | missing or wrong rescaling: logits grow by the same step from token to token, so the running maximum moves at every tile |
 * | `jump` | a maximum that stays where the first tokens put it, or follows only within the range of exp: logits as in `normal`, plus 0 in the first third of a sequence, half of {@linkcode LARGE_LOGIT} in the second and all of it in the last, minus that in odd rows (of one or two tokens, and of the early rows of a prompt, less) |
 * | `alternating` | sums that lose digits to cancellation: every element of V is positive for even tokens and negative for odd ones |
 * | `onehot` | anything that touches single weights: V is one-hot at token mod R, so `out` reads back the softmax weights |
 * | `seed` | what the tests of TensorRT-LLM's pull request 12519 expose, with their values: q_latent and new latents N(0, 1)/√R, q_pe and new rope keys N(0, 1)/√Dn, tokens cached before the call N(0, 1) |
 * | `flashmla` | what FlashMLA's dense decoding tests expose, with their values: all N(0, 1)/10; their clamp at ±1 never acts on our generator, which ends at 3.46 |
 *
 * @module
 */
import { type AttendShape, type InputKind, total } from "./shapes.ts";
import { fillNormal, streamKey } from "./random.ts";
import { tokensSeen } from "./rows.ts";

/** Standard deviation of the logits of `normal`: a softmax that is neither flat nor one-hot. */
export const LOGIT_DEVIATION = 2.5;

/** Offset of the logits of `large`: e³⁰⁰ overflows f32 (largest exponent 88), e⁻³⁰⁰ underflows it. */
export const LARGE_LOGIT = 300;

/** Growth of the logits of `monotone` over a sequence (half a unit per token where it is shorter than 32). */
const MONOTONE_RANGE = 16;

/** Element 0 of every key of `large`, and of the last ones of `jump`; a power of two, exact in every dtype. */
const LARGE_ELEMENT = 8;

/**
 * `monotone` writes the token's number, counted from 1, in digits of this base: integers below 256 are exact in bf16.
 */
const DIGIT_BASE = 64;
const DIGITS = 4;

/** Values that `onehot` takes in turn where there is no rope part: 1 to below 2, exact in bf16. */
const ONEHOT_VALUES = 64;

/** Streams of the generator. */
export const STREAM = { keys: 1, qLatent: 2, qPe: 3, pages: 4, compressedKv: 5, kpe: 6, kvB: 8, qNope: 9 } as const;

/** Fills `keys`, `[n, R+Dr]`, with the keys of tokens `token`, `token + 1`, … of a sequence. */
export interface KeyRange {
  /** Target, `[n, R+Dr]`. */
  readonly keys: Float32Array;
  /** Sequence of the batch. */
  readonly sequence: number;
  /** Number of the first token in its sequence. */
  readonly token: number;
  /** Number of the first token in the batch: tokens of earlier sequences plus `token`. */
  readonly batchToken: number;
  /** Tokens of the sequence that were in the cache before the call; the others are new. */
  readonly cached: number;
}

/** Standard deviation of everything in `flashmla`. */
const FLASHMLA_DEVIATION = 0.1;

/** Writes the keys (latent, then rope part) of consecutive tokens of one sequence. */
export function fillKeys(shape: AttendShape, kind: InputKind, seed: number, range: KeyRange): void {
  const { R, Dr } = shape;
  const W = R + Dr;
  const { keys, token, batchToken } = range;
  const n = keys.length / W;
  fillNormal(keys, streamKey(seed, STREAM.keys), { start: batchToken * W });
  switch (kind) {
    case "normal":
    case "peak":
      return;
    case "large":
      for (let t = 0; t < n; t++) keys[t * W] = LARGE_ELEMENT;
      return;
    case "jump": {
      const kv = shape.kv[range.sequence];
      for (let t = 0; t < n; t++) keys[t * W] = Math.floor(3 * (token + t) / kv) * LARGE_ELEMENT / 2;
      return;
    }
    case "equal":
      for (let t = 0; t < n; t++) {
        keys[t * W] = 1;
        if (Dr > 0) keys[t * W + R] = 1;
      }
      return;
    case "monotone":
      for (let t = 0; t < n; t++) {
        let rest = token + t + 1;
        for (let digit = 0; digit < DIGITS; digit++) {
          keys[t * W + digitElement(shape, digit)] = rest % DIGIT_BASE;
          rest = Math.floor(rest / DIGIT_BASE);
        }
      }
      return;
    case "alternating":
      for (let t = 0; t < n; t++) {
        const sign = (token + t) % 2 === 0 ? 1 : -1;
        // Within 0.13 … 1.87 in magnitude: |normal| < 3.4642.
        for (let d = 0; d < R; d++) keys[t * W + d] = sign * (1 + keys[t * W + d] / 4);
      }
      return;
    case "onehot":
      for (let t = 0; t < n; t++) {
        keys.fill(0, t * W, t * W + R);
        // Without a rope part only the value tells apart the logits of tokens that share an element.
        const round = Dr > 0 ? 0 : Math.floor((token + t) / R) % ONEHOT_VALUES;
        keys[t * W + (token + t) % R] = 1 + round / ONEHOT_VALUES;
      }
      return;
    case "seed":
      scaleNewTokens(shape, range);
      return;
    case "flashmla":
      for (let i = 0; i < keys.length; i++) keys[i] *= FLASHMLA_DEVIATION;
      return;
    default:
      return kind satisfies never;
  }
}

/** Scales the keys of the new tokens from N(0, 1) to what the kind `seed` has. */
export function scaleNewTokens(
  { R, Dr, Dn }: { readonly R: number; readonly Dr: number; readonly Dn: number },
  { keys, token, cached }: KeyRange,
): void {
  const W = R + Dr;
  for (let i = Math.max(0, cached - token) * W; i < keys.length; i++) {
    keys[i] *= 1 / Math.sqrt(i % W < R ? R : Dn);
  }
}

/**
 * Element of the key that holds a digit of the token's number: the lowest in the latent, the others in the rope part.
 */
function digitElement({ R, Dr }: AttendShape, digit: number): number {
  return digit === 0 || Dr === 0 ? digit : R + digit - 1;
}

/** Queries of a batch. */
export interface Queries {
  /** Latent part `[Σq, H, R]`. */
  readonly qLatent: Float32Array<ArrayBuffer>;
  /** Rope part `[Σq, H, Dr]`. */
  readonly qPe: Float32Array<ArrayBuffer>;
}

/**
 * The queries that belong to the keys of {@linkcode fillKeys}.
 *
 * @param keyOf Key of a token of a sequence as the cache holds it, `[R+Dr]`, for the kind `peak`.
 */
export function makeQueries(
  shape: AttendShape,
  kind: InputKind,
  seed: number,
  keyOf: (sequence: number, token: number) => Float32Array,
): Queries {
  const { B, H, R, Dr, scale } = shape;
  const W = R + Dr;
  const tokens = total(shape.q);
  const qLatent = new Float32Array(tokens * H * R);
  const qPe = new Float32Array(tokens * H * Dr);
  // A scale of zero makes every logit zero whatever the query.
  const unit = scale === 0 ? 1 : 1 / scale;
  const draw = (latent: number, rope: number) => {
    fillNormal(qLatent, streamKey(seed, STREAM.qLatent), { scale: latent });
    fillNormal(qPe, streamKey(seed, STREAM.qPe), { scale: rope });
  };
  const noise = (latent: number, rope: number) => draw(latent * unit, rope * unit);
  switch (kind) {
    case "normal":
    case "large":
    case "jump":
      noise(LOGIT_DEVIATION / Math.sqrt(W), LOGIT_DEVIATION / Math.sqrt(W));
      break;
    case "alternating":
      // Pairs of opposite sign take the sign of V out of the logits: x·(a − a′), with a deviation of √2/4 for a − a′.
      noise(4 / Math.sqrt(R), Dr > 0 ? 1 / Math.sqrt(Dr) : 0);
      for (let i = 0; i < qLatent.length; i += 2) qLatent[i + 1] = -qLatent[i];
      break;
    case "onehot":
      noise(LOGIT_DEVIATION * 0.6, Dr > 0 ? LOGIT_DEVIATION * 0.8 / Math.sqrt(Dr) : 0);
      break;
    case "seed":
      draw(1 / Math.sqrt(R), 1 / Math.sqrt(shape.Dn));
      break;
    case "flashmla":
      draw(FLASHMLA_DEVIATION, FLASHMLA_DEVIATION);
      break;
    case "peak":
    case "equal":
    case "monotone":
      break;
    default:
      return kind satisfies never;
  }
  let row = 0;
  for (let b = 0; b < B; b++) {
    const kv = shape.kv[b];
    for (let i = 0; i < shape.q[b]; i++) {
      for (let h = 0; h < H; h++, row++) {
        const latent = qLatent.subarray(row * R, (row + 1) * R);
        const rope = qPe.subarray(row * Dr, (row + 1) * Dr);
        switch (kind) {
          case "large":
          case "jump":
            latent[0] = (row % 2 === 0 ? 1 : -1) * LARGE_LOGIT / LARGE_ELEMENT * unit;
            break;
          case "equal":
            // Another logit for each head, so that no two heads have the same LSE.
            latent[0] = (1 + h / H) * unit;
            if (Dr > 0) rope[0] = 0.5 * unit;
            break;
          case "monotone": {
            const step = Math.min(0.5, MONOTONE_RANGE / Math.max(1, kv)) * (1 + h / H) * unit;
            for (let digit = 0; digit < DIGITS; digit++) {
              const element = digitElement(shape, digit);
              const value = step * DIGIT_BASE ** digit;
              if (element < R) latent[element] = value;
              else rope[element - R] = value;
            }
            break;
          }
          case "peak": {
            const seen = tokensSeen(shape, b, i);
            if (seen === 0) break;
            const key = keyOf(b, peakToken(seen, shape.page, seed + row));
            const height = peakHeight(seen);
            const factor = height / W * unit;
            for (let d = 0; d < R; d++) latent[d] = factor * key[d];
            for (let d = 0; d < Dr; d++) rope[d] = factor * key[R + d];
            break;
          }
          case "normal":
          case "alternating":
          case "onehot":
          case "seed":
          case "flashmla":
            break;
          default:
            return kind satisfies never;
        }
      }
    }
  }
  return { qLatent, qPe };
}

/**
 * Logit of the peak above those of the `seen − 1` others, which share about `seen·e^−height`: e^−8, but e^−14 each at
 * least so that no sum in f32 swallows them one by one, nor more than e^−3 in a long context.
 */
function peakHeight(seen: number): number {
  // The bit length stands for log₂: exact on every machine.
  const logarithm = Math.LN2 * (32 - Math.clz32(seen));
  return Math.min(logarithm + 8, Math.max(14, logarithm + 3));
}

/**
 * The token on which the `turn`-th row of kind `peak` puts its weight, of `seen` tokens: the last, 0, then the last
 * token of each page and the first of the next, over and over.
 */
export function peakToken(seen: number, page: number, turn: number): number {
  const boundaries = 2 * Math.floor((seen - 1) / page) + 2;
  const place = turn % boundaries;
  if (place === 0) return seen - 1;
  const boundary = Math.floor(place / 2) * page;
  return place % 2 === 1 ? boundary : boundary - 1;
}
