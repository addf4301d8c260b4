import { assert, assertEquals, assertLess } from "@std/assert";
import { checkCache, checkProjected } from "./acceptance.ts";
import { DTYPES } from "./dtypes.ts";
import { makeMlaInputs } from "./mla_inputs.ts";
import { mlaReference } from "./mla_flow.ts";
import { attendProjected } from "./projected.ts";
import { emulateProjected } from "./testdata/projected_faults.ts";
import { type MlaShape, PROJECTED_KINDS } from "./shapes.ts";

const SHAPE: MlaShape = {
  B: 3,
  H: 2,
  R: 32,
  Dr: 16,
  Dn: 8,
  Dv: 16,
  q: [5, 0, 9],
  kv: [5, 7, 20],
  page: 4,
  cache: "bf16",
  weight: "f16",
  padding: 1,
  scale: 1 / Math.sqrt(24),
  causal: true,
};

const FLOWS: readonly (readonly (readonly number[])[])[] = [
  [[5, 0, 9]],
  [[3, 0, 5], [0, 0, 4], [2, 0, 0]],
  [[1, 0, 0], [0, 0, 1], [1, 0, 1], [1, 0, 7], [2, 0, 0]],
];

/** Output and LSE of each new token of a flow, and the cache that it leaves. */
function run(shape: MlaShape, kind: typeof PROJECTED_KINDS[number]) {
  const outputs = new Map<string, readonly number[]>();
  let cache = new Uint8Array(0);
  for (const { inputs, prefill, cacheAfter } of mlaReference(makeMlaInputs(shape, kind, 3))) {
    const { out, lse } = attendProjected(prefill);
    const { H, Dv } = shape;
    inputs.call.sequences.forEach((b, i) => {
      for (let token = inputs.cuSeqlen[i]; token < inputs.cuSeqlen[i + 1]; token++) {
        const values = [
          ...out.subarray(token * H * Dv, (token + 1) * H * Dv),
          ...lse.subarray(token * H, (token + 1) * H),
        ];
        outputs.set(`${b}:${inputs.inputPos[i] + token - inputs.cuSeqlen[i]}`, values);
      }
    });
    cache = cacheAfter.slice();
  }
  return { outputs, cache };
}

Deno.test("mlaReference() answers the same for a flow at once, in chunks and step by step, and leaves the same cache", () => {
  for (const cache of DTYPES) {
    for (const kind of PROJECTED_KINDS) {
      const whole = run({ ...SHAPE, cache }, kind);
      assertEquals(whole.outputs.size, 14);
      for (const steps of FLOWS) {
        const cut = run({ ...SHAPE, cache, steps }, kind);
        assertEquals(cut.cache, whole.cache);
        assertEquals([...cut.outputs.keys()].sort(), [...whole.outputs.keys()].sort());
        for (const [token, values] of cut.outputs) {
          values.forEach((x, i) =>
            assertLess(Math.abs(x - whole.outputs.get(token)![i]), 1e-12 * Math.max(1, Math.abs(x)))
          );
        }
      }
    }
  }
});

Deno.test("mlaReference() gives each call what checkCache() and checkProjected() need", () => {
  let calls = 0;
  for (
    const { append, prefill, cacheAfter } of mlaReference(makeMlaInputs({ ...SHAPE, steps: FLOWS[1] }, "normal", 1))
  ) {
    calls++;
    const reference = attendProjected(prefill);
    const honest = emulateProjected(prefill, { form: calls === 2 ? "absorbed" : "expanded" });
    assert(checkProjected(prefill, reference, honest).every((c) => c.passed));
    assert(checkCache(append, cacheAfter, cacheAfter).passed);
    const { passed, worst } = checkCache(append, cacheAfter, append.cache);
    assertEquals(passed, false);
    assert(worst!.token >= append.inputPos[worst!.sequence]);
  }
  assertEquals(calls, 3);
});

Deno.test("mlaReference() attends to new tokens as the cache holds them, rounded", () => {
  const [{ inputs, prefill }] = mlaReference(makeMlaInputs(SHAPE, "normal", 1));
  const rounded = attendProjected(prefill);
  const exact = attendProjected([...mlaReference(makeMlaInputs({ ...SHAPE, cache: "f32" }, "normal", 1))][0].prefill);
  assert(inputs.compressedKv.length > 0);
  const errors = rounded.out.map((x, i) => Math.abs(x - exact.out[i]));
  assert(Math.max(...errors) > 1e-4);
});
