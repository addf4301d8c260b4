import { assertEquals } from "@std/assert";
import { KERNELS } from "../kernels/registry.ts";
import { parseCaseId } from "../suites/case_id.ts";
import { runOnce } from "./execute.ts";
import { prepare } from "./plan.ts";
import { ROUNDS, runRounds } from "./rounds.ts";
import { runCase } from "./run_case.ts";
import { Session } from "./session.ts";
import { readState, resetState } from "./timed_state.ts";
import { unreadOf } from "./unread.ts";

// One item of the work list: its buffer is larger than its contents.
const ID = "prefill/fused:B=1;H=5;R=32;Dr=16;Dn=16;Dv=16;q=7;kv=7;page=16;cache=f32;weight=f32";

Deno.test("a reset state is the same whatever poison the run before it left, and launches run from it as before", async () => {
  const session = await Session.open({ kernels: KERNELS, timing: false }, 1);
  const { gpu } = session;
  try {
    const result = await runCase(session, parseCaseId(ID), {
      async take({ inputs, launches, upload, results }) {
        const prepared = await prepare(gpu, launches[0], upload.ranges);
        try {
          const options = { unread: unreadOf(inputs)[0], inputs: [...inputs.calls[0].buffers.keys()], inPlace: true };
          for (const poisons of [ROUNDS, ["finite"]] as const) {
            await runRounds(gpu, prepared, options, poisons);
            await resetState(gpu, prepared, upload);
            assertEquals((await readState(gpu, prepared, new Map())).guards.message, undefined);
            assertEquals(await runOnce(gpu, prepared), results);
          }
        } finally {
          prepared.destroy();
        }
      },
    });
    assertEquals(result.status, "verified", JSON.stringify(result));
  } finally {
    session.close();
  }
});
