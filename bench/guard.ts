/**
 * Runs GPU calls so that what goes wrong is an exception with a stage.
 *
 * @module
 */
import type { Gpu } from "./device.ts";

/** A case could not be run; `stage` says where, `skip` that the device lacks room for it. */
export class ExecutionError extends Error {
  /** For messages. */
  override name = "ExecutionError";
  /** Where it happened. */
  readonly stage: "compile" | "run";
  /** Whether the device is merely too small: a skip, not a failure. */
  readonly outOfMemory: boolean;
  /** Makes the error. */
  constructor(stage: "compile" | "run", message: string, outOfMemory = false) {
    super(message);
    this.stage = stage;
    this.outOfMemory = outOfMemory;
  }
}

/**
 * Runs `work` inside error scopes; throws what they caught. `work` is synchronous because scopes are a stack of the
 * device: cases overlap, and one that waited inside its scopes would be blamed for the calls of another.
 */
export async function guarded<T>(gpu: Gpu, stage: "compile" | "run", work: () => T): Promise<T> {
  gpu.device.pushErrorScope("internal");
  gpu.device.pushErrorScope("out-of-memory");
  gpu.device.pushErrorScope("validation");
  let value: T | undefined;
  let thrown: unknown;
  try {
    value = work();
  } catch (error) {
    thrown = error;
  }
  const [validation, memory, internal] = await Promise.all([
    gpu.device.popErrorScope(),
    gpu.device.popErrorScope(),
    gpu.device.popErrorScope(),
  ]);
  if (gpu.lost) throw new ExecutionError("run", `device lost (${gpu.lost})`);
  if (memory) throw new ExecutionError(stage, firstLines(memory.message) || "out of memory", true);
  if (validation) throw new ExecutionError(stage, firstLines(validation.message));
  if (internal) throw new ExecutionError(stage, firstLines(internal.message));
  if (thrown !== undefined) throw thrown;
  return value as T;
}

/**
 * Waits for what was submitted by a {@linkcode guarded} call, such as a mapping; a rejection is an
 * {@linkcode ExecutionError}.
 */
export async function settled<T>(gpu: Gpu, promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    throw new ExecutionError("run", gpu.lost ? `device lost (${gpu.lost})` : firstLines((error as Error).message));
  }
}

function firstLines(message: string): string {
  return message.trim().split("\n").slice(0, 12).join("\n");
}
