/**
 * What must not change an answer, as data: each relation makes other guises of a case from the one that ran.
 *
 * @module
 */
import type { Operation, Tuning } from "../kernels/kernel.ts";
import { bitsView, nanBits } from "../reference/dtypes.ts";
import { permutation, streamKey } from "../reference/random.ts";
import { type Batch, movePages, padBatch, pickSequences } from "../reference/variations.ts";
import type { Case } from "../suites/case.ts";

/** A case in another form. */
export interface Guise {
  /** In words, for messages: `sequence 3 alone`. */
  readonly label: string;
  /** Its inputs. */
  readonly batch: Batch;
  /** Launch parameters that differ from those of the case. */
  readonly tuning?: Tuning;
  /** Whether it is a single sequence of the batch. */
  readonly isAlone?: boolean;
}

/** What the guises of a case are made from. */
export interface RelationContext {
  /** The case. */
  readonly c: Case;
  /** Its batch. */
  readonly batch: Batch;
}

/** What must not change an answer. */
export interface Relation {
  /** Name of its check. */
  readonly name: string;
  /** Operations that it is for. */
  readonly operations: readonly Operation[];
  /**
   * How a sequence's results compare with those of the first run.
   *
   * - `bits` They are equal bit by bit: the work list is the same, and nothing but addresses differs.
   * - `plan` They are, where the work lists of both launches give the sequence the same blocks over the same tokens in
   *   the same shaders (`kernels/reduction.ts`); elsewhere they meet the bounds of the case, as the first run did, so
   *   that both differ by less than twice them.
   * - `bounds` They meet those bounds: another order of the sums is what is tried.
   *
   * Caches are always equal bit by bit: a token is rounded for itself.
   */
  readonly equality: "bits" | "plan" | "bounds";
  /** The guises; none where they cannot be another form of the case. */
  guises(context: RelationContext): Guise[];
}

/** Stream of the permutations. */
const ORDER_STREAM = 40, PAGES_STREAM = 41;

/** Splits that every launch is tried with. */
const SPLITS: readonly number[] = [1, 2, 3, 7];
/** Splits that a flow is tried with: each of its calls is launched again, and its attention is that of other cases. */
const FLOW_SPLITS: readonly number[] = [3];

/** What {@linkcode RELATIONS} appends: enough to move every row of a table, and few enough to cost nothing. */
const PADDING = { sequences: 2, pages: 2, rows: 3, entries: 3 };

const ALL: readonly Operation[] = ["attend", "append", "project", "prefill", "mla"];
const PAGED: readonly Operation[] = ["attend", "append", "prefill", "mla"];

/** The relations, in the order of their checks. */
export const RELATIONS: readonly Relation[] = [
  { name: "batch_permuted", operations: ALL, equality: "plan", guises: permuteBatch },
  { name: "pages_permuted", operations: PAGED, equality: "bits", guises: permutePages },
  { name: "alone", operations: ALL, equality: "plan", guises: leaveAlone },
  { name: "splits", operations: ["attend", "mla"], equality: "bounds", guises: changeSplits },
  { name: "padded", operations: ALL, equality: "plan", guises: pad },
];

/** Sequences of all calls, by their numbers. */
function sequencesOf({ calls }: Batch): number[] {
  return [...new Set(calls.flatMap(({ sequences }) => sequences))].sort((a, b) => a - b);
}

/** A permutation that is not the identity: it is turned by one where it would be. */
function otherOrder(n: number, key: number): Int32Array {
  const order = permutation(n, key);
  return order.some((value, i) => value !== i) ? order : order.map((value) => (value + 1) % n);
}

function permuteBatch({ c, batch }: RelationContext): Guise[] {
  const sequences = sequencesOf(batch);
  if (sequences.length < 2) return [];
  const order = [...otherOrder(sequences.length, streamKey(c.seed, ORDER_STREAM))].map((i) => sequences[i]);
  return [{ label: "sequences in another order", batch: pickSequences(batch, order) }];
}

/** Pages that nobody owned have owners in the guise, as far as there are tokens for them. */
function permutePages({ c, batch }: RelationContext): Guise[] {
  if (batch.pages < 2) return [];
  const pageTo = otherOrder(batch.pages, streamKey(c.seed, PAGES_STREAM));
  const owned = new Set(batch.calls.flatMap((call) => call.owned.flatMap((pages) => [...pages])));
  const idle = [...pageTo.keys()].filter((page) => !owned.has(page) && !owned.has(pageTo[page]));
  for (const page of owned) {
    const other = owned.has(pageTo[page]) ? idle.pop() : undefined;
    if (other !== undefined) [pageTo[page], pageTo[other]] = [pageTo[other], pageTo[page]];
  }
  return [{ label: "tokens in other pages", batch: movePages(batch, pageTo) }];
}

/** The first, the last, the longest and an empty sequence; of a flow the longest, for the same reason. */
function leaveAlone({ batch }: RelationContext): Guise[] {
  const sequences = sequencesOf(batch);
  if (sequences.length < 2) return [];
  const lengths = new Map(batch.calls.flatMap(({ sequences, kv }) => sequences.map((b, i) => [b, kv[i]] as const)));
  const length = (b: number) => lengths.get(b)!;
  const longest = sequences.reduce((most, b) => length(b) > length(most) ? b : most);
  const isCached = batch.pages > 0;
  const empty = isCached ? sequences.filter((b) => length(b) === 0).slice(0, 1) : [];
  const chosen = new Set(batch.calls.length > 1 ? [longest] : [sequences[0], sequences.at(-1)!, longest, ...empty]);
  const what = isCached ? "sequence" : "token";
  return [...chosen].map((b) => ({ label: `${what} ${b} alone`, batch: pickSequences(batch, [b]), isAlone: true }));
}

function changeSplits({ batch }: RelationContext): Guise[] {
  return (batch.calls.length > 1 ? FLOW_SPLITS : SPLITS).map((splits) => ({
    label: `${splits} ${splits === 1 ? "split" : "splits"}`,
    batch,
    tuning: { splits },
  }));
}

function pad({ c, batch }: RelationContext): Guise[] {
  const label = "padding behind the batch";
  if (c.operation === "project") {
    // The rows of part q have no padding.
    if (c.shape.part === "q") return [];
    return [{ label, batch: padBatch(batch, { ...PADDING, sequences: 0, pages: 0, poison: () => new Uint8Array() }) }];
  }
  const { cache } = c.shape;
  const poison = (_: string, pageBytes: number) => {
    const page = new Uint8Array(pageBytes);
    bitsView(page, cache).fill(nanBits(cache));
    return page;
  };
  // Each sequence of a later call has its pages already, so that those added must be there from the first call on.
  return [{ label, batch: padBatch(batch, { ...PADDING, poison }) }];
}
