import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { attendFused } from "../kernels/attend_fused.ts";
import type { AttendKernel } from "../kernels/kernel.ts";
import { findKernel, KERNELS } from "../kernels/registry.ts";
import type { Case } from "../suites/case.ts";
import { parseCaseId } from "../suites/case_id.ts";
import { makeCaseInputs } from "./case_inputs.ts";
import { hashInputs } from "./differential.ts";
import { ReferencePool } from "./reference_pool.ts";
import type { Differential } from "./result.ts";
import { type OutputsReader, type PackedOutputs, readOutputs, writeOutputs } from "./stored_outputs.ts";
import { runCases, type SweepOptions } from "./sweep.ts";
import { environment } from "./testing.ts";

const SHAPE = "B=2;H=3;R=256;Dr=64;q=1;kv=9,66;page=16;cache=bf16";
const FUSED = `attend/fused:${SHAPE}`;

/**
 * Relative change of every output of {@linkcode scaled}: 2 to 4 units in the last place, and no rounding below them.
 */
const PLANTED = 2 ** -22;
const SCALE = `
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < arrayLength(&out)) { out[id.x] *= 1.0 + ${PLANTED}; }
}`;

/** `attend/fused` with every output a little too large. */
const scaled: AttendKernel = {
  ...attendFused,
  variant: "scaled",
  launch(...args) {
    const launch = attendFused.launch(...args);
    const elements = launch.buffers.find(({ name }) => name === "out")!.bytes / 4;
    const scale = {
      label: "scale",
      shader: SCALE,
      params: [],
      bindings: ["out"],
      workgroups: [Math.ceil(elements / 64), 1, 1] as const,
      workgroupSize: 64,
      workgroupBytes: 0,
    };
    return { ...launch, dispatches: [...launch.dispatches, scale] };
  },
};

/** `attend/fused` with every output ten times too large. */
const wrong: AttendKernel = {
  ...scaled,
  variant: "wrong",
  launch(...args) {
    const launch = scaled.launch(...args);
    const dispatches = launch.dispatches.map((dispatch) =>
      dispatch.label === "scale" ? { ...dispatch, shader: SCALE.replace(`1.0 + ${PLANTED}`, "10.0") } : dispatch
    );
    return { ...launch, dispatches };
  },
};

async function differentialsOf(
  cases: readonly Case[],
  options: Partial<SweepOptions>,
): Promise<(Differential | undefined)[]> {
  const kernels = [...KERNELS, scaled, wrong];
  const results = await Array.fromAsync(runCases(cases, { kernels, timing: false, ...options }));
  for (const result of results) assertEquals(result.status, "verified", JSON.stringify(result));
  return results.map(({ differential }) => differential);
}

async function differentialOf(id: string, options: Partial<SweepOptions>): Promise<Differential | undefined> {
  return (await differentialsOf([parseCaseId(id)], options))[0];
}

async function withStored(ids: readonly string[], work: (dir: string, reader: OutputsReader) => Promise<void>) {
  const dir = await Deno.makeTempDir({ prefix: "mla-bench-" });
  try {
    const packed: PackedOutputs[] = [];
    await differentialsOf(ids.map(parseCaseId), { onOutputs: (outputs) => packed.push(outputs) });
    {
      using writer = writeOutputs(dir, environment);
      for (const outputs of packed) writer.append(outputs);
    }
    await work(dir, readOutputs(dir));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("two honest kernels differ in their last bits, and both errors stand beside the difference", async () => {
  const differential = await differentialOf(FUSED, { against: [findKernel("attend/unfused")] });
  assertEquals([differential?.against, differential?.skipped], ["attend/unfused", undefined]);
  const [out, lse] = differential!.outputs;
  assertEquals([out.name, out.elements, lse.name, lse.elements], ["out", 2 * 3 * 256, "lse", 6]);
  assert(out.ulpMedian >= 1 && out.ulpMedian < 50 && lse.ulpMax < 100, JSON.stringify([out, lse]));
  assert(out.equalShare > 0 && out.equalShare < 0.5 && out.ulpMax > out.ulpP99);
  for (const median of [out.errorUlpMedian, out.otherErrorUlpMedian]) assert(median > 0.25 && median < 50);
  assert(out.worst && out.worst.actual !== out.worst.other && out.worst.sequence < 2 && out.worst.dim! < 256);
});

Deno.test("a kernel whose outputs are 2⁻²² too large is 2 to 4 ULPs away in every element", async () => {
  const differential = await differentialOf(FUSED, { against: [scaled] });
  assertEquals([differential?.against, differential?.skipped], ["attend/scaled", undefined]);
  const [out, lse] = differential!.outputs;
  assert(out.ulpMedian === 3 && out.ulpMax === 4 && out.equalShare === 0, JSON.stringify(out));
  assertEquals([lse.ulpMax, lse.equalShare, lse.worst], [0, 1, undefined]);
});

Deno.test("every operation is compared with its other kernel: projections, caches, the last call of a flow", async () => {
  const cases = [
    "append/combined:B=2;R=32;Dr=16;q=3;kv=9;page=4;cache=bf16",
    "project/tiled:B=1;H=2;R=32;Dn=16;Dv=16;q=3;part=q",
    "mla/fused:B=1;H=2;R=32;Dr=16;Dn=16;Dv=16;q=3>1x2;kv=12;page=4;cache=f16;weight=f16",
  ].map(parseCaseId);
  const against = ["append/separate", "project/vector", "mla/unfused"].map(findKernel);
  const [append, project, mla] = await differentialsOf(cases, { against });
  assertMatch(append!.skipped!, /^append\/separate refuses it: layout/);
  assertEquals(project!.outputs.map(({ name, elements }) => [name, elements]), [["q_latent", 3 * 2 * 32]]);
  assertEquals(mla!.outputs.map(({ name, elements }) => [name, elements]), [["out", 32], ["lse", 2], ["cache", 48]]);
  const cache = mla!.outputs.at(-1)!;
  assertEquals([cache.equalShare, cache.errorUlpMax], [1, 0]);
});

Deno.test("what the other kernel refuses or gets wrong is not compared, for a reason; the case itself passes", async () => {
  const refuses: AttendKernel = { ...attendFused, variant: "refuses", refuses: () => "not today" };
  const kernels = [...KERNELS, wrong, refuses];
  const wrongly = await differentialOf(FUSED, { against: [wrong], kernels });
  assertMatch(wrongly!.skipped!, /^attend\/wrong is incorrect here: out: \d+ of 1536 elements/);
  const refused = await differentialOf(FUSED, { against: [refuses], kernels });
  assertEquals(refused, { against: "attend/refuses", outputs: [], skipped: "attend/refuses refuses it: not today" });
});

Deno.test("a case is not compared with itself, nor with a kernel of another operation", async () => {
  const against = [attendFused, findKernel("append/combined")];
  assertEquals(await differentialOf(FUSED, { against }), undefined);
});

Deno.test("a run that was stored and runs again is the same bit by bit", () =>
  withStored([FUSED], async (dir, against) => {
    const differential = await differentialOf(FUSED, { against });
    assertEquals(differential?.adapter, "NVIDIA H200");
    assertMatch(differential!.environment!, /NVIDIA H200/);
    for (const { name, elements, equalShare, ulpMax, worst, ...errors } of differential!.outputs) {
      assertEquals([equalShare, ulpMax, worst], [1, 0, undefined], name);
      assert(elements > 0);
      assertEquals([errors.errorUlpMax, errors.errorUlpMedian], [errors.otherErrorUlpMax, errors.otherErrorUlpMedian]);
    }
    const other = await differentialOf(FUSED.replace("kv=9,66", "kv=9,65"), { against });
    assertEquals(other!.skipped, `${dir} has no outputs of this case`);
  }));

Deno.test("of two samples of rows the common ones are compared, each at its own place", async () => {
  const packed: PackedOutputs[] = [];
  await differentialOf(FUSED, { onOutputs: (outputs) => packed.push(outputs) });
  const [{ data }] = packed;
  // Six rows of `out` come first: their numbers, then 256 elements each.
  const values = new Float32Array(data.buffer, 4 * 6, 6 * 256);
  const rows = [1, 5, 77], stored = new Float32Array(rows.length * 256);
  rows.slice(0, 2).forEach((row, i) => stored.set(values.subarray(256 * row, 256 * (row + 1)), 256 * i));
  stored[256 + 7] += 1;
  const against: OutputsReader = {
    environment,
    ids: new Set([FUSED]),
    read: () => [{ name: "out", width: 256, rows: Int32Array.from(rows), values: stored }],
  };
  const { outputs: [out, ...others] } = (await differentialOf(FUSED, { against }))!;
  assertEquals([others.length, out.elements, out.equalShare], [0, 512, 511 / 512]);
  const { sequence, head, token, dim, actual, other } = out.worst!;
  assertEquals([sequence, head, token, dim, actual], [1, 2, 0, 7, values[5 * 256 + 7]]);
  assertEquals(other, stored[256 + 7]);
});

Deno.test("outputs that were altered, and those of other inputs, are refused", () =>
  withStored([FUSED], async (dir) => {
    const data = await Deno.readFile(`${dir}/outputs.bin`);
    data[data.length - 1] ^= 1;
    await Deno.writeFile(`${dir}/outputs.bin`, data);
    const altered = await differentialOf(FUSED, { against: readOutputs(dir) });
    assertEquals(altered!.outputs, []);
    assertMatch(altered!.skipped!, /outputs\.bin were altered: their SHA-256/);
    const index = await Deno.readTextFile(`${dir}/outputs.ndjson`);
    await Deno.writeTextFile(`${dir}/outputs.ndjson`, index.replace(/"inputs":"./, `"inputs":"x`));
    const others = await differentialOf(FUSED, { against: readOutputs(dir) });
    assertEquals(others!.skipped, `the inputs of this case were others in ${dir}`);
  }));

Deno.test("hashInputs() is that of the bytes: equal for variants, other for every other seed", async () => {
  const pool = new ReferencePool(1);
  try {
    const options = { pool, referenceBudgetFlops: 1e8 };
    const hashOf = async (id: string) => hashInputs(await makeCaseInputs(parseCaseId(id), options));
    assertEquals(await hashOf(FUSED), await hashOf(`attend/unfused:${SHAPE}`));
    assertNotEquals(await hashOf(FUSED), await hashOf(`${FUSED};seed=1`));
  } finally {
    pool.close();
  }
});
