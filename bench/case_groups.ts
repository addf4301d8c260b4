/**
 * Which cases of a sweep are timed together.
 *
 * @module
 */
import { kernelName } from "../kernels/kernel.ts";
import type { Case } from "../suites/case.ts";
import { inputsKey } from "./case_inputs.ts";
import { layoutsOf } from "./layouts.ts";
import { pairKernel, worksOf } from "./pairing.ts";
import type { Session } from "./session.ts";

/** Most bytes that the launches of a group hold on the device beside their inputs, all at once. */
const MAX_BYTES = 4 * 2 ** 30;

/**
 * The variants of one shape that begin `cases`: its neighbours with the same inputs, at most `most` and as many as fit the
 * device together, at least one.
 */
export function leadingGroup(session: Session, cases: readonly Case[], most: number): Case[] {
  const group: Case[] = [];
  let bytes = 0;
  for (const c of cases.slice(0, most)) {
    if (inputsKey(c) !== inputsKey(cases[0])) break;
    bytes += launchBytes(session, c);
    if (group.length > 0 && bytes > MAX_BYTES) break;
    group.push(c);
  }
  return group;
}

/** Bytes of the buffers that a case's launches bring themselves; 0 where there is no launch, which is told elsewhere. */
function launchBytes({ gpu: { traits }, options: { kernels } }: Session, c: Case): number {
  const kernel = kernels.find((k) => kernelName(k) === kernelName(c));
  // How a recording lays out its cache is known once it is read; all are small.
  if (!kernel || c.tensors !== undefined) return 0;
  try {
    const layouts = layoutsOf(c);
    const launches = worksOf(c).map((work, i) => pairKernel(kernel, work, c.tuning).launch(layouts[i], traits));
    const own = launches.map(({ buffers }) => buffers.filter(({ role }) => role !== "input" && role !== "inout"));
    return Math.max(...own.map((buffers) => buffers.reduce((sum, { bytes }) => sum + bytes, 0)));
  } catch {
    return 0;
  }
}
