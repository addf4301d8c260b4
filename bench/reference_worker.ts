/**
 * Runs parts of the reference off the main thread.
 *
 * @module
 */
import { appendReference, splitCache } from "../reference/cache.ts";
import { bitsView, type Dtype, nanBits } from "../reference/dtypes.ts";
import {
  type AppendInputs,
  type AttendInputs,
  type CacheFill,
  fillAttendCache,
  makeAppendInputs,
  makeAttendInputs,
} from "../reference/inputs.ts";
import { emulateAttend, emulateAttendPrefix } from "../reference/emulate_attend.ts";
import { projectEmulation } from "../reference/emulate_project.ts";
import { emulateAbsorbed, emulateAbsorbedPrefix, emulateExpanded } from "../reference/emulate_projected.ts";
import { attendAbsorbed, type AttendReference } from "../reference/mla.ts";
import { fillMlaCache, makeMlaInputs } from "../reference/mla_inputs.ts";
import {
  fillPrefillCache,
  makePrefillInputs,
  makeProjectInputs,
  type PrefillInputs,
  type ProjectInputs,
} from "../reference/model_inputs.ts";
import type { Emulation } from "../reference/emulation.ts";
import type { KernelPrecision } from "../reference/precision.ts";
import { type ProjectReference, projectReference } from "../reference/project.ts";
import { attendProjected, type ProjectedReference } from "../reference/projected.ts";
import type {
  AppendShape,
  AttendShape,
  CacheShape,
  InputKind,
  MlaShape,
  PrefillShape,
  ProjectShape,
} from "../reference/shapes.ts";
import { blindAppend, blindProject } from "../reference/trivial.ts";

/** Shapes of the operations whose inputs have a cache that is filled in parts. */
export type CachedWork =
  | { readonly operation: "attend"; readonly shape: AttendShape }
  | { readonly operation: "prefill"; readonly shape: PrefillShape }
  | { readonly operation: "mla"; readonly shape: MlaShape };

/** Latents and rope keys of a cache in the separate layout. */
export interface CacheParts {
  /** `[pages, page, R]` */
  readonly ckv: Uint8Array;
  /** `[pages, page, Dr]` */
  readonly kpe: Uint8Array;
}

/** What the worker is asked for. */
export type ReferenceRequest =
  | { readonly kind: "poison"; readonly cache: Uint8Array; readonly dtype: Dtype }
  | { readonly kind: "split"; readonly cache: Uint8Array; readonly shape: CacheShape; readonly target: CacheParts }
  | { readonly kind: "fill"; readonly work: CachedWork; readonly fill: CacheFill }
  | {
    readonly kind: "inputs";
    readonly work: CachedWork;
    readonly input: InputKind;
    readonly seed: number;
    readonly cache: Uint8Array;
  }
  | { readonly kind: "append"; readonly shape: AppendShape; readonly seed: number }
  | {
    readonly kind: "project";
    readonly shape: ProjectShape;
    readonly input: InputKind;
    readonly seed: number;
    readonly rows: Int32Array;
  }
  | { readonly kind: "attend"; readonly inputs: AttendInputs; readonly rows: Int32Array }
  | { readonly kind: "projected"; readonly inputs: PrefillInputs; readonly rows: Int32Array }
  | {
    readonly kind: "emulateAttend";
    readonly inputs: AttendInputs;
    readonly reference: AttendReference;
    readonly variants: readonly number[];
    readonly precision: KernelPrecision;
  }
  | {
    readonly kind: "emulateAbsorbed";
    readonly inputs: PrefillInputs;
    readonly reference: ProjectedReference;
    readonly variants: readonly number[];
    readonly precision: KernelPrecision;
  }
  | {
    readonly kind: "emulateAttendPrefix";
    readonly inputs: AttendInputs;
    readonly rows: Int32Array;
    readonly variants: readonly number[];
    readonly tokens: number;
    readonly precision: KernelPrecision;
  }
  | {
    readonly kind: "emulateAbsorbedPrefix";
    readonly inputs: PrefillInputs;
    readonly rows: Int32Array;
    readonly variants: readonly number[];
    readonly tokens: number;
    readonly precision: KernelPrecision;
  }
  | {
    readonly kind: "emulateExpanded";
    readonly inputs: PrefillInputs;
    readonly halvings: number;
    readonly precision: KernelPrecision;
  };

/** What it answers: the value, or why there is none. */
export interface ReferenceResponse {
  /** Id of the request. */
  readonly id: number;
  /** Inputs over shared memory, or part of a reference. */
  readonly value?: unknown;
  /** Message of the error. */
  readonly error?: string;
}

/**
 * Moves typed arrays, anywhere in `value`, into shared memory, so that every worker reads the same bytes. Those that
 * are there stay.
 */
export function share<T>(value: T): T {
  if (ArrayBuffer.isView(value)) return shareArray(value as unknown as Uint8Array) as T;
  if (Array.isArray(value)) return value.map(share) as T;
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, share(member)])) as T;
}

function shareArray(array: Uint8Array): Uint8Array {
  if (array.buffer instanceof SharedArrayBuffer) return array;
  const copy = new Uint8Array(new SharedArrayBuffer(array.byteLength));
  copy.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
  return new (array.constructor as new (buffer: SharedArrayBuffer) => Uint8Array)(copy.buffer);
}

/** Does what `request` asks for. */
export function answer(request: ReferenceRequest): unknown {
  switch (request.kind) {
    case "poison":
      bitsView(request.cache, request.dtype).fill(nanBits(request.dtype));
      return undefined;
    case "split":
      return splitInto(request);
    case "fill":
      return fillCache(request.work, request.fill);
    case "inputs":
      return share(makeInputs(request));
    case "append":
      return share(answerAppend(request.shape, request.seed));
    case "project":
      return share(answerProject(request));
    case "attend":
      return attendAbsorbed(request.inputs, request.rows);
    case "projected":
      return attendProjected(request.inputs, request.rows);
    case "emulateAttend":
      return emulateAttend(request.inputs, request.reference, request.variants, request.precision);
    case "emulateAbsorbed":
      return emulateAbsorbed(request.inputs, request.reference, request.variants, request.precision);
    case "emulateAttendPrefix":
      return emulateAttendPrefix(request.inputs, request.rows, request.variants, request.tokens, request.precision);
    case "emulateAbsorbedPrefix":
      return emulateAbsorbedPrefix(request.inputs, request.rows, request.variants, request.tokens, request.precision);
    case "emulateExpanded":
      return emulateExpanded(request.inputs, request.halvings, request.precision);
    default:
      return request satisfies never;
  }
}

/** An `append` with its answer. */
export interface AnsweredAppend {
  /** Its inputs. */
  readonly inputs: AppendInputs;
  /** The cache after it. */
  readonly expected: Uint8Array;
  /** Trivial outputs that would be accepted. */
  readonly blind: readonly string[];
}

/** Makes the inputs of an `append`, and its reference. */
export function answerAppend(shape: AppendShape, seed: number): AnsweredAppend {
  return answeredAppend(makeAppendInputs(shape, seed));
}

/** The reference of an `append`. */
export function answeredAppend(inputs: AppendInputs): AnsweredAppend {
  const expected = appendReference(inputs);
  return { inputs, expected, blind: blindAppend(inputs, expected) };
}

/** A `project` with its answer. */
export interface AnsweredProject {
  /** Its inputs. */
  readonly inputs: ProjectInputs;
  /** Some of its rows. */
  readonly reference: ProjectReference;
  /** What honest kernels err by. */
  readonly emulation: Emulation;
  /** Trivial outputs that would be accepted. */
  readonly blind: readonly string[];
}

/** Makes the inputs of a `project`, and its reference. */
export function answerProject(
  { shape, input, seed, rows }: Omit<ReferenceRequest & { kind: "project" }, "kind">,
): AnsweredProject {
  const inputs = makeProjectInputs(shape, input, seed);
  const reference = projectReference(inputs, rows);
  const emulation = projectEmulation(inputs, reference);
  return { inputs, reference, emulation, blind: blindProject(inputs, reference, emulation) };
}

/** Some slots of a cache in the separate layout. */
function splitInto({ cache, shape, target }: ReferenceRequest & { kind: "split" }): void {
  const { ckv, kpe } = splitCache(cache, shape);
  target.ckv.set(ckv);
  target.kpe.set(kpe);
}

function fillCache({ operation, shape }: CachedWork, fill: CacheFill): void {
  switch (operation) {
    case "attend":
      return fillAttendCache(shape, fill);
    case "prefill":
      return fillPrefillCache(shape, fill);
    case "mla":
      return fillMlaCache(shape, fill);
    default:
      return operation satisfies never;
  }
}

function makeInputs({ work: { operation, shape }, input, seed, cache }: ReferenceRequest & { kind: "inputs" }) {
  switch (operation) {
    case "attend":
      return makeAttendInputs(shape, input, seed, cache);
    case "prefill":
      return makePrefillInputs(shape, input, seed, cache);
    case "mla":
      return makeMlaInputs(shape, input, seed, cache);
    default:
      return operation satisfies never;
  }
}

/** Buffers of an answer that need not be copied: the worker has no use for them. */
function ownBuffers(value: unknown): ArrayBuffer[] {
  const views = Object.values(value ?? {}).filter((member) => ArrayBuffer.isView(member));
  return [...new Set(views.map(({ buffer }) => buffer).filter((buffer) => buffer instanceof ArrayBuffer))];
}

interface WorkerScope {
  onmessage: ((event: MessageEvent<ReferenceRequest & { readonly id: number }>) => void) | null;
  postMessage(message: ReferenceResponse, transfer?: Transferable[]): void;
}

// The module is also imported for `share`; only inside a worker does it listen.
if (typeof (globalThis as { WorkerGlobalScope?: unknown }).WorkerGlobalScope !== "undefined") {
  const scope = globalThis as unknown as WorkerScope;
  scope.onmessage = ({ data }) => {
    try {
      const value = answer(data);
      scope.postMessage({ id: data.id, value }, ownBuffers(value));
    } catch (error) {
      scope.postMessage({ id: data.id, error: String((error as Error).message) });
    }
  };
}
