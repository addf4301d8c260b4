/**
 * Runs parts of the reference off the main thread.
 *
 * @module
 */
import { type AttendInputs, makeAttendInputs } from "../reference/inputs.ts";
import { attendAbsorbed } from "../reference/mla.ts";
import type { AttendShape, InputKind } from "../reference/shapes.ts";

/** What the worker is asked for. */
export type ReferenceRequest =
  | {
    readonly kind: "inputs";
    readonly id: number;
    readonly shape: AttendShape;
    readonly input: InputKind;
    readonly seed: number;
  }
  | { readonly kind: "attend"; readonly id: number; readonly inputs: AttendInputs; readonly rows: Int32Array };

/** What it answers: the value, or why there is none. */
export interface ReferenceResponse {
  /** Id of the request. */
  readonly id: number;
  /** `AttendInputs` over shared memory, or an `AttendReference`. */
  readonly value?: unknown;
  /** Message of the error. */
  readonly error?: string;
}

/** Copies a typed array into shared memory, so that every worker reads the same bytes. */
function share<T extends Float32Array | Int32Array | Uint8Array>(array: T): T {
  const copy = new Uint8Array(new SharedArrayBuffer(array.byteLength));
  copy.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
  return new (array.constructor as new (buffer: SharedArrayBuffer) => T)(copy.buffer);
}

/** Moves the arrays of `inputs` into shared memory. */
export function shareInputs(inputs: AttendInputs): AttendInputs {
  return {
    ...inputs,
    qLatent: share(inputs.qLatent),
    qPe: share(inputs.qPe),
    cache: share(inputs.cache),
    pageTable: share(inputs.pageTable),
    kvLen: share(inputs.kvLen),
  };
}

function answer(request: ReferenceRequest): unknown {
  switch (request.kind) {
    case "inputs":
      return shareInputs(makeAttendInputs(request.shape, request.input, request.seed));
    case "attend":
      return attendAbsorbed(request.inputs, request.rows);
    default:
      return request satisfies never;
  }
}

interface WorkerScope {
  onmessage: ((event: MessageEvent<ReferenceRequest>) => void) | null;
  postMessage(message: ReferenceResponse): void;
}

// The module is also imported for `shareInputs`; only inside a worker does it listen.
if (typeof (globalThis as { WorkerGlobalScope?: unknown }).WorkerGlobalScope !== "undefined") {
  const scope = globalThis as unknown as WorkerScope;
  scope.onmessage = ({ data }) => {
    try {
      scope.postMessage({ id: data.id, value: answer(data) });
    } catch (error) {
      scope.postMessage({ id: data.id, error: String((error as Error).message) });
    }
  };
}
