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
import { HARDWARE_MEASURE, SOFTWARE_MEASURE } from "../../bench/measure.ts";
import { gpuPassTimer } from "../../bench/pass_timer.ts";
import { bindCold, InputCopies, readBytesOf, type Rotation } from "../../bench/rotation.ts";
import { sampleTogether } from "../../bench/sampling.ts";
import { Session } from "../../bench/session.ts";
import { quantile } from "../../bench/statistics.ts";
import { pairKernel, worksOf } from "../../bench/pairing.ts";
import { kernelName } from "../../kernels/kernel.ts";
import { withEdits } from "../../kernels/mutants/plant.ts";
import { findKernel } from "../../kernels/registry.ts";
import { minBytes } from "../../kernels/work.ts";
import { parseCaseId } from "../../suites/case_id.ts";
import { type Stage, STAGES } from "./edits.ts";

/** The kernels that have these stages. */
const TEAM_KERNELS: readonly string[] = ["attend/fused_subgroup", "attend/fused_f16"];

/** Times the case `id` as it is and without each stage that it has. */
async function timeStages(session: Session, id: string): Promise<void> {
  const { gpu, clock } = session;
  const c = parseCaseId(id);
  if (!TEAM_KERNELS.includes(kernelName(c))) throw new RangeError(`Cannot time ${id}: only ${TEAM_KERNELS.join(", ")}`);
  const [work] = worksOf(c);
  const measure = gpu.adapter.software ? SOFTWARE_MEASURE : HARDWARE_MEASURE;
  await session.withInputs(c, async (inputs) => {
    const [{ layout }] = inputs.calls;
    const upload = await session.uploads.acquire(gpu, inputsKey(c), inputs);
    const copies = new InputCopies(gpu);
    const timed: { name: string; prepared: PreparedLaunch; rotation: Rotation }[] = [];
    const seen = new Set<string>();
    const add = async ({ name, edits }: Stage) => {
      const kernel = withEdits(findKernel(kernelName(c)), name, edits);
      const launch = pairKernel(kernel, work, c.tuning).launch(layout, gpu.traits);
      const texts = launch.dispatches.map(({ shader }) => shader).join("\0");
      if (seen.has(texts)) return; // It has no such stage.
      seen.add(texts);
      const prepared = await prepare(gpu, launch, upload.ranges);
      const readBytes = readBytesOf(launch, minBytes(work));
      const rotation = await bindCold(gpu, prepared, copies, { readBytes, cacheBytes: measure.cacheBytes });
      if (!rotation) throw new RangeError(`Cannot time ${id}: there is no room for its inputs`);
      timed.push({ name, prepared, rotation });
    };
    try {
      await add({ name: "nothing", edits: [] });
      for (const stage of STAGES) await add(stage);
      const timer = gpuPassTimer(gpu, timed.map(({ rotation }) => rotation));
      const sampled = await sampleTogether(timer, clock, { ...measure, seed: c.seed });
      const us = sampled.map(({ samples }) => quantile(samples.samplesNs, 0.5) / 1e3);
      console.log(`${id} ${JSON.stringify(timed[0].prepared.launch.chosen)}`);
      timed.forEach(({ name }, i) => {
        const saved = 100 * (1 - us[i] / us[0]);
        console.log(
          `  without ${name.padEnd(16)} ${us[i].toFixed(1).padStart(8)} µs  ${saved.toFixed(0).padStart(3)} %`,
        );
      });
    } finally {
      copies.destroy();
      for (const { prepared } of timed) prepared.destroy();
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
