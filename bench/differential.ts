/**
 * A case that passed beside another run of the same inputs: by another kernel on this device, or by the same kernel on
 * another adapter, whose outputs were stored.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { type Kernel, kernelName } from "../kernels/kernel.ts";
import { compareOutput, type OutputDifference } from "../reference/differential.ts";
import type { ReferencedOutput } from "../reference/referenced_outputs.ts";
import type { Case } from "../suites/case.ts";
import type { CaseInputs } from "./case_inputs.ts";
import { fingerprint } from "./fingerprint.ts";
import type { FirstRun } from "./first_run.ts";
import type { Differential, Result } from "./result.ts";
import { type OutputRows, type OutputsReader, packOutputs } from "./stored_outputs.ts";

/** What the cases of a sweep are compared with: kernels, one per operation, or outputs that were stored. */
export type Against = readonly Kernel[] | OutputsReader;

/** Runs and verifies a case; where it passes, `take` gets what it left, while that exists. */
export type RunOther = (c: Case, take: (run: FirstRun) => void) => Promise<Result>;

/** The rows of a run's last call that have a reference. */
export function outputsOf({ inputs, results }: Pick<FirstRun, "inputs" | "results">): ReferencedOutput[] {
  return inputs.calls.at(-1)!.outputs(results);
}

/**
 * Hands the outputs of a case that passed to whom the sweep's options name, and compares them with what they name;
 * undefined where that is nothing, or no other kernel of the operation.
 */
export async function differentialOf(run: FirstRun, runOther: RunOther): Promise<Differential | undefined> {
  const { against, onOutputs } = run.session.options;
  onOutputs?.(packOutputs(run.c.id, hashInputs(run.inputs), outputsOf(run)));
  if (!against) return undefined;
  if ("read" in against) return compareWithStored(run, against);
  const other = against.find((kernel) => kernel.operation === run.c.operation && kernel.variant !== run.c.variant);
  return other && await compareWithKernel(run, other, runOther);
}

function compareWithStored(run: FirstRun, stored: OutputsReader): Differential {
  const { c, inputs } = run;
  const outputs = stored.read(c.id, hashInputs(inputs));
  const common = {
    against: kernelName(c),
    adapter: stored.environment.adapter.description,
    environment: fingerprint(stored.environment),
  };
  if (typeof outputs === "string") return { ...common, outputs: [], skipped: outputs };
  return { ...common, ...compareAll(outputsOf(run), outputs) };
}

async function compareWithKernel(run: FirstRun, other: Kernel, runOther: RunOther): Promise<Differential> {
  const { c } = run;
  const against = kernelName(other);
  let outputs: ReferencedOutput[] | undefined;
  const otherCase = { ...c, variant: other.variant, id: `${against}${c.id.slice(c.id.indexOf(":"))}` };
  const result = await runOther(otherCase, (otherRun) => outputs = outputsOf(otherRun));
  if (!outputs) return { against, outputs: [], skipped: whyNot(against, result) };
  return { against, ...compareAll(outputsOf(run), outputs) };
}

/** Why `kernel` has no outputs to compare. */
function whyNot(kernel: string, result: Result): string {
  switch (result.status) {
    case "skipped":
      return `${kernel} refuses it: ${result.reason}`;
    case "failed":
      return `${kernel} failed (${result.stage}): ${result.message.split("\n")[0]}`;
    case "incorrect": {
      const check = result.verification.checks.find(({ passed }) => !passed);
      return `${kernel} is incorrect here: ${check?.name}: ${check?.message}`;
    }
    default:
      return `${kernel} left no outputs`;
  }
}

/** Differences of the outputs that both have, over the rows that both have. */
function compareAll(
  outputs: readonly ReferencedOutput[],
  others: readonly OutputRows[],
): Pick<Differential, "outputs" | "skipped"> {
  const differences = outputs.flatMap((output): OutputDifference[] => {
    const other = others.find(({ name, width }) => name === output.name && width === output.width);
    return other ? [compareRows(output, other)] : [];
  });
  const isAny = outputs.every(({ rows }) => rows.length === 0) || differences.some(({ elements }) => elements > 0);
  return isAny ? { outputs: differences } : { outputs: [], skipped: "the two runs have no verified row in common" };
}

function compareRows(output: ReferencedOutput, other: OutputRows): OutputDifference {
  const { name, width } = output;
  const otherAt = new Map(Array.from(other.rows, (row, i) => [row, i]));
  const common = [...output.rows.keys()].filter((i) => otherAt.has(output.rows[i]));
  const elements = common.length * width;
  const actual = new Float32Array(elements), theirs = new Float32Array(elements), expected = new Float64Array(elements);
  common.forEach((row, i) => {
    const otherRow = otherAt.get(output.rows[row])!;
    actual.set(output.values.subarray(row * width, (row + 1) * width), i * width);
    theirs.set(other.values.subarray(otherRow * width, (otherRow + 1) * width), i * width);
    expected.set(output.expected.subarray(row * width, (row + 1) * width), i * width);
  });
  return compareOutput({
    name,
    actual,
    other: theirs,
    expected,
    place: (i) => output.place(common[Math.floor(i / width)] * width + i % width),
  });
}

/** By the state of inputs, which they share in every precision. */
const hashes = new WeakMap<CaseInputs["state"], string>();

/** SHA-256 of every byte that a case is fed, with names and sizes: equal for equal inputs only. */
export function hashInputs(inputs: CaseInputs): string {
  const known = hashes.get(inputs.state);
  if (known !== undefined) return known;
  const hash = createHash("sha256");
  for (const buffers of [inputs.state, ...inputs.calls.map(({ buffers }) => buffers)]) {
    for (const [name, bytes] of buffers) hash.update(`${name} ${bytes.byteLength}\n`).update(bytes);
  }
  const digest = hash.digest("hex");
  hashes.set(inputs.state, digest);
  return digest;
}
