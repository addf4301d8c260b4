import { assertEquals } from "@std/assert";
import type { Launch } from "./kernel.ts";
import { checkLimits, missingFeature } from "./limits.ts";
import { deviceTraits } from "./testing.ts";

function launch(dispatch: Partial<Launch["dispatches"][number]>, bytes = 16): Launch {
  return {
    buffers: [{ name: "x", bytes, role: "input" }],
    dispatches: [{
      label: "twice",
      shader: "",
      params: [],
      bindings: ["x"],
      workgroups: [1, 1, 1],
      workgroupSize: 64,
      workgroupBytes: 0,
      ...dispatch,
    }],
    chosen: {},
  };
}

const CASES: readonly [string, Launch, string | undefined][] = [
  ["a launch that fits", launch({}), undefined],
  [
    "the limits themselves",
    launch({ workgroupSize: 256, workgroupBytes: 16384, workgroups: [65535, 65535, 1] }),
    undefined,
  ],
  [
    "workgroup memory",
    launch({ workgroupBytes: 16388 }),
    'dispatch "twice" needs 16388 bytes of workgroup memory, the device\'s maxComputeWorkgroupStorageSize is 16384',
  ],
  [
    "invocations",
    launch({ workgroupSize: 512 }),
    'dispatch "twice" needs 512 invocations per workgroup, the device\'s maxComputeInvocationsPerWorkgroup is 256',
  ],
  [
    "workgroups",
    launch({ workgroups: [1, 65536, 1] }),
    'dispatch "twice" needs 65536 workgroups in a dimension, the device\'s maxComputeWorkgroupsPerDimension is 65535',
  ],
  [
    "storage buffers",
    launch({ bindings: Array(9).fill("x") }),
    'dispatch "twice" needs 9 storage buffers, the device\'s maxStorageBuffersPerShaderStage is 8',
  ],
  [
    "a binding",
    launch({}, 134217732),
    'buffer "x" needs 134217732 bytes, the device\'s maxStorageBufferBindingSize is 134217728',
  ],
  ["a buffer", launch({}, 2 ** 40), 'buffer "x" needs 1099511627776 bytes, the device\'s maxBufferSize is 268435456'],
  ["an odd size", launch({}, 6), 'buffer "x" has 6 bytes: a positive multiple of 4 is needed'],
  ["no size", launch({}, NaN), 'buffer "x" has NaN bytes: a positive multiple of 4 is needed'],
  [
    "an unknown size",
    launch({ workgroupBytes: NaN }),
    'dispatch "twice" needs NaN bytes of workgroup memory, the device\'s maxComputeWorkgroupStorageSize is 16384',
  ],
];

for (const [what, spec, reason] of CASES) {
  Deno.test(`checkLimits() judges ${what}`, () => assertEquals(checkLimits(spec, deviceTraits()), reason));
}

Deno.test("missingFeature() names what is missing", () => {
  assertEquals(
    missingFeature(["subgroups", "shader-f16"], new Set(["subgroups"])),
    "needs the device feature shader-f16",
  );
  assertEquals(missingFeature(["subgroups"], new Set(["subgroups"])), undefined);
});
