/**
 * What an honest kernel of the same precision errs by: rows of a case are computed again as kernels compute them
 * (`arithmetic.ts`), and what they err by is pooled into a limit for the kernel under test.
 *
 * The rule is that of FlashAttention's tests, a maximal error of at most twice that of an implementation in the same
 * precision plus a floor (there 3·10⁻⁵ absolute), under the a-priori bound (Higham & Mary 2019, `bounds.ts`) as
 * ceiling. Errors of single elements of two honest kernels are independent draws, so no element is compared with its
 * own emulation: errors are measured in units of a scale that says how they differ from row to row (`error_scales.ts`),
 * and pooled over the case. The limit of element i is
 *
 * `min(ceiling_i, β·scale_i + 4u·|expected_i|)`, `β = 2·g·max(s, m + t·d·√(1 + 1/n)) + 0.1`,
 *
 * with s the largest of n draws, m their mean and d their standard deviation. Where N > n draws are judged their
 * largest exceeds that of n by `g = √(ln N / ln n)`, as for normal ones. A draw is a row in one order of summation with
 * one set of errors of the built-ins, and counts by its worst element: elements of a row share the errors of its
 * weights, so they are no draws of their own (those of a `project`, which has no weights, are).
 *
 * s alone would do for many draws. Of few it may be small by luck, or all of them may have missed the rows that err
 * most; so what counts is what the draws let expect of a further one: Student's prediction bound, t its quantile with
 * n−1 degrees of freedom at which a normal variable is at z = {@linkcode DEVIATIONS} deviations (1 in 16,000), by
 * Wallace's approximation `t = √((n−1)·(e^{z²/(n−1)} − 1))` ("Bounds on normal approximations to Student's and the
 * chi-square distributions", Ann. Math. Stat. 30(4), 1959): 7.9 for n = 8, 5.3 for 16, 4.3 for 64. Twice that is more
 * than six deviations of a normal error, or eight times the mean of an exponential one, and errors are between: a
 * score's rounding errors are normal, but as large as its partial sums are by chance. The tenth of a scale is about
 * what naive kernels err by, root mean square: rows that happen to be exact leave no room otherwise. And two ULP of the
 * result itself are no matter of luck: a division may be off by 2.5 of them, and a copy by none.
 *
 * Measured on 4,000 random cases of all kinds of inputs, 38,000 comparisons of honest kernels of every reduction shape
 * and form: half of them use less than 17 % of the limit, one in 1,000 more than 60 %, none more than 83 %.
 *
 * Kernels of different reduction shapes differ, so draws are pooled by shape: naive, tiled, and with softmax as a pass
 * of its own; of projections in both forms. The largest limit counts.
 *
 * @module
 */
import { REDUCTION_SHAPES } from "./arithmetic.ts";
import type { KernelPrecision } from "./precision.ts";
import type { AttendShape } from "./shapes.ts";

/** Normal standard deviations of the prediction bound, before it is doubled. */
export const DEVIATIONS = 4;

/** What is allowed beyond it, in scales. */
const FLOOR_SHARE = 0.1;

/** Draws of each reduction shape that are wanted at least, where they can be afforded. */
export const LEAST_DRAWS = 32;
/** Times that each row is drawn where that can be afforded: heads may have the same query, and then are one draw. */
const LEAST_TIMES = 4;
/** Rows that are drawn more often where all cannot be. */
const SENSITIVE_ROWS = 4;

/** Draws of whole rows that are too few to judge by. */
const FEW_DRAWS = 8;
/** Tokens that rows are cut to at least where all of theirs are too many. */
const LEAST_PREFIX = 64;
/** What errors of rows that were cut count. */
export const PREFIX_FACTOR = 1.5;

/** What the emulation of a case may cost, as a share of its reference's flops… */
const EMULATION_SHARE = 1 / 3;
/** …but so much in any case, some ten milliseconds: where rows are few and long, each is drawn several times. */
const LEAST_EMULATION_FLOPS = 2e7;

/** Draws of emulated errors; arrays of several parts are concatenated. */
export interface Emulation {
  /** Reduction shape of each draw: those with the same number are pooled. */
  readonly shape: Int32Array;
  /** Largest error of an element of `out`, in scales. */
  readonly out: Float64Array;
  /** Error of the log-sum-exp, in scales; NaN where the operation has none. */
  readonly lse: Float64Array;
  /** Precision of the kernels, by which the scales go, too. @default all f32 */
  readonly precision?: KernelPrecision;
}

/** Rows that are emulated together. */
export interface EmulationPart {
  /** Entries of the reference, ascending. */
  readonly entries: Int32Array;
  /** Variants of `kernelArithmetic`. */
  readonly variants: readonly number[];
  /** First tokens of their sequences that the rows see instead of their own. @default {their own} */
  readonly tokens?: number;
}

/** Errors that are allowed, in scales. */
export interface ErrorLimits {
  /** Of an element of `out`. */
  readonly out: number;
  /** Of the log-sum-exp. */
  readonly lse: number;
}

/**
 * The limits that draws leave; infinite where there are too few of them.
 *
 * @param judged Draws that are held against the limits: rows, or elements of a `project`.
 */
export function errorLimits({ shape, out, lse }: Emulation, judged: number): ErrorLimits {
  return { out: largestLimit(shape, out, judged), lse: largestLimit(shape, lse, judged) };
}

function largestLimit(shapes: Int32Array, errors: Float64Array, judged: number): number {
  const limits = [...new Set(shapes)].map((pool) => limitOf(errors.filter((_, i) => shapes[i] === pool), judged));
  return limits.length === 0 ? Infinity : Math.max(...limits);
}

/**
 * Limit for draws of the same kind as `errors`, in their unit.
 *
 * @param errors Draws. Equal ones all count: errors of a few rows are a few multiples of a rounding, and come back.
 * @param judged Draws that are held against it.
 */
export function limitOf(errors: Iterable<number>, judged: number): number {
  const draws = [...errors].filter((error) => !Number.isNaN(error));
  const freedom = draws.length - 1;
  if (freedom < 1) return Infinity;
  const mean = draws.reduce((a, b) => a + b) / draws.length;
  const deviation = Math.sqrt(draws.reduce((sum, draw) => sum + (draw - mean) ** 2, 0) / freedom);
  const quantile = Math.sqrt(freedom * Math.expm1(DEVIATIONS ** 2 / freedom));
  const most = draws.reduce((a, b) => Math.max(a, b));
  const expected = Math.max(most, mean + quantile * deviation * Math.sqrt(1 + 1 / draws.length));
  const growth = Math.max(1, Math.sqrt(Math.log(judged) / Math.log(Math.max(FEW_DRAWS, draws.length))));
  return 2 * growth * expected + FLOOR_SHARE;
}

/** Draws of whole rows as they are made. */
export class RowDraws {
  readonly #shape: number[] = [];
  readonly #out: number[] = [];
  readonly #lse: number[] = [];
  readonly #known = new Set<string>();
  readonly #precision: KernelPrecision;

  /** @param precision Precision of the kernels. */
  constructor(precision: KernelPrecision) {
    this.#precision = precision;
  }

  /**
   * Adds a draw. Rows of one variant that err alike in both are one: heads with the same query do the same arithmetic.
   *
   * @param pool {@linkcode poolOf} the variant.
   */
  add(variant: number, pool: number, out: number, lse: number): void {
    const key = `${variant} ${out} ${lse}`;
    if (this.#known.has(key)) return;
    this.#known.add(key);
    this.#shape.push(pool);
    this.#out.push(out);
    this.#lse.push(lse);
  }

  /** All of them. */
  get emulation(): Emulation {
    return {
      shape: Int32Array.from(this.#shape),
      out: Float64Array.from(this.#out),
      lse: Float64Array.from(this.#lse),
      precision: this.#precision,
    };
  }
}

/**
 * Number of the pool of a variant's reduction shape; `form` tells apart kernels that differ by more than their order.
 */
export function poolOf(variant: number, form = 0): number {
  return REDUCTION_SHAPES * form + variant % REDUCTION_SHAPES;
}

/** What {@linkcode planEmulation} looks at of a reference. */
export interface EmulatedRows {
  /** Tokens that each row sees; rows that see none are not emulated. */
  readonly seen: Int32Array;
  /** `√(Σ p²)` of each row, where it has weights. */
  readonly weightNorm?: Float64Array;
}

/**
 * Chooses what to emulate of a reference, as many rows as the budget pays in every reduction shape: in turn one of a
 * spread over the numbers of tokens that rows see, the most and the fewest first, and one of those whose output depends
 * most on single weights. What is left of the budget draws the same rows again. Where nothing is left
 *
 * - the few rows that depend most on single weights are drawn more often all the same: of queries that mostly pick one
 *   token they may be the only ones whose errors are large;
 * - rows too long to be drawn {@linkcode FEW_DRAWS} times are also drawn over the first tokens of their sequences:
 *   errors in scales hardly depend on how many there are, up to 1.8 times between 128 and 4,096
 *   ({@linkcode PREFIX_FACTOR}).
 *
 * @param flopsOf Flops of one emulation of a row, from the tokens it sees.
 * @param drawsPerRow Independent draws that a row is. @default {1}
 * @returns Parts; nothing where no row sees a token.
 */
export function planEmulation(
  { seen, weightNorm }: EmulatedRows,
  flopsOf: (tokens: number) => number,
  drawsPerRow = 1,
): EmulationPart[] {
  const candidates = Array.from(seen.keys()).filter((entry) => seen[entry] > 0).sort((a, b) => seen[b] - seen[a]);
  if (candidates.length === 0) return [];
  const reference = candidates.reduce((sum, entry) => sum + flopsOf(seen[entry]), 0);
  const budget = Math.max(LEAST_EMULATION_FLOPS, EMULATION_SHARE * reference);
  const chosen = new Set<number>();
  let flops = 0;
  const choose = (entry: number) => {
    const row = REDUCTION_SHAPES * flopsOf(seen[entry]);
    if (chosen.has(entry) || (flops + row > budget && chosen.size > 0)) return;
    chosen.add(entry);
    flops += row;
  };
  const sensitive = weightNorm
    ? candidates.toSorted((a, b) => sensitivity(weightNorm[b]) - sensitivity(weightNorm[a]))
    : [];
  let turn = 0;
  for (const place of spread(candidates.length)) {
    choose(candidates[place]);
    if (turn < sensitive.length) choose(sensitive[turn++]);
  }
  const wanted = Math.max(LEAST_TIMES, Math.ceil(LEAST_DRAWS / chosen.size)) / drawsPerRow;
  const times = Math.max(1, Math.min(wanted, Math.floor(budget / flops)));
  const parts = [partOf([...chosen], 0, times)];
  if (times < LEAST_TIMES && sensitive.length > 0) {
    const rows = sensitive.slice(0, SENSITIVE_ROWS);
    const cost = REDUCTION_SHAPES * rows.reduce((sum, entry) => sum + flopsOf(seen[entry]), 0);
    const more = Math.min(LEAST_DRAWS / SENSITIVE_ROWS, Math.floor(budget / 2 / cost));
    if (more > 0) parts.push(partOf(rows, times, more));
  }
  if (chosen.size * times * drawsPerRow < FEW_DRAWS) {
    const rows = [...spread(candidates.length)].slice(0, LEAST_DRAWS).map((place) => candidates[place]);
    let tokens = LEAST_PREFIX;
    while (REDUCTION_SHAPES * LEAST_DRAWS * flopsOf(2 * tokens) <= budget) tokens *= 2;
    const part = partOf(rows, 0, Math.ceil(LEAST_DRAWS / rows.length));
    if (tokens < seen[candidates[0]]) parts.push({ ...part, tokens });
  }
  return parts;
}

/** Rows `entries` in `count` variants of every shape, from the `first` of each on. */
function partOf(entries: readonly number[], first: number, count: number): EmulationPart {
  const variants = Array.from({ length: REDUCTION_SHAPES * count }, (_, i) => REDUCTION_SHAPES * first + i);
  return { entries: Int32Array.from(entries).sort(), variants };
}

/**
 * What wrong weights do to the output of a row: none where one token has all the weight, little where many share it.
 */
function sensitivity(weightNorm: number): number {
  return weightNorm * (1 - weightNorm * weightNorm);
}

/** 0 … n−1, first and last before the middle, then the quarters, and so on. */
function* spread(n: number): Generator<number> {
  yield 0;
  if (n > 1) yield n - 1;
  const done = new Uint8Array(n);
  done[0] = done[n - 1] = 1;
  for (let parts = 2; parts < 4 * n; parts *= 2) {
    for (let i = 1; i < parts; i += 2) {
      const place = Math.floor(i * n / parts);
      if (done[place]) continue;
      done[place] = 1;
      yield place;
    }
  }
}

/** Draws of several parts of one precision together. */
export function joinEmulations(parts: readonly Emulation[]): Emulation {
  return {
    shape: Int32Array.from(parts.flatMap(({ shape }) => [...shape])),
    out: Float64Array.from(parts.flatMap(({ out }) => [...out])),
    lse: Float64Array.from(parts.flatMap(({ lse }) => [...lse])),
    precision: parts.find(({ precision }) => precision)?.precision,
  };
}

/** Errors of rows that were cut to their first tokens, as those of whole ones. */
export function ofPrefixes(emulation: Emulation): Emulation {
  const enlarged = (errors: Float64Array) => errors.map((error) => PREFIX_FACTOR * error);
  return { ...emulation, out: enlarged(emulation.out), lse: enlarged(emulation.lse) };
}

/** The batch whose sequences end after `tokens` and whose rows see all of their sequence. */
export function prefixOf<Batch extends { readonly shape: AttendShape }>(batch: Batch, tokens: number): Batch {
  const { shape } = batch;
  return { ...batch, shape: { ...shape, kv: shape.kv.map((kv) => Math.min(kv, tokens)), causal: false } };
}

/** Reference rows `entries`, in that order: every array of a reference is laid out by row. */
export function referenceRows<Reference extends object & { readonly rows: Int32Array }>(
  reference: Reference,
  entries: Int32Array,
): Reference {
  const rows = reference.rows.length;
  const picked = Object.entries(reference as Readonly<Record<string, Float64Array>>).map(([name, array]) => {
    const width = array.length / rows;
    const part = new (array.constructor as Float64ArrayConstructor)(entries.length * width);
    entries.forEach((entry, i) => part.set(array.subarray(entry * width, (entry + 1) * width), i * width));
    return [name, part];
  });
  return Object.fromEntries(picked) as Reference;
}

/**
 * Largest error of the elements of a row, `actual`, in units of `scale`; the row begins at element `at` of the others.
 */
export function errorInScales(
  actual: ArrayLike<number>,
  expected: Float64Array,
  scale: Float64Array,
  at: number,
): number {
  let largest = 0;
  for (let d = 0; d < actual.length; d++) {
    const error = Math.abs(actual[d] - expected[at + d]);
    if (error > 0) largest = Math.max(largest, error / scale[at + d]);
  }
  return largest;
}
