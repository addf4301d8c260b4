import { assert, assertEquals, assertMatch } from "@std/assert";
import { attendFused } from "../kernels/attend_fused.ts";
import type { AttendKernel } from "../kernels/kernel.ts";
import { KERNELS } from "../kernels/registry.ts";
import type { Case } from "../suites/case.ts";
import { parseCaseId } from "../suites/case_id.ts";
import { type Gpu, openGpu } from "./device.ts";
import type { Result } from "./result.ts";
import { startChild, supervise } from "./supervise.ts";
import { runCases, type SweepOptions } from "./sweep.ts";

function attendCases(variant: string, lengths: readonly number[]): Case[] {
  return lengths.map((kv) => parseCaseId(`attend/${variant}:B=1;H=2;R=32;Dr=16;q=1;kv=${kv};page=4;cache=f32`));
}

async function run(cases: readonly Case[], options: Partial<SweepOptions> = {}): Promise<Result[]> {
  return await Array.fromAsync(runCases(cases, { kernels: KERNELS, timing: false, ...options }));
}

/** How many cases had begun when each result came, less the results before it. */
async function flightsOf(cases: readonly Case[], options: Partial<SweepOptions> = {}): Promise<number[]> {
  let begun = 0, done = 0;
  const inFlight: number[] = [];
  for await (const result of runCases(cases, { kernels: KERNELS, timing: false, onBegin: () => begun++, ...options })) {
    assertEquals([result.status, result.id], ["verified", cases[done].id]);
    inFlight.push(begun - done++);
  }
  return inFlight;
}

Deno.test("cases that are not timed overlap after the first, and their results keep the order", async () => {
  const cases = attendCases("fused", Array.from({ length: 12 }, (_, i) => 3 + i));
  const inFlight = await flightsOf(cases);
  assertEquals([inFlight[0], Math.max(...inFlight)], [1, 8]);
  assertEquals(Math.max(...await flightsOf(cases, { inFlight: 1 })), 1);
});

Deno.test("of large cases fewer are in flight", async () => {
  const large = [4001, 4002, 4003, 4004].map((kv) =>
    parseCaseId(`attend/fused:B=4;H=1;R=512;Dr=64;q=1;kv=${kv};page=64;cache=bf16`)
  );
  assertEquals(Math.max(...await flightsOf(large)), 3);
});

Deno.test("cases on the same bytes give the same results together as alone, in place too", async () => {
  const ids = [1, 2, 3].flatMap((kv) => [
    ...["unfused", "fused"].map((variant) =>
      `attend/${variant}:B=2;H=2;R=32;Dr=16;q=1;kv=${40 + kv};page=4;cache=bf16`
    ),
    ...["splits=1", "splits=2"].map((splits) =>
      `attend/fused:B=2;H=2;R=32;Dr=16;q=1;kv=${40 + kv};page=4;cache=bf16;${splits}`
    ),
    `append/combined:B=2;R=32;Dr=16;q=3;kv=${40 + kv};page=4;cache=bf16`,
  ]);
  const twice = [...ids, ...ids].map(parseCaseId);
  const verifications = (results: readonly Result[]) =>
    results.map((result) => {
      assert(result.status === "verified", JSON.stringify(result));
      return result.verification;
    });
  assertEquals(verifications(await run(twice)), verifications(await run(twice, { inFlight: 1 })));
});

Deno.test("when a case loses the device, those in flight with it run again and only it fails", async () => {
  const gpu: Gpu = await openGpu();
  let device = gpu.device;
  const destroys: AttendKernel = {
    ...attendFused,
    variant: "destroys",
    launch(...args) {
      device.destroy();
      return attendFused.launch(...args);
    },
  };
  // The device that is opened anew is destroyed as well: the fault is the kernel's.
  const requestDevice = GPUAdapter.prototype.requestDevice;
  GPUAdapter.prototype.requestDevice = async function (...args) {
    return device = await requestDevice.apply(this, args);
  };
  try {
    const cases = [
      ...attendCases("fused", [3, 4, 5]),
      ...attendCases("destroys", [6]),
      ...attendCases("fused", [7, 8, 9]),
    ];
    const results = await run(cases, { gpu, kernels: [...KERNELS, destroys] });
    assertEquals(results.map(({ status }) => status), [
      "verified",
      "verified",
      "verified",
      "failed",
      "verified",
      "verified",
      "verified",
    ]);
    const [, , , failed] = results;
    assert(failed.status === "failed");
    assertMatch(failed.message, /lost|destroyed/i);
  } finally {
    GPUAdapter.prototype.requestDevice = requestDevice;
  }
});

Deno.test("processes share one GPU: shards of a run at the same time", async () => {
  const cases = attendCases("fused", Array.from({ length: 30 }, (_, i) => 3 + i));
  const shards = [0, 1, 2].map((shard) => cases.filter((_, i) => i % 3 === shard));
  const results = await Promise.all(shards.map(async (own) => {
    const statuses: string[] = [];
    await supervise(own, { kernelModules: [], recorded: [], timing: false }, {
      child: await startChild(),
      caseLimitMs: () => 60_000,
      onResult: ({ status }) => void statuses.push(status),
    });
    return statuses;
  }));
  assertEquals(results.flat(), cases.map(() => "verified"));
});
