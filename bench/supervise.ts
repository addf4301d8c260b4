/**
 * Runs a plan in child processes: when one crashes or a case passes its time limit, that case is `failed`, a new child
 * goes on after it, and the run is not lost.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import type { Case } from "../suites/case.ts";
import type { DawnOptions } from "./dawn.ts";
import { type ChildEvent, lines, type Plan } from "./protocol.ts";
import type { Calibration, Environment, Failed, Result } from "./result.ts";
import type { PackedOutputs } from "./stored_outputs.ts";

/** Options of {@linkcode startChild} and {@linkcode supervise}. */
export interface ChildOptions {
  /** Variables to set for the child beside its parent's (`LD_LIBRARY_PATH` of the software provider, …). */
  readonly env?: Readonly<Record<string, string>>;
  /** Paths that the child may read beside its own modules. */
  readonly readPaths?: readonly string[];
  /** Further permissions of the child, as flags of `deno run`; kernels of a user may need some. @default {none} */
  readonly permissions?: readonly string[];
  /** Opens Dawn in place of Deno's own WebGPU. */
  readonly dawn?: DawnOptions;
  /** Time a child may take to open its device, ms. @default {60000} */
  readonly openLimitMs?: number;
}

/** A child with an open device. */
export interface GpuChild {
  /** The device it opened; undefined where it found none. */
  readonly adapter?: Environment["adapter"];
  /** Hands it the plan. */
  send(plan: Plan): Promise<void>;
  /** The next event; undefined when the child has ended. */
  next(limitMs: number): Promise<ChildEvent | "timeout" | undefined>;
  /** Ends it and tells how it ended. */
  end(): Promise<ChildEnding>;
}

/** How a child ended. */
export interface ChildEnding {
  /** Signal that ended it. */
  readonly signal: string | null;
  /** Exit code. */
  readonly code: number;
  /** Last lines of its standard error. */
  readonly stderr: string;
}

/** Lines of a dead child's standard error worth quoting. */
const STDERR_LINES = 4;

/**
 * Starts a child and waits until it has opened its device. The child gets no permission but to read the modules of this
 * project and `readPaths`.
 *
 * @throws {Error} If the child ends or hangs before it says which device it has.
 */
export async function startChild(options: ChildOptions = {}): Promise<GpuChild> {
  // Its Workers are modules that are read at run time.
  const { dawn } = options;
  const paths = [...ownModules(), ...options.readPaths ?? [], ...dawn ? [folderOf(dawn.module)] : []];
  const read = paths.length > 0 ? [readPermission(paths)] : [];
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      ...read,
      // Deno would write the package into the project's lock file.
      ...dawn ? ["--allow-ffi", "--no-lock"] : [],
      ...options.permissions ?? [],
      new URL("./child.ts", import.meta.url).href,
      ...dawn ? [JSON.stringify(dawn)] : [],
    ],
    env: { NO_COLOR: "1", ...deviceEnv(), ...options.env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const events = lines(child.stdout).getReader();
  const input = child.stdin.getWriter();
  const tail: string[] = [];
  const stderr = collectTail(lines(child.stderr), tail);
  let pending: Promise<ReadableStreamReadResult<string>> | undefined;

  async function next(limitMs: number): Promise<ChildEvent | "timeout" | undefined> {
    const deadline = performance.now() + limitMs;
    while (true) {
      pending ??= events.read();
      const read = await withLimit(pending, deadline - performance.now());
      if (read === "timeout") return "timeout";
      pending = undefined;
      if (read.done) return undefined;
      const event = parseEvent(read.value);
      if (event) return event;
    }
  }
  async function end() {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has already ended.
    }
    await input.close().catch(() => {});
    const { signal, code } = await child.status;
    await stderr;
    await events.cancel().catch(() => {});
    return { signal, code, stderr: tail.join("\n") };
  }
  const first = await next(options.openLimitMs ?? 60_000);
  if (first === undefined || first === "timeout" || (first.event !== "device" && first.event !== "no-adapter")) {
    const ending = await end();
    const said = first !== undefined && first !== "timeout" && first.event === "error" ? first.message : undefined;
    const how = first === "timeout" ? "it did not answer" : said ?? describeEnd(ending);
    throw new Error(`Cannot open a GPU: the process that opens it failed: ${how}`);
  }
  return {
    adapter: first.event === "device" ? first.adapter : undefined,
    send: (plan) => input.write(new TextEncoder().encode(JSON.stringify(plan) + "\n")),
    next,
    end,
  };
}

/**
 * Variables that a process needs to open the device the way this project does: on Linux Vulkan only, because Deno
 * otherwise falls through to OpenGL where Vulkan is missing, a different shader path. What the user set is kept.
 */
export function deviceEnv(): Record<string, string> {
  const env: Record<string, string> = {};
  if (Deno.build.os === "linux" && !Deno.env.get("DENO_WEBGPU_BACKEND")) env.DENO_WEBGPU_BACKEND = "vulkan";
  // Without it the driver complains on standard error when the device is opened; nothing is written there.
  if (Deno.build.os === "linux" && !Deno.env.get("XDG_RUNTIME_DIR")) env.XDG_RUNTIME_DIR = "/tmp";
  return env;
}

/** Deno separates paths by commas and has no way to write one: where a path has any, all may be read. */
function readPermission(paths: readonly string[]): string {
  return paths.some((path) => path.includes(",")) ? "--allow-read" : `--allow-read=${paths.join(",")}`;
}

/** Folder of a module that is a file. */
function folderOf(module: string): string {
  return fileURLToPath(new URL(".", module));
}

/** Folder of this project's modules, where they are files. */
function ownModules(): string[] {
  const root = new URL("..", import.meta.url);
  return root.protocol === "file:" ? [fileURLToPath(root)] : [];
}

/** Drivers print to standard output, too: what is not an event is not ours. */
function parseEvent(line: string): ChildEvent | undefined {
  if (!line.startsWith('{"event":')) return undefined;
  try {
    return JSON.parse(line) as ChildEvent;
  } catch {
    return undefined;
  }
}

async function collectTail(stream: ReadableStream<string>, tail: string[]): Promise<void> {
  for await (const line of stream) {
    if (line.trim() === "") continue;
    tail.push(line.trim());
    if (tail.length > STDERR_LINES) tail.shift();
  }
}

/** Longest time that a timer takes, 24 days; a longer one ends at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

async function withLimit<T>(promise: Promise<T>, limitMs: number): Promise<T | "timeout"> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<"timeout">((resolve) => {
    timer = setTimeout(() => resolve("timeout"), Math.min(MAX_TIMER_MS, Math.max(0, limitMs)));
  });
  try {
    return await Promise.race([promise, limit]);
  } finally {
    clearTimeout(timer);
  }
}

function describeEnd({ signal, code, stderr }: ChildEnding): string {
  const how = signal ? `it was ended by ${signal}` : `it exited with code ${code}`;
  return stderr === "" ? how : `${how}; its last words: ${stderr.replaceAll("\n", " | ")}`;
}

/** Options of {@linkcode supervise}. */
export interface SuperviseOptions extends ChildOptions {
  /** A child to begin with, as {@linkcode startChild} gave it. */
  readonly child: GpuChild;
  /** Time limit of a case, ms. */
  readonly caseLimitMs: (c: Case) => number;
  /** Called when a case begins. */
  readonly onBegin?: (id: string) => void;
  /** Called once with what the device does at best, before the first case, where cases are timed. */
  readonly onCalibration?: (calibration: Calibration) => void;
  /** Called with the outputs of each case that passed, before its result, where the plan asks for them. */
  readonly onOutputs?: (outputs: PackedOutputs) => void;
  /** Called with each result, in order. */
  readonly onResult: (result: Result) => void | Promise<void>;
  /** Ends the run: the child is killed and no further result comes. */
  readonly signal?: AbortSignal;
}

/**
 * Runs `cases` by `plan` and reports the result of each.
 *
 * @throws {Error} If no child can be started any more, or one refuses the plan.
 */
export async function supervise(
  cases: readonly Case[],
  plan: Omit<Plan, "cases">,
  options: SuperviseOptions,
): Promise<void> {
  const { signal } = options;
  let child: GpuChild | undefined = options.child;
  const kill = () => void child?.end();
  signal?.addEventListener("abort", kill);
  try {
    let done = 0;
    // Measured by the first child, so that all results of a run are held against the same limits.
    let { calibration } = plan;
    const onCalibration = (measured: Calibration) => {
      calibration = measured;
      options.onCalibration?.(measured);
    };
    // Cases of which one ended a child, nobody knows which: each of them runs alone.
    let suspects = 0;
    while (done < cases.length && !signal?.aborted) {
      child ??= await restart(options);
      // Ctrl-C in a terminal reaches the child as well: one that was just starting is gone, and there is nothing to
      // say.
      if (!child || signal?.aborted) return;
      const doneBefore = done;
      const end = suspects > 0 ? done + suspects : cases.length;
      const ids = cases.slice(done, end).map(({ id }) => id);
      await child.send({ ...plan, calibration, cases: ids, ...(suspects > 0 ? { inFlight: 1 } : {}) }).catch(() => {});
      const { begun, stage, message, hostMs } = await follow(
        child,
        { ...options, onCalibration },
        cases.slice(done, end),
        () => done++,
      );
      const ending = await child.end();
      child = undefined;
      if (signal?.aborted || done === cases.length) return;
      if (done === end) {
        suspects = 0;
        continue;
      }
      const how = stage === "timeout"
        ? `no result within ${(options.caseLimitMs(cases[done]) / 1000).toFixed(0)} s; the process was ended`
        : message ?? describeEnd(ending).replace(/^it /, "the process ");
      // A child that ends between two cases is replaced, but one that gets nowhere would end like that for ever.
      if (begun === 0 && done === doneBefore) throw new Error(`Cannot run the plan: ${how}`);
      suspects = begun > 1 ? begun : suspects > 0 ? end - done - begun : 0;
      if (begun === 1) await options.onResult(failure(cases[done++], stage, how, hostMs));
    }
  } finally {
    signal?.removeEventListener("abort", kill);
    await child?.end();
  }
}

/** A new child; undefined where the run was interrupted while it started. */
async function restart(options: SuperviseOptions): Promise<GpuChild | undefined> {
  try {
    const child = await startChild(options);
    if (child.adapter) return child;
    await child.end();
  } catch (error) {
    if (options.signal?.aborted) return undefined;
    throw error;
  }
  throw new Error("Cannot go on: the GPU was not found again after a crash");
}

interface Interruption {
  /** Cases that had begun and had no result. */
  readonly begun: number;
  readonly stage: "crashed" | "timeout";
  readonly message?: string;
  readonly hostMs: number;
}

/** Passes on what `child` says of `cases` until it ends or is silent for too long. */
async function follow(
  child: GpuChild,
  options: SuperviseOptions,
  cases: readonly Case[],
  onDone: () => void,
): Promise<Interruption> {
  let begun = 0, done = 0;
  let since = performance.now();
  // A failure that the child had found before it went on to make it smaller.
  let found: Result | undefined;
  const end = async (stage: Interruption["stage"], message?: string): Promise<Interruption> => {
    const hostMs = performance.now() - since;
    if (!found || options.signal?.aborted) return { begun, stage, message, hostMs };
    // What ended the child was a smaller case: none of those in flight is blamed for it.
    await options.onResult(found);
    onDone();
    return { begun: 0, stage, message, hostMs };
  };
  // Cases in flight share the machine: silence is one that takes as long as all of them may.
  const limitMs = () => {
    const inFlight = cases.slice(done, done + Math.max(1, begun));
    return inFlight.reduce((sum, c) => sum + options.caseLimitMs(c), 0);
  };
  while (done < cases.length) {
    const event = await child.next(limitMs());
    if (event === "timeout") return await end("timeout");
    if (event === undefined) return await end("crashed");
    switch (event.event) {
      case "calibrated":
        options.onCalibration?.(event.calibration);
        break;
      case "begin":
        if (begun++ === 0) since = performance.now();
        options.onBegin?.(event.id);
        break;
      case "outputs":
        options.onOutputs?.({ ...event.outputs, data: Uint8Array.fromBase64(event.base64) });
        break;
      case "shrinking":
        found = event.result;
        break;
      case "result":
        found = undefined;
        await options.onResult(event.result);
        since = performance.now();
        begun--;
        done++;
        onDone();
        break;
      case "error":
        return await end("crashed", event.message);
      case "device":
      case "no-adapter":
        break;
      default:
        event satisfies never;
    }
  }
  return { begun: 0, stage: "crashed", hostMs: 0 };
}

function failure(c: Case, stage: Interruption["stage"], message: string, hostMs: number): Failed {
  return { id: c.id, axes: c.axes, hostMs, status: "failed", stage, message };
}
