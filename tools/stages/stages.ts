/**
 * What the stages of the team kernels cost: times each case with one stage left out at a time, beside the whole.
 *
 * ```sh
 * deno run -A tools/stages/stages.ts 'attend/fused_f16:B=64;H=16;R=512;Dr=64;q=1;kv=4096;page=64;cache=f16'
 * ```
 *
 * Without a stage a kernel computes nothing that is right, so nothing is verified, and no report is made of it.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { inputsKey } from "../../bench/case_inputs.ts";
import { prepare, type PreparedLaunch } from "../../bench/execute.ts";
import { HARDWARE_MEASURE, measure, SOFTWARE_MEASURE } from "../../bench/measure.ts";
import { pairKernel, worksOf } from "../../bench/pairing.ts";
import { readBytesOf } from "../../bench/rotation.ts";
import { Session } from "../../bench/session.ts";
import { quantile } from "../../bench/statistics.ts";
import { kernelName } from "../../kernels/kernel.ts";
import { withEdits } from "../../kernels/mutants/plant.ts";
import { findKernel } from "../../kernels/registry.ts";
import { minBytes } from "../../kernels/work.ts";
import { parseCaseId } from "../../suites/case_id.ts";
import { STAGES } from "./edits.ts";

/** The kernels that have these stages. */
const TEAM_KERNELS: readonly string[] = ["attend/fused_subgroup", "attend/fused_f16"];

/** Times the case `id` as it is and without each stage that it has. */
async function timeStages(session: Session, id: string): Promise<void> {
  const { gpu, clock } = session;
  const c = parseCaseId(id);
  if (!TEAM_KERNELS.includes(kernelName(c))) throw new RangeError(`Cannot time ${id}: only ${TEAM_KERNELS.join(", ")}`);
  const [work] = worksOf(c);
  const how = gpu.adapter.software ? SOFTWARE_MEASURE : HARDWARE_MEASURE;
  await session.withInputs(c, async (inputs) => {
    const [{ layout }] = inputs.calls;
    const upload = await session.uploads.acquire(gpu, inputsKey(c), inputs);
    const stages = new Map<string, { name: string; prepared: PreparedLaunch }>();
    try {
      for (const { name, edits } of [{ name: "nothing", edits: [] }, ...STAGES]) {
        const kernel = withEdits(findKernel(kernelName(c)), name, edits);
        const launch = pairKernel(kernel, work, c.tuning).launch(layout, gpu.traits);
        const texts = launch.dispatches.map(({ shader }) => shader).join("\0");
        // A text that was there before is that of a case that has no such stage.
        if (!stages.has(texts)) stages.set(texts, { name, prepared: await prepare(gpu, launch, upload.ranges) });
      }
      const list = [...stages.values()];
      // What is left computes nothing that could be compared with what it was.
      const subjects = list.map(({ prepared }) => ({
        prepared,
        readBytes: readBytesOf(prepared.launch, minBytes(work)),
        reset: () => Promise.resolve(),
        inspect: () => Promise.resolve(true),
      }));
      const timed = await measure(gpu, clock, subjects, { ...how, modes: how.modes.slice(0, 1), seed: c.seed });
      const us = timed.map(({ measurement }) => quantile(measurement?.runs[0]?.samplesNs ?? [], 0.5) / 1e3);
      console.log(`${id} ${JSON.stringify(list[0].prepared.launch.chosen)}`);
      list.forEach(({ name }, i) => {
        const saved = 100 * (1 - us[i] / us[0]);
        console.log(
          `  without ${name.padEnd(16)} ${us[i].toFixed(1).padStart(8)} µs  ${saved.toFixed(0).padStart(3)} %`,
        );
      });
    } finally {
      for (const { prepared } of stages.values()) prepared.destroy();
      upload.release();
    }
  });
}

if (import.meta.main) {
  const { _: ids } = parseArgs(Deno.args);
  const session = await Session.open({ kernels: [], referenceBudgetFlops: 1 }, ids.length);
  try {
    for (const id of ids) await timeStages(session, String(id));
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof RangeError)) throw error;
    console.error(error.message);
    Deno.exitCode = 64;
  } finally {
    session.close();
  }
}
