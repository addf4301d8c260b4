import { assertEquals, assertLess, assertThrows } from "@std/assert";
import { checkProjected, checkRecordedRows } from "./acceptance.ts";
import { type Dtype, DTYPES } from "./dtypes.ts";
import { mlaReference } from "./mla_flow.ts";
import type { MlaCallInputs } from "./mla_inputs.ts";
import { attendProjected } from "./projected.ts";
import { emulateProjected, type ProjectedFault } from "./testdata/projected_faults.ts";
import { readRecorded, type RecordedTensors } from "./recorded.ts";
import { type MlaReplayOptions, recordedMlaInputs } from "./recorded_mla.ts";

async function golden(name: string): Promise<RecordedTensors> {
  const file = new URL(`goldens/${name}.safetensors`, import.meta.url);
  return readRecorded(await Deno.readFile(file), `${name}.safetensors`);
}

/** The outcome of every call of a replay whose outputs are the reference's, in f32. */
function replay(
  recorded: RecordedTensors,
  options: MlaReplayOptions,
  spoil?: (out: Float32Array, call: MlaCallInputs) => void,
) {
  return [...mlaReference(recordedMlaInputs(recorded, options))].map(({ inputs, prefill }) => {
    const { H, Dv } = recorded;
    const { out } = attendProjected(prefill);
    const actual = new Float32Array(out.length + inputs.call.shape.padding * H * Dv);
    actual.set(out);
    spoil?.(actual, inputs);
    return checkRecordedRows(recorded, inputs, actual);
  });
}

const f32: MlaReplayOptions = { page: 16, cache: "f32", weight: "f32" };

for (const name of ["glm47flash-h2-r512", "minicpm3-h5-r256", "mistral4-h8-r256", "sharp-h3-r256", "v2lite-h4-r512"]) {
  Deno.test(`a replay of ${name} through mla answers what was recorded, in every dtype`, async () => {
    const recorded = await golden(name);
    const { T } = recorded;
    for (const cache of DTYPES) {
      for (const weight of ["f32", "bf16"] as const) {
        for (const check of replay(recorded, { page: 24, cache, weight, steps: [T - 20, 17, 1, 1, 1], padding: 1 })) {
          assertEquals([check.passed, check.message], [true, undefined]);
          assertLess(check.budgetUsed!, 0.6);
        }
      }
    }
  });
}

Deno.test("checkRecordedRows() fails one value moved by 0.5, in the call that has its token", async () => {
  const recorded = await golden("minicpm3-h5-r256");
  const steps = [60, 36, 1];
  for (const cache of DTYPES) {
    const checks = replay(recorded, { ...f32, cache, steps }, (out, { call }) => {
      if (call.shape.kv[0] === 96) out[(7 * 5 + 3) * 64 + 2] += 0.5;
    });
    assertEquals(checks.map((c) => c.passed), [true, false, true]);
    const { sequence, token, head, dim } = checks[1].worst!;
    assertEquals([sequence, token, head, dim], [0, 7, 3, 2]);
  }
});

Deno.test("replays of any steps leave the same cache", async () => {
  const recorded = await golden("minicpm3-h5-r256");
  const caches = [[97], [64, 33], [90, 1, 1, 5]].map((steps) => {
    const calls = [...mlaReference(recordedMlaInputs(recorded, { page: 16, cache: "bf16", weight: "f32", steps }))];
    assertEquals(calls.map((call) => call.prefill.shape.q[0]), steps);
    return calls.at(-1)!.cacheAfter;
  });
  assertEquals(caches[1], caches[0]);
  assertEquals(caches[2], caches[0]);
});

Deno.test("an honest f32 kernel passes the bounds of seeded inputs on recorded ones, and the recorded output", async () => {
  for (const name of ["minicpm3-h5-r256", "sharp-h3-r256"]) {
    const recorded = await golden(name);
    const check = (form: "absorbed" | "expanded", dtype: Dtype, fault?: ProjectedFault) => {
      const [, { inputs, prefill }] = [
        ...mlaReference(
          recordedMlaInputs(recorded, { page: 16, cache: dtype, weight: "f32", steps: [recorded.T - 3, 3] }),
        ),
      ];
      const actual = emulateProjected(prefill, { form, fault });
      return [
        ...checkProjected(prefill, attendProjected(prefill), actual),
        checkRecordedRows(recorded, inputs, actual.out),
      ];
    };
    for (const form of ["absorbed", "expanded"] as const) {
      for (const { passed, message, budgetUsed } of check(form, "f32")) {
        assertEquals([passed, message], [true, undefined]);
        assertLess(budgetUsed!, 0.3);
      }
      for (
        const fault of ["scale_off_by_1_percent", "rope_dropped", "last_token_dropped", "weights_of_next_head"] as const
      ) {
        const [out, , recordedOut] = check(form, "f32", fault);
        assertEquals([out.passed, recordedOut.passed], [false, false], `${name} ${form} ${fault}`);
      }
    }
  }
});

Deno.test("replays refuse steps that do not add up, values beyond f16, and outputs of another length", async () => {
  const recorded = await golden("minicpm3-h5-r256");
  for (const steps of [[96], [97, 0], [98, -1]]) {
    assertThrows(
      () => recordedMlaInputs(recorded, { ...f32, steps }),
      RangeError,
      `Cannot replay minicpm3-h5-r256 in steps of ${steps.join(", ")}: needed are positive ones that add up to 97`,
    );
  }
  for (const tensor of ["kvB", "kpe"] as const) {
    const broken = { ...recorded, [tensor]: recorded[tensor].map((x, i) => i === 3 ? 7e4 : x) };
    const message = `${tensor === "kvB" ? "kv_b_proj" : "kpe"} holds 70000 at element 3`;
    assertThrows(() => recordedMlaInputs(broken, { page: 16, cache: "f16", weight: "f16" }), RangeError, message);
  }
  const { calls } = recordedMlaInputs(recorded, { ...f32, padding: 2 });
  assertThrows(
    () => checkRecordedRows(recorded, calls[0], new Float32Array(97 * 5 * 64)),
    RangeError,
    "Cannot check 31040 elements of out: the call has 31040, and 640 of padding",
  );
});
