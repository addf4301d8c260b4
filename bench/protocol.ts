/**
 * What the supervising command and the process that owns the GPU say to each other: one JSON object a line, the plan
 * down the child's standard input, events up its standard output.
 *
 * @module
 */
import type { Calibration, Environment, Result } from "./result.ts";
import type { PackedOutputs } from "./stored_outputs.ts";

/** A recorded file to replay. */
export interface RecordedFile {
  /** `name@hash8`, as case ids give it. */
  readonly key: string;
  /** Absolute path. */
  readonly path: string;
}

/** What the child is to do. */
export interface Plan {
  /** Case ids in order. */
  readonly cases: readonly string[];
  /** URLs of modules that export kernels beside the built-in ones. */
  readonly kernelModules: readonly string[];
  /** Recorded files that the cases replay. */
  readonly recorded: readonly RecordedFile[];
  /** Whether verified cases are timed. */
  readonly timing: boolean;
  /** What an earlier child of the run measured the device to do at best. @default {it is measured} */
  readonly calibration?: Calibration;
  /** Names of the kernels with which each case that passes is compared, one per operation. */
  readonly againstKernels?: readonly string[];
  /** Folder of stored outputs with which it is compared instead. */
  readonly againstFolder?: string;
  /** Whether the outputs of each case that passes are told. */
  readonly tellOutputs?: boolean;
  /** Whether failing cases are made smaller. @default {false} */
  readonly shrink?: boolean;
  /** Cases in flight at once at most. @default {as many as the sweep sees fit} */
  readonly inFlight?: number;
}

/** What the child says. */
export type ChildEvent =
  | { readonly event: "device"; readonly adapter: Environment["adapter"] }
  | { readonly event: "no-adapter"; readonly message: string }
  | { readonly event: "calibrated"; readonly calibration: Calibration }
  | { readonly event: "begin"; readonly id: string }
  | { readonly event: "outputs"; readonly outputs: Omit<PackedOutputs, "data">; readonly base64: string }
  /** A failure, before a smaller case is searched; the result follows, unless the search ends the child. */
  | { readonly event: "shrinking"; readonly result: Result }
  | { readonly event: "result"; readonly result: Result }
  | { readonly event: "error"; readonly message: string };

/** Lines of a byte stream, without their ends. */
export function lines(stream: ReadableStream<Uint8Array>): ReadableStream<string> {
  let rest = "";
  return stream.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>).pipeThrough(
    new TransformStream<string, string>({
      transform(chunk, controller) {
        const parts = (rest + chunk).split("\n");
        rest = parts.pop()!;
        for (const part of parts) controller.enqueue(part);
      },
      flush(controller) {
        if (rest !== "") controller.enqueue(rest);
      },
    }),
  );
}
