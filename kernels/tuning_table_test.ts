import { assertEquals } from "@std/assert";
import { attendFused } from "./attend_fused.ts";
import { type DeviceTraits, kernelName } from "./kernel.ts";
import { KERNELS } from "./registry.ts";
import { resolveBackend } from "./resolver.ts";
import { isInClass, tuningClass } from "./shape_class.ts";
import { decodeShape, deviceFor, deviceTraits, mlaShape } from "./testing.ts";
import { tunedFor, TUNING_TABLE, type TuningEntry, withTable } from "./tuning_table.ts";

/** A device that the project's own table has no entry for. */
const GPU = { vendor: "4318", architecture: "", description: "Test GPU 9" };
const DEVICE: DeviceTraits = { ...deviceTraits(0), adapter: GPU };
const LAYOUT = { pages: 9, tableWidth: 7 };
const SHAPE = decodeShape({ H: 3 });

function entry(values: Partial<TuningEntry> = {}): TuningEntry {
  return {
    kernel: "attend/fused",
    device: GPU,
    shapes: tuningClass(SHAPE),
    tuning: { rows: 32, tile: 4 },
    source: "a test",
    ...values,
  };
}

Deno.test("the octaves of tuning classes hold every size once", () => {
  for (let n = 1; n < 5000; n++) {
    const shape = decodeShape({ B: n, q: [1], kv: [n], H: n });
    const own = tuningClass(shape);
    assertEquals(isInClass(own, shape), true, String(n));
    const next = tuningClass({ ...shape, B: own.maxB! + 1, H: own.maxRows! + 1, kv: [own.maxKv! + 1] });
    assertEquals([next.minB, next.minRows, next.minKv], [own.maxB! + 1, own.maxRows! + 1, own.maxKv! + 1]);
  }
  assertEquals(isInClass(tuningClass(decodeShape({ kv: [0] })), decodeShape({ kv: [0] })), true);
});

Deno.test("another rank, dtype or octave is another class", () => {
  const own = tuningClass(SHAPE);
  for (const other of [{ R: 512 }, { cache: "f32" as const }, { H: 6 }, { kv: [100] }, { kv: [65, 65] }]) {
    assertEquals(isInClass(own, decodeShape({ H: 3, ...other })), false, JSON.stringify(other));
  }
});

const MATCHES: readonly [what: string, device: TuningEntry["device"], expected: boolean][] = [
  ["all that names it", GPU, true],
  ["a part of its name", { description: "GPU 9" }, true],
  ["its vendor alone", { vendor: "4318" }, true],
  ["another vendor", { ...GPU, vendor: "4098" }, false],
  ["another architecture", { ...GPU, architecture: "ada" }, false],
  ["another name", { description: "Test GPU 90" }, false],
];

for (const [what, device, expected] of MATCHES) {
  Deno.test(`an entry for ${what} is ${expected ? "found" : "passed over"}`, () => {
    assertEquals(tunedFor("attend/fused", SHAPE, DEVICE, [entry({ device })]) !== undefined, expected);
  });
}

Deno.test("nothing is found for another kernel or shape, without a device, or on one that does not tell its name", () => {
  const table = [entry()];
  assertEquals(tunedFor("attend/unfused", SHAPE, DEVICE, table), undefined);
  assertEquals(tunedFor("attend/fused", decodeShape({ H: 64 }), DEVICE, table), undefined);
  assertEquals(tunedFor("attend/fused", SHAPE, undefined, table), undefined);
  assertEquals(tunedFor("attend/fused", SHAPE, deviceTraits(), table), undefined);
  const second = entry({ tuning: { rows: 16 } });
  assertEquals(tunedFor("attend/fused", SHAPE, DEVICE, [entry({ kernel: "x/y" }), second, entry()]), second);
});

Deno.test("a kernel is launched with the table's values where none are asked for, and with its own elsewhere", () => {
  const kernel = withTable(attendFused, [entry()]);
  const rows = (shape: typeof SHAPE, tuning = {}, device = DEVICE) => {
    const { chosen } = kernel.launch(shape, LAYOUT, tuning, device);
    return [chosen.rows, chosen.tile];
  };
  assertEquals(rows(SHAPE), [32, 4]);
  assertEquals(rows(SHAPE, { splits: 2 }), [32, 4]);
  const own = attendFused.launch(SHAPE, LAYOUT, {}, DEVICE).chosen;
  // Values were measured together: where some are asked for, the others are the kernel's own.
  assertEquals(rows(SHAPE, { rows: 16 }), [16, own.tile]);
  assertEquals(rows(SHAPE, {}, deviceTraits()), [own.rows, own.tile]);
  assertEquals(
    rows(decodeShape({ H: 64 }))[0],
    attendFused.launch(decodeShape({ H: 64 }), LAYOUT, {}, DEVICE).chosen.rows,
  );
});

Deno.test("every attend kernel with a choice takes it from the project's table, and tells that it did", () => {
  for (const kernel of KERNELS) {
    if (kernel.operation !== "attend") continue;
    const device = { ...deviceFor(kernel, deviceTraits(32)), adapter: GPU };
    for (const [name, values] of Object.entries(kernel.tunings ?? {})) {
      const taken = values.filter((value) => kernel.refuses(SHAPE, { [name]: value }, device) === undefined);
      const chosen = taken.map((value) => {
        const table = TUNING_TABLE as TuningEntry[];
        table.unshift(entry({ kernel: kernelName(kernel), tuning: { [name]: value } }));
        try {
          return kernel.launch(SHAPE, LAYOUT, {}, device).chosen[name];
        } finally {
          table.shift();
        }
      });
      assertEquals(chosen, taken, `${kernelName(kernel)} ${name}`);
    }
  }
});

Deno.test("an entry that the kernel refuses for a shape is passed over, not passed on", () => {
  const wide = decodeShape({ R: 1024, H: 3 });
  const kernel = withTable(attendFused, [entry({ shapes: {} })]);
  assertEquals(kernel.launch(wide, LAYOUT, {}, DEVICE), attendFused.launch(wide, LAYOUT, {}, DEVICE));
});

Deno.test("the resolver tells the tuning that is used, and its source", () => {
  const resolve = (work: Parameters<typeof resolveBackend>[1], table = [entry()]) =>
    resolveBackend("auto", work, DEVICE, table);
  const { backend, tuning, reasons } = resolve({ operation: "attend", shape: SHAPE });
  assertEquals([backend, tuning], ["fused", { rows: 32, tile: 4 }]);
  assertEquals(reasons.at(-1), "fused: rows=32, tile=4, as measured: a test");
  const named = resolveBackend("fused", { operation: "attend", shape: SHAPE }, DEVICE, [entry()]);
  assertEquals(named.tuning, { rows: 32, tile: 4 });
  for (const none of [[], [entry({ kernel: "attend/unfused" })], [entry({ tuning: { rows: 9 } })]]) {
    const resolution = resolve({ operation: "attend", shape: SHAPE }, none);
    assertEquals([resolution.tuning, resolution.reasons.length], [undefined, reasons.length - 1]);
  }
});

Deno.test("the resolver tells the tuning by which mla attends, none where it expands", () => {
  const table = [entry({ shapes: {} })];
  const decode = resolveBackend("auto", { operation: "mla", shape: mlaShape({ q: [1], kv: [20] }) }, DEVICE, table);
  assertEquals([decode.form, decode.tuning], ["absorbed", { rows: 32, tile: 4 }]);
  const shape = mlaShape({ q: [2000], kv: [2000], R: 512, H: 16, Dn: 128, Dv: 128, Dr: 64 });
  const prompt = resolveBackend("auto", { operation: "mla", shape }, DEVICE, table);
  assertEquals([prompt.form, prompt.tuning], ["expanded", undefined]);
});
