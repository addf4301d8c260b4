/**
 * Spreads the reference over cores: Workers make the large inputs and compute rows in parts.
 *
 * @module
 */
import { splitCache } from "../reference/cache.ts";
import { DTYPE_BYTES } from "../reference/dtypes.ts";
import { attendEmulation, emulatedAttendFlops } from "../reference/emulate_attend.ts";
import { emulatedProjectedFlops } from "../reference/emulate_projected.ts";
import {
  type Emulation,
  type EmulationPart,
  joinEmulations,
  planEmulation,
  referenceRows,
} from "../reference/emulation.ts";
import { halvingsOf } from "../reference/expanded_probes.ts";
import { type AttendInputs, cachedBefore, makeAttendInputs } from "../reference/inputs.ts";
import { attendAbsorbed, attendFlops, type AttendReference } from "../reference/mla.ts";
import { makeMlaInputs, type MlaInputs } from "../reference/mla_inputs.ts";
import { makePrefillInputs, type PrefillInputs } from "../reference/model_inputs.ts";
import { UNOWNED_PAGES } from "../reference/paging.ts";
import { F32, type KernelPrecision } from "../reference/precision.ts";
import { attendProjected, type ProjectedReference } from "../reference/projected.ts";
import { projectedFlops } from "../reference/rows.ts";
import {
  type AppendShape,
  type AttendShape,
  type CacheShape,
  type InputKind,
  type MlaShape,
  pagesOf,
  type PrefillShape,
  type ProjectShape,
  total,
} from "../reference/shapes.ts";
import {
  answer,
  answerAppend,
  type AnsweredAppend,
  type AnsweredProject,
  answerProject,
  type CachedWork,
  type CacheParts,
  type ReferenceRequest,
  share,
} from "./reference_worker.ts";
import { WorkerPool } from "./worker_pool.ts";

/** Flops from which rows are computed by a Worker, about a millisecond: a message costs a tenth of that. */
const INLINE_FLOPS = 3e6;
/** Least flops of a part: a core takes about 10 ms, and every part decodes its keys anew. */
const PART_FLOPS = 30e6;
/** Elements of cache, queries and weight from which inputs are made by Workers, a few milliseconds. */
const INLINE_ELEMENTS = 5e5;
/** Least elements of a part: a few milliseconds of work. */
const PART_ELEMENTS = 1e6;

/** Module of the Workers: starting one reads it. */
const WORKER = new URL("./reference_worker.ts", import.meta.url);

function mayStartWorkers(): boolean {
  return WORKER.protocol !== "file:" ||
    Deno.permissions.querySync({ name: "read", path: WORKER }).state === "granted";
}

/** The reference on a pool of Workers; they start when first needed. */
export class ReferencePool {
  readonly #workers: WorkerPool<ReferenceRequest>;

  /** @param size Workers at most; one core is left to the thread that drives the GPU. */
  constructor(size: number = Math.max(1, navigator.hardwareConcurrency - 1)) {
    this.#workers = new WorkerPool(WORKER, size);
  }

  /** Seeded inputs of `attend`; large ones are made in parts by all Workers and live in shared memory. */
  async inputs(shape: AttendShape, input: InputKind, seed: number): Promise<AttendInputs> {
    if (elementsOf(shape) < INLINE_ELEMENTS) return makeAttendInputs(shape, input, seed);
    return await this.#make({ operation: "attend", shape }, input, seed) as AttendInputs;
  }

  /** The same of `prefill`. */
  async prefillInputs(shape: PrefillShape, input: InputKind, seed: number): Promise<PrefillInputs> {
    if (elementsOf(shape) < INLINE_ELEMENTS) return makePrefillInputs(shape, input, seed);
    return await this.#make({ operation: "prefill", shape }, input, seed) as PrefillInputs;
  }

  /** The same of `mla`. */
  async mlaInputs(shape: MlaShape, input: InputKind, seed: number): Promise<MlaInputs> {
    if (elementsOf(shape) < INLINE_ELEMENTS) return makeMlaInputs(shape, input, seed);
    return await this.#make({ operation: "mla", shape }, input, seed) as MlaInputs;
  }

  /** Seeded inputs of `append` with their answer; large ones live in shared memory. */
  async append(shape: AppendShape, seed: number): Promise<AnsweredAppend> {
    if (total(shape.kv) * (shape.R + shape.Dr) < INLINE_ELEMENTS) return answerAppend(shape, seed);
    return await this.#run({ kind: "append", shape, seed }) as AnsweredAppend;
  }

  /** Seeded inputs of `project` with the answer of `rows`; large ones live in shared memory. */
  async project(shape: ProjectShape, input: InputKind, seed: number, rows: Int32Array): Promise<AnsweredProject> {
    const { H, R, Dn, Dv } = shape;
    const flops = 2 * rows.length * R * (shape.part === "q" ? Dn : Dv);
    const isSmall = flops < INLINE_FLOPS && H * R * (Dn + Dv) < INLINE_ELEMENTS;
    if (isSmall) return answerProject({ shape, input, seed, rows });
    return await this.#run({ kind: "project", shape, input, seed, rows }) as AnsweredProject;
  }

  /** The reference of `attend` for `rows` of `inputs`, in the order of `rows`. */
  async attend(inputs: AttendInputs, rows: Int32Array): Promise<AttendReference> {
    const flops = attendFlops(inputs.shape, rows);
    if (flops < INLINE_FLOPS) return attendAbsorbed(inputs, rows);
    return await this.#rows("attend", inputs, rows, flops) as AttendReference;
  }

  /** The reference of `prefill`, and of the attention of `mla`, for `rows` of `inputs`, in the order of `rows`. */
  async projected(inputs: PrefillInputs, rows: Int32Array): Promise<ProjectedReference> {
    const flops = projectedFlops(inputs.shape, rows);
    if (flops < INLINE_FLOPS) return attendProjected(inputs, rows);
    return await this.#rows("projected", inputs, rows, flops) as ProjectedReference;
  }

  /** What honest kernels of a precision err by, from some of the rows of `reference` (`reference/emulation.ts`). */
  async emulateAttend(
    inputs: AttendInputs,
    reference: AttendReference,
    precision: KernelPrecision = F32,
  ): Promise<Emulation> {
    const flopsOf = (tokens: number) => emulatedAttendFlops(inputs.shape, tokens);
    const plan = planEmulation(reference, flopsOf);
    if (planFlops(plan, reference.seen, flopsOf) < INLINE_FLOPS) {
      return attendEmulation(inputs, reference, precision);
    }
    return await this.#emulate("emulateAttend", { inputs, reference, precision }, plan, flopsOf);
  }

  /** The same of `prefill` and the attention of `mla`, in both forms. */
  async emulateProjected(
    inputs: PrefillInputs,
    reference: ProjectedReference,
    precision: KernelPrecision = F32,
  ): Promise<Emulation> {
    const flopsOf = (tokens: number) => emulatedProjectedFlops(inputs.shape, tokens);
    const plan = planEmulation(reference, flopsOf);
    const expanded = this.#run({
      kind: "emulateExpanded",
      inputs: share(inputs),
      halvings: halvingsOf(reference),
      precision,
    }) as Promise<Emulation>;
    const absorbed = this.#emulate("emulateAbsorbed", { inputs, reference, precision }, plan, flopsOf);
    return joinEmulations(await Promise.all([absorbed, expanded]));
  }

  /** A cache in the separate layout; a large one is split in parts by all Workers. */
  async split(cache: Uint8Array, shape: CacheShape): Promise<CacheParts> {
    const latent = shape.R * DTYPE_BYTES[shape.cache], rope = shape.Dr * DTYPE_BYTES[shape.cache];
    const slots = cache.byteLength / (latent + rope);
    if (slots * (shape.R + shape.Dr) < INLINE_ELEMENTS) return splitCache(cache, shape);
    const shared = share(cache);
    const ckv = new Uint8Array(new SharedArrayBuffer(slots * latent));
    const kpe = new Uint8Array(new SharedArrayBuffer(slots * rope));
    await Promise.all(
      this.#parts(slots, shape.R + shape.Dr).map(({ begin, end }) =>
        this.#run({
          kind: "split",
          cache: shared.subarray(begin * (latent + rope), end * (latent + rope)),
          shape,
          target: { ckv: ckv.subarray(begin * latent, end * latent), kpe: kpe.subarray(begin * rope, end * rope) },
        })
      ),
    );
    return { ckv, kpe };
  }

  /** Answers on a Worker, or here where a program without permission to read this project's modules can start none. */
  async #run(request: ReferenceRequest): Promise<unknown> {
    return mayStartWorkers() ? await this.#workers.run(request) : answer(request);
  }

  /** Ends the Workers. */
  close(): void {
    this.#workers.close();
  }

  /** Inputs whose cache is poisoned, then filled, in parts; meanwhile another Worker makes the rest. */
  async #make(work: CachedWork, kind: InputKind, seed: number): Promise<unknown> {
    const { shape } = work;
    const tokenBytes = (shape.R + shape.Dr) * DTYPE_BYTES[shape.cache];
    const pages = total(shape.kv.map((kv) => pagesOf(kv, shape.page))) + UNOWNED_PAGES;
    const cache = new Uint8Array(new SharedArrayBuffer(pages * shape.page * tokenBytes));
    await Promise.all(
      this.#parts(pages, shape.page * tokenBytes).map(({ begin, end }) =>
        this.#run({
          kind: "poison",
          cache: cache.subarray(begin * shape.page * tokenBytes, end * shape.page * tokenBytes),
          dtype: shape.cache,
        })
      ),
    );
    const rest = () => this.#run({ kind: "inputs", work, input: kind, seed, cache });
    // The queries of `peak` are made of keys; those of other kinds need none.
    const early = kind === "peak" ? undefined : rest();
    const tokens = total(work.operation === "mla" ? cachedBefore(shape) : shape.kv);
    const parts = this.#parts(tokens, shape.R + shape.Dr);
    const filled = parts.map((part) => this.#run({ kind: "fill", work, fill: { kind, seed, cache, part } }));
    await Promise.all([early, ...filled]);
    return await (early ?? rest());
  }

  /** Parts of `count` things of `elements` each, several for each Worker so that all end together. */
  #parts(count: number, elements: number): { begin: number; end: number }[] {
    const parts = Math.max(1, Math.min(count, 4 * this.#workers.size, Math.ceil(count * elements / PART_ELEMENTS)));
    return Array.from({ length: parts }, (_, i) => ({
      begin: Math.round(i * count / parts),
      end: Math.round((i + 1) * count / parts),
    }));
  }

  async #rows(kind: "attend" | "projected", inputs: AttendInputs | PrefillInputs, rows: Int32Array, flops: number) {
    const shared = share(inputs);
    // Each part decodes keys and weights anew, so there are no more of them than Workers.
    const parts = Math.max(1, Math.min(rows.length, this.#workers.size, Math.ceil(flops / PART_FLOPS)));
    const bounds = Array.from({ length: parts + 1 }, (_, i) => Math.round(i * rows.length / parts));
    const references = await Promise.all(
      bounds.slice(1).map((end, i) =>
        this.#run({ kind, inputs: shared, rows: rows.slice(bounds[i], end) } as ReferenceRequest)
      ),
    );
    return { ...joinArrays(references as Record<string, Float64Array>[]), rows } as unknown;
  }

  /** Emulates the parts of a plan, their variants shared out. */
  async #emulate(
    kind: "emulateAttend" | "emulateAbsorbed",
    { inputs, reference, precision }: Emulated,
    plan: readonly EmulationPart[],
    flopsOf: (tokens: number) => number,
  ): Promise<Emulation> {
    const shared = share(inputs);
    const requests = plan.flatMap((part) => {
      const rows = referenceRows(reference, part.entries);
      const most = Math.ceil(planFlops([part], reference.seen, flopsOf) / PART_FLOPS);
      const parts = Math.max(1, Math.min(part.variants.length, this.#workers.size, most));
      return Array.from({ length: parts }, (_, i) => {
        const [begin, end] = [i, i + 1].map((k) => Math.round(k * part.variants.length / parts));
        const { tokens } = part;
        const own = { inputs: shared, variants: part.variants.slice(begin, end), precision };
        return (tokens === undefined
          ? { ...own, kind, reference: rows }
          : { ...own, kind: `${kind}Prefix`, rows: rows.rows, tokens }) as ReferenceRequest;
      });
    });
    return joinEmulations(await Promise.all(requests.map((request) => this.#run(request))) as Emulation[]);
  }
}

/** What is emulated, and how. */
interface Emulated {
  readonly inputs: AttendInputs | PrefillInputs;
  readonly reference: AttendReference | ProjectedReference;
  readonly precision: KernelPrecision;
}

/** Flops of the parts of a plan. */
function planFlops(
  plan: readonly EmulationPart[],
  seen: Int32Array,
  flopsOf: (tokens: number) => number,
): number {
  return total(plan.map(({ entries, variants, tokens = Infinity }) => {
    return variants.length * total([...entries].map((entry) => flopsOf(Math.min(tokens, seen[entry]))));
  }));
}

/** Elements of the cache, the queries and, where there is one, the weight. */
function elementsOf(shape: AttendShape | PrefillShape): number {
  const { H, R, Dr, Dn, Dv, q, kv } = shape;
  return total(kv) * (R + Dr) + total(q) * H * (R + Dr) + ("weight" in shape ? H * (Dn + Dv) * R : 0);
}

/** Concatenates parts of a reference or an emulation, array by array: each is laid out by row. */
function joinArrays(parts: readonly Readonly<Record<string, Float64Array>>[]): Record<string, Float64Array> {
  const joined: Record<string, Float64Array> = {};
  for (const key of Object.keys(parts[0])) {
    const arrays = parts.map((part) => part[key]);
    const ArrayType = arrays[0].constructor as Float64ArrayConstructor;
    const whole = new ArrayType(arrays.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const array of arrays) {
      whole.set(array, at);
      at += array.length;
    }
    joined[key] = whole;
  }
  return joined;
}
