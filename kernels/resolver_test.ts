import { assert, assertEquals, assertMatch } from "@std/assert";
import { DTYPES } from "../reference/dtypes.ts";
import type { MlaShape } from "../reference/shapes.ts";
import type { DeviceTraits } from "./kernel.ts";
import { MATRIX_PREFERENCE, preferenceOf, PREFERENCES } from "./preferences.ts";
import { KERNELS } from "./registry.ts";
import { resolveBackend } from "./resolver.ts";
import { decodeShape, deviceTraits, matrixDevice } from "./testing.ts";
import type { Work } from "./work.ts";

const RANKS = [256, 512, 48, 1024];
const ROPES = [0, 32, 64];

/** What is asked for, by name. */
const WORKS: Readonly<Record<string, (shape: MlaShape) => Work>> = {
  attend: (shape) => ({ operation: "attend", shape }),
  chunk: (shape) => ({ operation: "attend", shape: { ...shape, q: shape.q.with(0, 20) } }),
  append: (shape) => ({ operation: "append", shape }),
  project: ({ H, R, Dn, Dv, weight }) => {
    return { operation: "project", shape: { part: "v", tokens: 4, padding: 0, H, R, Dn, Dv, weight } };
  },
  prefill: (shape) => ({ operation: "prefill", shape: { ...shape, q: shape.kv } }),
  decode: (shape) => ({ operation: "mla", shape }),
  prompt: (shape) => ({ operation: "mla", shape: { ...shape, q: shape.kv } }),
};

const BACKENDS: Readonly<Record<string, string>> = {
  m: "fused_matrix",
  s: "fused_subgroup",
  f: "fused",
  u: "unfused",
  c: "combined",
  v: "vector",
  r: "reference",
};

/**
 * A device, and what `auto` gives there: a group for each of RANKS, a letter for each of f32, f16, bf16. A prompt is
 * expanded, where what `mla` would attend with does not matter.
 */
type Row = readonly [what: string, device: DeviceTraits | undefined, expected: Readonly<Record<string, string>>];

const AUTO: readonly Row[] = [
  ["no device", undefined, {
    attend: "rrr rrr rrr rrr",
    chunk: "rrr rrr rrr rrr",
    append: "rrr rrr rrr rrr",
    project: "rrr rrr rrr rrr",
    prefill: "rrr rrr rrr rrr",
    decode: "rrr rrr rrr rrr",
    prompt: "rrr rrr rrr rrr",
  }],
  ["WebGPU's default limits, no subgroups", deviceTraits(0), {
    attend: "fff fff fff uff",
    chunk: "fff fff fff uff",
    append: "ccc ccc ccc ccc",
    project: "vvv vvv vvv vvv",
    prefill: "fff fff fff fff",
    decode: "fff fff fff uff",
    prompt: "fff fff fff fff",
  }],
  ...[4, 8, 32, 64].map((lanes): Row => [`subgroups of ${lanes}`, deviceTraits(lanes), {
    attend: "sss sss sss sss",
    chunk: "sss sss sss sss",
    append: "ccc ccc ccc ccc",
    project: "vvv vvv vvv vvv",
    prefill: "fff fff fff fff",
    decode: "sss sss sss sss",
    prompt: "sss sss sss sss",
  }]),
  ["matrices", matrixDevice(), {
    attend: "smm smm smm smm",
    chunk: "smm smm smm smm",
    append: "ccc ccc ccc ccc",
    project: "vvv vvv vvv vvv",
    prefill: "fff fff fff fff",
    decode: "smm smm smm smm",
    prompt: "smm smm smm smm",
  }],
  ["subgroups of 2", deviceTraits(2), {
    attend: "fff fff fff uff",
    chunk: "fff fff fff uff",
    append: "ccc ccc ccc ccc",
    project: "vvv vvv vvv vvv",
    prefill: "fff fff fff fff",
    decode: "fff fff fff uff",
    prompt: "sss sss fff sss",
  }],
  ["8 KiB of workgroup memory", deviceTraits(32, { maxComputeWorkgroupStorageSize: 8192 }), {
    attend: "sss sss sss sss",
    chunk: "sss sss sss sss",
    append: "ccc ccc ccc ccc",
    project: "vvv vvv vvv vvv",
    prefill: "rrr rrr rrr rrr",
    decode: "sss sss sss sss",
    prompt: "rrr rrr rrr rrr",
  }],
  ["bindings of a million bytes", deviceTraits(32, { maxStorageBufferBindingSize: 1e6 }), {
    attend: "rss rrr sss rrr",
    chunk: "rss rrr sss rrr",
    append: "rcc rrr ccc rrr",
    project: "rrr rrr vvv rrr",
    prefill: "rrr rrr rrr rrr",
    decode: "rrr rrr sss rrr",
    prompt: "rrr rrr rrr rrr",
  }],
  ["6 storage buffers", deviceTraits(32, { maxStorageBuffersPerShaderStage: 6 }), {
    attend: "uuu uuu uuu uuu",
    chunk: "uuu uuu uuu uuu",
    append: "rrr rrr rrr rrr",
    project: "vvv vvv vvv vvv",
    prefill: "rrr rrr rrr rrr",
    decode: "rrr rrr rrr rrr",
    prompt: "rrr rrr rrr rrr",
  }],
];

function shapeOf(values: Partial<MlaShape>): MlaShape {
  const cache = values.cache ?? "f16";
  return { ...decodeShape({ kv: values.kv ?? [1000, 70, 70, 70, 70] }), weight: cache, padding: 0, ...values };
}

/** Every work of the table with its place: device, work, rank, rope, dtype. */
function* everyWork() {
  for (const [what, device, expected] of AUTO) {
    for (const [name, work] of Object.entries(WORKS)) {
      for (const [r, R] of RANKS.entries()) {
        for (const Dr of ROPES) {
          for (const [d, cache] of DTYPES.entries()) {
            const letter = expected[name].split(" ")[r][d];
            yield {
              place: `${what}: ${name} R=${R} Dr=${Dr} ${cache}`,
              name,
              work: work(shapeOf({ R, Dr, cache })),
              device,
              letter,
            };
          }
        }
      }
    }
  }
}

Deno.test("auto takes what the table says, over devices, operations, ranks, rope widths and dtypes", () => {
  assertEquals(DTYPES, ["f32", "f16", "bf16"]);
  let seen = 0;
  for (const { place, name, work, device, letter } of everyWork()) {
    const { backend, form, reasons } = resolveBackend("auto", work, device);
    assertEquals(backend, BACKENDS[letter], `${place}: ${reasons.join("; ")}`);
    // At rank 48 a pair is cheaper in the latent space than with the keys and values of a head.
    const latent = work.operation === "mla" && work.shape.R === 48;
    const expectedForm = { decode: "absorbed", prompt: latent ? "absorbed" : "expanded" }[name];
    assertEquals(form, letter === "r" ? undefined : expectedForm, place);
    assertMatch(reasons.at(-1)!, new RegExp(`^${backend}: `), place);
    seen++;
  }
  assertEquals(seen, AUTO.length * 7 * RANKS.length * ROPES.length * 3);
});

Deno.test("what is requested by name is kept whatever the dimensions, and nothing requested is the safe default", () => {
  const defaults: Record<string, string> = { append: "combined", project: "tiled", prefill: "fused" };
  for (const { place, name, work, device } of everyWork()) {
    for (const request of ["unfused", "fused", "fused_subgroup", "tiled", "reference", "torch_mla"]) {
      const { backend, reasons } = resolveBackend(request, work, device);
      assertEquals(backend, request, place);
      assertEquals(reasons[0], `${request}: requested`, place);
    }
    const { backend, reasons } = resolveBackend(undefined, work, device);
    assertEquals(backend, defaults[name] ?? "unfused", place);
    assertEquals(reasons[0], `${backend}: the default where nothing is requested`, place);
  }
});

Deno.test("what auto takes can be launched", () => {
  for (const { place, work, device } of everyWork()) {
    const { backend, form } = resolveBackend("auto", work, device);
    if (backend === "reference") continue;
    const kernel = KERNELS.find(({ operation, variant }) => operation === work.operation && variant === backend);
    const refusal = (kernel as { refuses(...all: unknown[]): unknown }).refuses(
      work.shape,
      form ? { form } : {},
      device,
    );
    assertEquals(refusal, undefined, place);
  }
});

const attend = (values: Partial<MlaShape>): Work => ({ operation: "attend", shape: shapeOf(values) });
const mla = (values: Partial<MlaShape>): Work => ({ operation: "mla", shape: shapeOf(values) });

// The tests of the original resolver, test_kv_cache.py: there capabilities (9,0) and (10,0), here subgroups.

Deno.test("counterpart of keeps_supported_flashinfer_backend: rank 512 with rope 64", () => {
  const { backend, reasons } = resolveBackend("fused_subgroup", attend({ R: 512, Dr: 64 }), deviceTraits(32));
  assertEquals([backend, ...reasons], ["fused_subgroup", "fused_subgroup: requested"]);
});

Deno.test("counterpart of falls_back_for_rank256: to what each device can run", () => {
  const work = attend({ R: 256, Dr: 64 });
  assertEquals(resolveBackend("auto", work, deviceTraits(0)).backend, "fused");
  assertEquals(resolveBackend("auto", work, deviceTraits(32)).backend, "fused_subgroup");
});

Deno.test("counterpart of preserves_non_flashinfer_backend: unfused at rank 256", () => {
  assertEquals(resolveBackend("unfused", attend({ R: 256 }), deviceTraits(32)).backend, "unfused");
});

Deno.test("reasons give every step in a line of its own", () => {
  const missing = [
    "fused_matrix: needs the device feature subgroups, shader-f16, chromium-experimental-subgroup-matrix",
    "fused_subgroup: needs the device feature subgroups",
  ];
  const order = "first that runs of fused_matrix, fused_subgroup, fused, unfused: the order for any other shape";
  const lines = (request: string | undefined, work: Work, device?: DeviceTraits) =>
    resolveBackend(request, work, device).reasons;
  assertEquals(lines("auto", attend({}), deviceTraits(0)), [...missing, `fused: ${order}`]);
  assertEquals(lines("auto", attend({ R: 24 }), deviceTraits(0)), [
    ...missing,
    "fused: R=24: only positive multiples of 16",
    "unfused: R=24: only positive multiples of 16",
    "reference: no kernel runs",
  ]);
  assertEquals(lines("auto", mla({ Dn: 20 }), deviceTraits(0)), [
    ...missing,
    "fused: project/vector: Dn=20: only positive multiples of 8",
    "unfused: project/vector: Dn=20: only positive multiples of 8",
    "reference: no kernel runs",
  ]);
  assertEquals(lines("auto", mla({ kv: [70], q: [70] }), deviceTraits(0)), [
    ...missing,
    "absorbed: about 0.056 ms absorbed, 0.11 ms expanded on an H200",
    `fused: ${order}`,
  ]);
  assertEquals(lines("auto", WORKS.append(shapeOf({ layout: "separate" })), deviceTraits(0)), [
    "separate: the layout of the cache",
  ]);
  assertEquals(lines("auto", attend({})), ["reference: there is no device"]);
  assertEquals(lines("fused", attend({ Dr: 48 }), deviceTraits(0)), [
    "fused: requested",
    "fused: Dr=48: only 0, 16, 32, 64",
  ]);
  assertEquals(lines("paged", attend({}), deviceTraits(0)), [
    "paged: requested",
    "paged: will be refused, attend has unfused, fused, fused_subgroup, fused_f16, fused_matrix",
  ]);
  assertEquals(lines(undefined, attend({})), [
    "unfused: the default where nothing is requested",
    "unfused: there is no device",
  ]);
});

Deno.test("limits of the device count: loops, bindings, workgroups", () => {
  const long = attend({ kv: [2 ** 29], H: 1, R: 16, Dr: 0, page: 2 ** 20 });
  const roomy = { maxBufferSize: 2 ** 50, maxStorageBufferBindingSize: 2 ** 50 };
  assertEquals(resolveBackend("auto", long, deviceTraits(8, roomy)).backend, "fused_subgroup");
  const { backend, reasons } = resolveBackend("auto", long, { ...deviceTraits(8, roomy), maxLoopIterations: 65535 });
  assertEquals(backend, "reference");
  assertMatch(reasons[0], /^fused_subgroup: dispatch "\w+" needs up to \d+ loop iterations/);
  const narrow = deviceTraits(8, { ...roomy, maxComputeWorkgroupsPerDimension: 1 });
  assertMatch(resolveBackend("auto", attend({ H: 128 }), narrow).reasons[1], /^fused_subgroup: dispatch .* workgroups/);
});

Deno.test("where the expanded form does not fit, auto takes the absorbed one and says so", () => {
  const wide = resolveBackend("auto", mla({ q: [2000], kv: [2000], Dv: 264 }), deviceTraits(32));
  assertEquals([wide.backend, wide.form], ["fused_subgroup", "absorbed"]);
  assertEquals(wide.reasons[1], "absorbed: prefill/fused does not run: Dv=264: only multiples of 8 up to 256");
  const long = resolveBackend("auto", mla({ q: [4096], kv: [150000], R: 256, Dv: 256 }), deviceTraits(32));
  assertEquals([long.backend, long.form], ["fused_subgroup", "absorbed"]);
  assertEquals(
    long.reasons[1],
    "absorbed: prefill/fused does not run: the values of one head need 153600000 bytes, the device binds 134217728",
  );
  const few = deviceTraits(32, { maxComputeInvocationsPerWorkgroup: 64, maxComputeWorkgroupSizeX: 64 });
  const { backend, form, reasons } = resolveBackend(
    "auto",
    mla({ q: [3000], kv: [3000], R: 64, H: 128, Dn: 24, Dv: 16 }),
    few,
  );
  assertEquals([backend, form], ["fused", "absorbed"]);
  const missing = "fused_matrix: needs the device feature shader-f16, chromium-experimental-subgroup-matrix";
  const invocations = "needs 128 invocations per workgroup, the device's maxComputeInvocationsPerWorkgroup is 64";
  assertEquals(reasons, [
    missing,
    ...["fused_subgroup", "fused", "unfused"].map((name) => `${name}: dispatch "prefill/queries" ${invocations}`),
    missing,
    "fused_subgroup: attend/fused_subgroup: threads=256: the limit is 64",
    "absorbed: the expanded form does not run",
    "fused: first that runs of fused_matrix, fused_subgroup, fused, unfused: the order for any other shape",
  ]);
});

Deno.test("the form is expanded for prompts that are long enough, cached tokens or not, and never for decode", () => {
  const form = (q: number[], kv: number[], H = 16, R = 512) =>
    resolveBackend("auto", mla({ B: q.length, q, kv, H, R }), deviceTraits(32)).form;
  // As measured where the forms differ by a tenth or more (the figures at FORM_RATES).
  for (const R of [512, 256]) {
    assertEquals([16, 128, 2048].map((n) => form([n], [n], 16, R)), ["absorbed", "absorbed", "expanded"]);
  }
  assertEquals(form([512], [8704], 128), "expanded");
  assertEquals(form([1], [8704], 128), "absorbed");
  assertEquals(form(new Array(8).fill(1), new Array(8).fill(4096)), "absorbed");
  assertEquals(form([0, 1024], [0, 1024]), "expanded");
  assertEquals(form([0, 1024], [9000, 1024]), "expanded"); // nobody asks for the 9,000
  assertEquals(form([0], [0]), "absorbed");
});

Deno.test("matrices come first for eight rows and more, and then what the class prefers", () => {
  const order = (values: Parameters<typeof decodeShape>[0]) => preferenceOf(decodeShape(values)).order;
  const [first, ...rest] = order({ H: 8 });
  assertEquals([first], MATRIX_PREFERENCE.order);
  assertEquals(rest, order({ H: 7 }));
  assertEquals(order({ H: 4, q: [2] })[0], first);
  for (const other of [{ H: 7 }, { H: 2, q: [3] }]) {
    assertEquals(order(other).includes(first), false, JSON.stringify(other));
  }
});

Deno.test("the reasons tell up to which values of a cache the kernel is right", () => {
  const last = (cache: "f16" | "bf16") => resolveBackend("auto", attend({ cache }), matrixDevice()).reasons.at(-1);
  assertEquals(last("bf16"), "fused_matrix: takes values up to 65504 of a cache in bf16");
  assertMatch(last("f16")!, /^fused_matrix: first that runs/);
});

Deno.test("preferences hold every attention kernel of f32 once, name a source, and the last one takes any shape", () => {
  // One of less precision than f32 is taken only where it is asked for.
  const variants = KERNELS.filter(({ operation, precision }) => operation === "mla" && precision === undefined)
    .map(({ variant }) => variant).sort();
  for (const { order, source, what } of PREFERENCES) {
    assertEquals(order.toSorted(), variants, what);
    assert(source.length > 40, what);
  }
  const decode = { B: 64, H: 128, R: 512, q: Array(64).fill(1), kv: Array(64).fill(4096) };
  for (const like of [{}, { R: 256 }, { H: 16, q: Array(64).fill(4) }]) {
    assertEquals(preferenceOf({ ...decode, ...like }).what, PREFERENCES[0].what);
  }
  const one = { B: 1, H: 16, R: 256, q: [1], kv: [4096] };
  for (const like of [{}, { R: 512 }, { H: 128 }, { kv: [100] }, { B: 4, kv: [1, 1, 1, 100] }]) {
    assertEquals(preferenceOf({ ...one, ...like }).what, PREFERENCES[1].what);
  }
  for (const other of [{ B: 16 }, { H: 32 }, { R: 128 }, { q: Array(64).fill(8) }]) {
    assertEquals(preferenceOf({ ...decode, ...other }).what, PREFERENCES[2].what);
  }
  for (const other of [{ kv: [32768] }, { kv: [99] }, { q: [9] }, { B: 5 }]) {
    assertEquals(preferenceOf({ ...one, ...other }).what, PREFERENCES[2].what);
  }
});
