/**
 * The process that owns the GPU. It says which device it opened, reads a plan and answers with results; a crash of the
 * driver takes down this process alone.
 *
 * @module
 */
import { type Kernel, kernelName } from "../kernels/kernel.ts";
import { KERNELS } from "../kernels/registry.ts";
import { readRecorded, type RecordedTensors } from "../reference/recorded.ts";
import { parseCaseId } from "../suites/case_id.ts";
import type { DawnOptions } from "./dawn.ts";
import type { Against } from "./differential.ts";
import { type Gpu, NoAdapterError, openGpu } from "./device.ts";
import { loadKernels } from "./kernel_modules.ts";
import { type ChildEvent, lines, type Plan } from "./protocol.ts";
import { readOutputs } from "./stored_outputs.ts";
import { runCases } from "./sweep.ts";

const encoder = new TextEncoder();

/** Written synchronously: what was said must be out before a driver can take the process down. */
function say(event: ChildEvent): void {
  const bytes = encoder.encode(JSON.stringify(event) + "\n");
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

async function open(): Promise<Gpu | undefined> {
  try {
    return await openGpu(Deno.args[0] === undefined ? undefined : JSON.parse(Deno.args[0]) as DawnOptions);
  } catch (error) {
    if (!(error instanceof NoAdapterError)) throw error;
    say({ event: "no-adapter", message: error.message });
  }
}

async function readTensors(plan: Plan): Promise<Map<string, RecordedTensors>> {
  const recorded = new Map<string, RecordedTensors>();
  for (const { key, path } of plan.recorded) recorded.set(key, readRecorded(await Deno.readFile(path), path));
  return recorded;
}

function againstOf({ againstKernels, againstFolder }: Plan, kernels: readonly Kernel[]): Against | undefined {
  if (againstFolder !== undefined) return readOutputs(againstFolder);
  return againstKernels && kernels.filter((kernel) => againstKernels.includes(kernelName(kernel)));
}

async function main(): Promise<void> {
  const gpu = await open();
  if (!gpu) return;
  say({ event: "device", adapter: gpu.adapter });
  const input = lines(Deno.stdin.readable).getReader();
  const { value: line } = await input.read();
  if (line === undefined) return gpu.close();
  // The supervisor holds this stream open as long as it lives: its end means that nobody listens any more.
  input.read().then(() => Deno.exit(1));
  const plan = JSON.parse(line) as Plan;
  const kernels = [...KERNELS, ...await loadKernels(plan.kernelModules)];
  const results = runCases(plan.cases.map(parseCaseId), {
    gpu,
    kernels,
    timing: plan.timing,
    calibration: plan.calibration,
    onCalibration: (calibration) => say({ event: "calibrated", calibration }),
    inFlight: plan.inFlight,
    shrink: plan.shrink,
    onShrink: (result) => say({ event: "shrinking", result }),
    recorded: await readTensors(plan),
    against: againstOf(plan, kernels),
    onOutputs: plan.tellOutputs
      ? ({ data, ...outputs }) => say({ event: "outputs", outputs, base64: data.toBase64() })
      : undefined,
    onBegin: ({ id }) => say({ event: "begin", id }),
  });
  for await (const result of results) say({ event: "result", result });
}

if (import.meta.main) {
  try {
    await main();
    Deno.exit(0);
  } catch (error) {
    say({ event: "error", message: error instanceof Error ? error.message : String(error) });
    Deno.exit(1);
  }
}
