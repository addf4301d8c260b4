/**
 * Random cases over the whole contract: every operation and axis, any batch of ragged lengths.
 *
 * Case i of a seed depends on the seed, on i and on the kernels alone, never on how many are drawn: `--fuzz 10000` goes
 * on where `--fuzz 100` ended, and shards need not know of each other.
 *
 * Sizes that are constants of the shaders' text cost most: compiling all kernels for one model takes llvmpipe a quarter
 * of a minute, checking a case a twentieth of a second. So the kernels take turns of {@linkcode FUZZ_TURN} cases on one
 * model, which `mla` and its parts then share, before the next model is drawn.
 *
 * @module
 */
import { type KernelBase, type Operation, TUNABLES } from "../kernels/kernel.ts";
import { callsOf } from "../reference/flow.ts";
import { permutation, uint32At } from "../reference/random.ts";
import { type AttendShape, type InputKind, pagesOf, total } from "../reference/shapes.ts";
import { AXES, type AxisValue, type AxisValues, choicesOf } from "./axes.ts";
import type { Case } from "./case.ts";
import { makeCase } from "./case_id.ts";
import { estimateCost } from "./cost.ts";
import { Draw } from "./draw.ts";
import { drawLengths, drawPage, drawUpTo, type FuzzCaps, type LengthsRule } from "./fuzz_lengths.ts";
import { drawModel, type FuzzModel } from "./fuzz_model.ts";
import type { KernelName } from "./select.ts";
import type { Shard } from "./shard.ts";

/** Consecutive cases of one kernel. The kernels take turns; a round, in which each has its turn, shares a model. */
export const FUZZ_TURN = 20;

/** Most cases of one fuzz: what a report holds. */
export const MAX_FUZZ = 100_000;

/** Name under which a report lists the cases. */
export const FUZZ_SUITE = "fuzz";

/** What to draw. */
export interface FuzzOptions {
  /** Cases, those of other shards included. */
  readonly count: number;
  /** Seed of the draw, a non-negative 32-bit integer. */
  readonly seed: number;
  /** Kernels to draw from; one that has `refuses` is given shapes that it takes, where some are found. */
  readonly kernels: readonly (KernelName & Partial<Pick<KernelBase<Operation, never>, "refuses" | "tunings">>)[];
  /** Which part of the cases: whole rounds, so that no model is compiled twice. @default all */
  readonly shard?: Shard;
}

/** Streams: order of the kernels, models, turns, their tunings, cases, seeds of their inputs. */
const STREAM = { order: 0x6f, model: 0x6d, turn: 0x74, tuning: 0x75, fuzz: 0x66, input: 0x69 };

/** Models, and shapes of each, that are drawn where the kernel refuses what was drawn: some user's kernels take few. */
const ATTEMPTS = { models: 16, shapes: 24 };
/** Times that the caps of a shape are lowered to fit its budget. */
const LOWERINGS = 60;

/** Work of a case, in flops or what takes as long: a few milliseconds of two cores at most, and of some a hundred. */
const WORK = { least: 1e5, most: 1e7, seldom: 1e8, percent: 2 };
/** Flops that take as long as making, filling and uploading one element of an input. */
const FLOPS_PER_ELEMENT = 10;

const RULES: Readonly<Record<Operation, LengthsRule>> = {
  attend: { fitted: false, idle: false, flows: false },
  append: { fitted: true, idle: true, flows: false },
  project: { fitted: true, idle: false, flows: false },
  prefill: { fitted: false, idle: false, flows: false },
  mla: { fitted: true, idle: false, flows: true },
};

const HEADS = [1, 1, 2, 3, 3, 4, 5, 7, 8, 8, 9, 15, 16, 16, 17, 20, 31, 32, 33, 63, 64, 65, 128] as const;
const SPLITS = [1, 2, 3, 3, 5, 7, 8, 16, 17, 64] as const;
const SCALES = [1, 0.5, 0.0884, 0.125, 2, 3.7, 0.003, 40, 1e-12, 1e12, -1, -0.125, -0.0721, -3] as const;
/** Scales of kinds whose queries do not depend on the scale: with others all logits are equal, or one takes all. */
const MILD_SCALES = [1, 0.5, 0.0884, 0.125, 2, -1, -0.125] as const;
const SCALED_KINDS: ReadonlySet<InputKind> = new Set<InputKind>(["seed", "flashmla"]);
const PADDINGS = [1, 2, 3, 5, 16, 17, 63, 64, 65, 130] as const;

/**
 * The cases of a fuzz, in order, with an id each that no other one of the same seed has.
 *
 * @throws {RangeError} If there is no kernel.
 */
export function fuzzCases({ count, seed, kernels, shard }: FuzzOptions): Case[] {
  if (kernels.length === 0) throw new RangeError("Cannot fuzz: there is no kernel to draw a case for");
  const cases: Case[] = [];
  for (let i = 0; i < count; i++) {
    const turn = Math.floor(i / FUZZ_TURN);
    const round = Math.floor(turn / kernels.length);
    if (shard && round % shard.count !== shard.index - 1) continue;
    const order = permutation(kernels.length, new Draw(seed, STREAM.order, round).key);
    cases.push(drawCase({ seed, i, turn, round, kernel: kernels[order[turn % kernels.length]] }));
  }
  return cases;
}

type FuzzKernel = FuzzOptions["kernels"][number];

/** Where a case stands in its fuzz. */
interface Place {
  readonly seed: number;
  readonly i: number;
  readonly turn: number;
  readonly round: number;
  readonly kernel: FuzzKernel;
}

/** What the cases of a turn share: all that decides the text of the shaders, but for blocks of rows. */
interface Turn {
  readonly kernel: FuzzKernel;
  readonly model: FuzzModel;
  /** Which projection of `project`. */
  readonly part: AxisValue;
  /** Form of `mla`. */
  readonly form: AxisValue;
  /** Values of `rows`, `tile` and `threads`. */
  readonly tuning: AxisValues;
}

function drawCase(place: Place): Case {
  const { seed, i, kernel } = place;
  // The generator is one-to-one in i: no two cases of a seed have the same inputs, and so none the same id.
  const inputSeed = uint32At(new Draw(seed, STREAM.input).key, i);
  const draw = (attempt: number, shape: number) =>
    fitBudget(new Draw(seed, STREAM.fuzz, i, attempt, shape), drawTurn(place, attempt), inputSeed);
  for (let attempt = 0; attempt < ATTEMPTS.models; attempt++) {
    if (!isTaken(kernel, plainCase(drawTurn(place, attempt)))) continue;
    for (let shape = 0; shape < ATTEMPTS.shapes; shape++) {
      const drawn = draw(attempt, shape);
      if (isTaken(kernel, drawn)) return drawn;
    }
  }
  return draw(0, 0);
}

/** One decode step: a kernel that refuses even that takes nothing of the model. */
function plainCase(turn: Turn): Case {
  return makeCase(ownFields(turn, { B: 1, H: 1, q: 1, kv: 1, page: 64 }));
}

function drawTurn({ seed, turn, round, kernel }: Place, attempt: number): Turn {
  const model = drawModel(new Draw(seed, STREAM.model, round, attempt));
  const draw = new Draw(seed, STREAM.turn, turn);
  const part = draw.pick(["q", "v"]);
  const form = draw.pick(["auto", "absorbed", "expanded"]);
  const plain = { kernel, model: modelFor(kernel, model), part, form, tuning: {} };
  if (kernel.operation === "mla" && form === "expanded") return plain;
  const tuned = { ...plain, tuning: drawTuning(new Draw(seed, STREAM.tuning, turn), kernel) };
  // No model is passed over for what is asked beside it.
  return isTaken(kernel, plainCase(tuned)) ? tuned : plain;
}

/** Half of the turns leave everything to the kernel, half of the others each parameter. */
function drawTuning(draw: Draw, { tunings = {} }: FuzzKernel): AxisValues {
  if (draw.chance(50)) return {};
  const asked = TUNABLES.filter((name) => tunings[name] !== undefined && draw.chance(50));
  return Object.fromEntries(asked.map((name) => [name, draw.pick(tunings[name]!)]));
}

/** Whether `kernel`, as far as it knows without a device, takes every call of `c`. */
function isTaken({ refuses }: FuzzKernel, c: Case): boolean {
  if (!refuses) return true;
  const shapes = c.operation === "mla" ? callsOf(c.shape).map(({ shape }) => shape) : [c.shape];
  return shapes.every((shape) => refuses(shape as never, c.tuning) === undefined);
}

/** Draws shapes from lower and lower caps until one fits a budget of its own. */
function fitBudget(draw: Draw, turn: Turn, inputSeed: number): Case {
  const most = draw.chance(WORK.percent) ? WORK.seldom : WORK.most;
  // The larger of two: tiny cases are enough as they are.
  const drawn = Math.max(draw.scaled(WORK.least, most), draw.scaled(WORK.least, most));
  const budget = drawn + FLOPS_PER_ELEMENT * leastElements(turn);
  let caps: FuzzCaps = {
    B: draw.pick([1, 3, 9, 33, 157, 157]),
    H: draw.pick([2, 9, 33, 128, 128]),
    kv: draw.scaled(16, 4096),
    q: draw.scaled(4, 512),
    page: draw.scaled(4, 576),
  };
  for (let lowering = 0;; lowering++) {
    const c = makeCase({ ...drawFields(draw, turn, caps), seed: inputSeed });
    if (lowering === LOWERINGS || workOf(c) <= budget) return c;
    caps = lower(draw, caps);
  }
}

function lower(draw: Draw, caps: FuzzCaps): FuzzCaps {
  const names = (Object.keys(caps) as (keyof FuzzCaps)[]).filter((name) => caps[name] > 1);
  if (names.length === 0) return caps;
  const name = draw.pick(names);
  return { ...caps, [name]: Math.max(1, Math.floor(caps[name] / 2)) };
}

/** Work of the kernel or of making its inputs, in flops. */
function workOf(c: Case): number {
  return estimateCost(c).flops + FLOPS_PER_ELEMENT * elementsOf(c);
}

function elementsOf({ operation, shape }: Case): number {
  if (operation === "project") {
    return shape.H * (shape.R * (shape.Dn + shape.Dv) + (shape.tokens + shape.padding) * (shape.R + shape.Dn));
  }
  const width = shape.R + shape.Dr;
  const cache = shape.page * width * total(shape.kv.map((kv) => pagesOf(kv, shape.page)));
  if (operation === "append") return cache + total(shape.q) * width;
  const queries = total(shape.q) * shape.H * width;
  const weight = operation === "attend" ? 0 : shape.H * shape.R * (shape.Dn + shape.Dv);
  const calls = operation === "mla" ? shape.steps?.length ?? 1 : 1;
  return cache * calls + queries + weight * calls + unfolded(operation, shape);
}

/** Elements that no case of a turn goes without, with some to spare: the weight of a few heads. */
function leastElements({ kernel: { operation }, model: { R, Dr, Dn, Dv } }: Turn): number {
  return operation === "attend" || operation === "append" ? 8 * (R + Dr) : 4 * R * (Dn + Dv);
}

/** Elements of the keys and values that the expanded form makes. */
function unfolded(operation: Operation, { H, kv, Dn, Dv }: AttendShape): number {
  return operation === "attend" ? 0 : H * total(kv) * (Dn + Dv);
}

type Fields = AxisValues & { readonly operation: Operation; readonly variant: string };

function drawFields(draw: Draw, turn: Turn, caps: FuzzCaps): Fields {
  const { operation } = turn.kernel;
  const page = drawPage(draw, caps.page);
  const values: AxisValues = {
    ...drawLengths(draw, page, caps, RULES[operation]),
    page,
    H: drawUpTo(draw, HEADS, caps.H),
    ...drawRest(draw, turn),
  };
  return ownFields(turn, values);
}

/** `values` and those of the turn's model and tuning, of the axes that the operation has. */
function ownFields({ kernel: { operation, variant }, model, tuning }: Turn, values: AxisValues): Fields {
  const all: AxisValues = { ...model, ...tuning, ...values };
  const own = AXES.filter((axis) => axis.operations.includes(operation) && all[axis.name] !== undefined);
  return { ...Object.fromEntries(own.map(({ name }) => [name, all[name]])), operation, variant };
}

/** `model` with a cache that the kernel takes. */
function modelFor({ layouts, dtypes }: FuzzKernel, model: FuzzModel): FuzzModel {
  return { ...model, layout: takenOf(layouts, model.layout), cache: takenOf(dtypes, model.cache) };
}

function takenOf<T>(taken: readonly T[] | undefined, wanted: T): T {
  return taken === undefined || taken.includes(wanted) ? wanted : taken[0];
}

/** Axes that are no size: kinds, rules, splits. */
function drawRest(draw: Draw, { kernel: { operation }, part, form }: Turn): AxisValues {
  const input = draw.chance(40) ? "normal" : draw.pick(kindsOf(operation));
  const hasPadding = operation !== "project" || part === "v";
  return {
    input,
    scale: drawScale(draw, input as InputKind),
    causal: draw.chance(75) ? 1 : 0,
    lse: draw.chance(75) ? "e" : "2",
    part,
    form,
    splits: form === "expanded" || draw.chance(55) ? "auto" : draw.pick(SPLITS),
    padding: hasPadding && draw.chance(35) ? draw.pick(PADDINGS) : 0,
  };
}

function kindsOf(operation: Operation): readonly AxisValue[] {
  const axis = AXES.find(({ name }) => name === "input");
  return axis?.kind === "choice" ? choicesOf(axis, operation) : [];
}

function drawScale(draw: Draw, input: InputKind): AxisValue {
  if (draw.chance(65)) return "auto";
  return draw.pick<number>(SCALED_KINDS.has(input) ? MILD_SCALES : SCALES);
}
