import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { attendFused } from "../kernels/attend_fused.ts";
import { type AttendKernel, type Kernel, kernelName } from "../kernels/kernel.ts";
import { mlaFused, mlaKernel } from "../kernels/mla.ts";
import { PRECISION_FAULTS } from "../kernels/mutants/faults_values.ts";
import { mutantsOf } from "../kernels/mutants/plant.ts";
import type { AttendInputs } from "../reference/inputs.ts";
import type { AttendReference } from "../reference/mla.ts";
import { F32, type KernelPrecision } from "../reference/precision.ts";
import { F16_ALL, F16_VALUES, f16Attend } from "../reference/testdata/f16_kernels.ts";
import { parseCaseId } from "../suites/case_id.ts";
import { makeCaseInputs } from "./case_inputs.ts";
import { bytesOf } from "./inputs_buffers.ts";
import { ReferencePool } from "./reference_pool.ts";
import { runCases } from "./sweep.ts";

const SIZES = "R=64;Dr=16;Dn=32;Dv=32";

/** `attend/fused` with its scores in f16, which it does not say. */
const silent = mutantsOf(PRECISION_FAULTS.find(({ name }) => name === "scores_in_f16")!)
  .find(({ base }) => base === "attend/fused")!.kernel as AttendKernel;
/** The same kernel, which says it. */
const declared: AttendKernel = {
  ...silent,
  variant: "declared",
  precision: { scores: { f16Chain: 18 }, values: "f32" },
};

/** What becomes of a case by each of the kernels, one after another on the same inputs. */
async function outcomes(kernels: readonly Kernel[], axes: string) {
  const cases = kernels.map((kernel) => parseCaseId(`${kernelName(kernel)}:${axes}`));
  const results = await Array.fromAsync(runCases(cases, { kernels, timing: false, inFlight: 1 }));
  return results.map((result) => {
    assert(result.status === "verified" || result.status === "incorrect", JSON.stringify(result));
    return { status: result.status, checks: result.verification.checks, precision: result.precision };
  });
}

Deno.test("scores in f16 pass where they are declared, in other guises too, and nothing else does by that", async () => {
  const axes = `B=2;H=4;R=64;Dr=16;q=1;kv=65,40;page=16;cache=f16`;
  const results = await outcomes([attendFused, silent, declared, silent, attendFused], axes);
  const statuses = results.map(({ status }) => status);
  assertEquals(statuses, ["verified", "incorrect", "verified", "incorrect", "verified"]);
  // A result says what its kernel declared; those of f32 say nothing.
  const { precision } = declared;
  assertEquals(results.map((result) => result.precision), [undefined, undefined, precision, undefined, undefined]);
  assert(results[2].checks.some(({ name, budgetUsed = 0 }) => name === "splits" && budgetUsed > 0.05));
  // The limits of f32 are the same before and after those of f16 were made.
  assertEquals(results[4].checks, results[0].checks);
});

Deno.test("mla declares what its attend does, in a flow of several calls as well", async () => {
  assertEquals([mlaKernel(declared).precision, mlaFused.precision], [declared.precision, undefined]);
  const kernels = [mlaKernel(declared), mlaKernel(silent)];
  for (const lengths of ["q=1;kv=65,40", "q=33,20>1x2;kv=35,22"]) {
    const results = await outcomes(kernels, `B=2;H=4;${SIZES};${lengths};page=16;cache=f16;form=absorbed`);
    assertEquals(results.map(({ status }) => status), ["verified", "incorrect"], lengths);
  }
});

/** Counts the references it computes. */
class CountingPool extends ReferencePool {
  references = 0;

  override attend(inputs: AttendInputs, rows: Int32Array): Promise<AttendReference> {
    this.references++;
    return super.attend(inputs, rows);
  }
}

Deno.test("inputs in another precision are the same bytes and have the same reference; only limits are made anew", async () => {
  const pool = new CountingPool(1);
  try {
    const c = parseCaseId(`attend/fused:B=2;H=4;R=64;Dr=64;q=1;kv=65,40;page=16;cache=f16`);
    const inputs = await makeCaseInputs(c, { pool, referenceBudgetFlops: 1e9, precision: F16_VALUES });
    const [call] = inputs.calls;
    assert(call.source.operation === "attend");
    const { source } = call;
    const passed = async (precision: KernelPrecision, scores: boolean) => {
      const other = await inputs.inPrecision!(precision);
      assertStrictEquals(other.state, inputs.state);
      assertStrictEquals(other.calls[0].buffers, call.buffers);
      const { out, lse } = f16Attend(source.inputs, { scores, seed: 2 });
      return other.calls[0].check(new Map([["out", bytesOf(out)], ["lse", bytesOf(lse)]])).map(({ passed }) => passed);
    };
    assertEquals(await passed(F32, false), [false, true]);
    assertEquals(await passed(F16_VALUES, false), [true, true]);
    assertEquals(await passed(F16_VALUES, true), [true, false]);
    assertEquals(await passed(F16_ALL, true), [true, true]);
    assertEquals(pool.references, 1);
  } finally {
    pool.close();
  }
});

Deno.test("operations without attention in f16 have one precision", async () => {
  const pool = new ReferencePool(1);
  const c = parseCaseId("project/vector:B=1;H=3;R=32;Dn=16;Dv=16;q=5;part=q");
  assertEquals((await makeCaseInputs(c, { pool, referenceBudgetFlops: 1e9 })).inPrecision, undefined);
  pool.close();
});
