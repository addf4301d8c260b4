import { assertEquals, assertThrows } from "@std/assert";
import { decodeShape } from "./testing.ts";
import { tuningClass } from "./shape_class.ts";
import { formatTunings, mergeTunings, readTunings } from "./tuning_entries.ts";
import type { TuningEntry } from "./tuning_table.ts";

const ENTRY: TuningEntry = {
  kernel: "attend/fused",
  device: { vendor: "4318", architecture: "", description: "NVIDIA H200" },
  shapes: tuningClass(decodeShape()),
  tuning: { rows: 32, splits: 4 },
  source: "NVIDIA H200, 2026-11-30: 33 µs instead of 41 µs",
};

Deno.test("the project's table is valid, and written as this module writes it", async () => {
  const url = new URL("./tuning_table.json", import.meta.url);
  const text = await Deno.readTextFile(url);
  assertEquals(formatTunings(readTunings(text, "tuning_table.json")), text);
});

Deno.test("entries are read back as they were written, in the form that the formatter keeps", async () => {
  const text = formatTunings([ENTRY, { ...ENTRY, device: { description: "H200" }, shapes: {} }]);
  assertEquals(readTunings(text, "x"), JSON.parse(text));
  const file = await Deno.makeTempFile({ suffix: ".json" });
  try {
    await Deno.writeTextFile(file, text);
    const { success } = await new Deno.Command(Deno.execPath(), { args: ["fmt", "--check", file] }).output();
    assertEquals(success, true);
  } finally {
    await Deno.remove(file);
  }
});

const REFUSED: readonly [what: string, entry: unknown, reason: string][] = [
  ["no object", 3, "it is no object"],
  ["another member", { ...ENTRY, speed: 1 }, 'the entry has "speed": only kernel, device, shapes, tuning, source'],
  [
    "an unknown kernel",
    { ...ENTRY, kernel: "attend/x" },
    'kernel is "attend/x": only attend/unfused, attend/fused, attend/fused_subgroup, attend/fused_f16, attend/fused_matrix',
  ],
  [
    "a kernel that has no tuning of its own",
    { ...ENTRY, kernel: "mla/fused" },
    'kernel is "mla/fused": only attend/unfused, attend/fused, attend/fused_subgroup, attend/fused_f16, attend/fused_matrix',
  ],
  ["a value that the kernel does not take", { ...ENTRY, tuning: { rows: 12 } }, "rows=12: only 8, 16, 32"],
  [
    "a parameter that nothing has",
    { ...ENTRY, tuning: { form: 1 } },
    'tuning has "form": only splits, rows, tile, threads',
  ],
  ["no values", { ...ENTRY, tuning: {} }, "tuning gives no values"],
  ["splits that are none", { ...ENTRY, tuning: { splits: 0.5 } }, "tuning gives no values"],
  [
    "every device",
    { ...ENTRY, device: { vendor: "", description: "" } },
    "device gives none of vendor, architecture, description",
  ],
  [
    "a device by its id",
    { ...ENTRY, device: { device: "9013" } },
    'device has "device": only vendor, architecture, description',
  ],
  ["a bound that is none", { ...ENTRY, shapes: { minB: -1 } }, "shapes.minB is -1: only integers from 0 on"],
  ["another dtype", { ...ENTRY, shapes: { cache: "f8" } }, "shapes.cache is f8: only f32, f16, bf16"],
  ["no source", { ...ENTRY, source: " " }, "source names no measurement"],
  [
    "a software adapter",
    { ...ENTRY, software: true },
    "it was measured on a software adapter, whose times say nothing about GPUs",
  ],
];

for (const [what, entry, reason] of REFUSED) {
  Deno.test(`an entry with ${what} is refused in one line`, () => {
    const text = JSON.stringify([ENTRY, entry]);
    const { message } = assertThrows(() => readTunings(text, "t.json"), SyntaxError);
    assertEquals(message, `Cannot read tunings "t.json": entry 2: ${reason}`);
  });
}

Deno.test("a file that is no array, or no JSON, is refused", () => {
  assertThrows(
    () => readTunings("{}", "t.json"),
    SyntaxError,
    'Cannot read tunings "t.json": it is no array of entries',
  );
  assertThrows(() => readTunings("[", "t.json"), SyntaxError, 'Cannot read tunings "t.json": ');
});

Deno.test("a merge replaces what it has of the same kernel, device and class, and puts the new ones first", () => {
  const faster = { ...ENTRY, tuning: { rows: 8 }, source: "later" };
  const others = [
    { ...ENTRY, kernel: "attend/unfused" },
    { ...ENTRY, device: { vendor: "4318" } },
    { ...ENTRY, shapes: { ...ENTRY.shapes, minB: 0 } },
  ];
  assertEquals(mergeTunings([...others, ENTRY], [faster]), [faster, ...others]);
  // The order of the members is no difference.
  const turned = { ...ENTRY, shapes: Object.fromEntries(Object.entries(ENTRY.shapes).reverse()) };
  assertEquals(mergeTunings([turned], [faster]), [faster]);
  assertEquals(mergeTunings([ENTRY], []), [ENTRY]);
});
