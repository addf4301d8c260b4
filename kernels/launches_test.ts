import { assert, assertEquals, assertThrows } from "@std/assert";
import { type Dtype, DTYPES } from "../reference/dtypes.ts";
import { type AttendShape, LAYOUTS } from "../reference/shapes.ts";
import { type DeviceTraits, type DispatchSpec, kernelName, type Launch, SUBGROUP_MATRIX } from "./kernel.ts";
import { checkLimits } from "./limits.ts";
import { KERNELS } from "./registry.ts";
import { appendShape, decodeShape, deviceFor, mlaShape, teamDevice } from "./testing.ts";

const DEVICE = teamDevice(8);
const files = new Map<string, string>();
for (const { name } of Deno.readDirSync(new URL(".", import.meta.url))) {
  if (name.endsWith(".wgsl")) files.set(name, Deno.readTextFileSync(new URL(name, import.meta.url)));
}

/** A text before the first loop that is written out; what becomes of the lines behind it, `unroll_test.ts` tells. */
function untilUnrolled(text: string): string {
  return text.split(/^.*\/\/ unroll$/m)[0];
}

/** A sequence to split and one that is not, in the separate layout at 16 heads. */
function attendShape(values: Partial<AttendShape>): AttendShape {
  return decodeShape({ ...values, kv: [65, 3], q: [2, 1], layout: values.H === 16 ? "separate" : "combined" });
}

/** Launches of every kernel, each on a device that it runs on. */
function launches(): (readonly [string, Launch, DeviceTraits])[] {
  return KERNELS.flatMap((kernel) => {
    const device = deviceFor(kernel, DEVICE);
    const ofDtype = (cache: Dtype): [string, Launch][] => {
      const name = `${kernelName(kernel)} ${cache}`;
      const layout = { pages: 8, tableWidth: 5 };
      if (kernel.operation === "append") {
        const shape = appendShape({ cache, layout: kernel.variant === "separate" ? "separate" : "combined" });
        return [[name, kernel.launch(shape, layout, {}, device)]];
      }
      if (kernel.operation === "project") {
        const shapes = (["q", "v"] as const).flatMap((part) =>
          [1, 8, 32, 33].map((tokens) => ({ part, tokens, padding: 1, H: 3, R: 512, Dn: 192, Dv: 64, weight: cache }))
        ).filter((shape) => kernel.refuses(shape, {}) === undefined);
        return shapes.map((shape) => [
          `${name} ${shape.part} tokens=${shape.tokens}`,
          kernel.launch(shape, layout, {}, device),
        ]);
      }
      if (kernel.operation === "prefill") {
        return [[16, 0, 8, 8], [512, 64, 128, 128], [512, 64, 192, 256]].flatMap(([R, Dr, Dn, Dv]) =>
          LAYOUTS.map((form): [string, Launch] => {
            const shape = decodeShape({ cache, R, Dr, Dn, Dv, q: [65], layout: form });
            return [
              `${name} Dv=${Dv} ${form}`,
              kernel.launch({ ...shape, weight: cache, padding: 1 }, layout, {}, device),
            ];
          })
        );
      }
      if (kernel.operation === "mla") {
        return LAYOUTS.flatMap((form) =>
          (["absorbed", "expanded"] as const).map((as): [string, Launch] => {
            const shape = mlaShape({ cache, weight: cache, q: [65, 3], kv: [65, 3], layout: form, padding: 1 });
            return [`${name} ${form} ${as}`, kernel.launch(shape, layout, { form: as }, device)];
          })
        );
      }
      if (kernel.operation !== "attend") return [];
      return [[16, 0], [48, 16], [256, 64], [512, 64]].flatMap(([R, Dr]) =>
        [3, 16, 128].map((H): [string, Launch] => [
          `${name} R=${R} H=${H}`,
          kernel.launch(attendShape({ cache, R, Dr, H }), layout, { splits: 2 }, device),
        ])
      );
    };
    return (kernel.dtypes ?? DTYPES).flatMap(ofDtype).map(([name, launch]) => [name, launch, device] as const);
  });
}

function eachDispatch(check: (name: string, dispatch: DispatchSpec, launch: Launch) => void) {
  for (const [name, launch] of launches()) {
    for (const dispatch of launch.dispatches) check(`${name} ${dispatch.label}`, dispatch, launch);
  }
}

/** Fields of `struct Params`, in order. */
function paramsOf(shader: string): string[] {
  const body = shader.match(/struct Params \{([^}]*)\}/)?.[1] ?? "";
  return [...body.matchAll(/(\w+): (u32|f32)/g)].map(([, name, type]) => `${name}: ${type}`);
}

/** Bytes of all `var<workgroup>`, from the constants of the shader. */
function workgroupBytes(shader: string, wideChunk: boolean): number {
  const constants = new Map(
    [...shader.matchAll(/^const (\w+) = ([^;]*);/gm)].map(([, name, value]) => [name, value]),
  );
  const evaluate = (expression: string): number => {
    const names = expression.replaceAll(/\b(\d+)u\b/g, "$1");
    const terms = names.replaceAll(/[A-Z]\w*/g, (name) => `(${evaluate(constants.get(name)!)})`);
    assert(/^[\d\s()*+/]*$/.test(terms), `"${terms}" is no arithmetic`);
    return Math.floor(Number(new Function(`return ${terms}`)()));
  };
  const sizes: Record<string, number> = {
    "u32": 4,
    "f32": 4,
    "atomic<u32>": 4,
    "vec2<f32>": 8,
    "vec2<u32>": 8,
    "vec4<f32>": 16,
    "vec4<u32>": 16,
    "Chunk": wideChunk ? 32 : 16,
  };
  const sizeOf = (type: string): number => {
    const array = type.match(/^array<(.*), (.*)>$/);
    return array ? sizeOf(array[1]) * evaluate(array[2]) : sizes[type];
  };
  return [...shader.matchAll(/^var<workgroup> \w+: ([^;]*);/gm)].reduce((sum, [, type]) => sum + sizeOf(type), 0);
}

Deno.test("every launch fits a device with WebGPU's default limits, or with matrices", () => {
  for (const [name, launch, device] of launches()) assertEquals(checkLimits(launch, device), undefined, name);
});

Deno.test("the text of every dispatch begins with its file, so that compiler lines are the file's", () => {
  eachDispatch((name, { shader }) => {
    const found = [...files].filter(([, text]) => shader.startsWith(untilUnrolled(text))).map(([file]) => file);
    assertEquals(found.length, 1, name);
  });
});

Deno.test("every .wgsl file is used by a launch, and begins with a comment", () => {
  const shaders = launches().flatMap(([, { dispatches }]) => dispatches.map(({ shader }) => shader));
  for (const [file, text] of files) {
    assert(shaders.some((shader) => shader.includes(untilUnrolled(text))), `${file} is in no launch`);
    assert(/^(enable f16; )?\/\/ /.test(text.trimStart()), `${file} has no header`);
    assert(text.endsWith("\n"), `${file} does not end in a newline`);
  }
});

Deno.test("the fields of Params are those of the launch, in order", () => {
  eachDispatch((name, { shader, params }) => {
    assertEquals(params.map(([field, type]) => `${field}: ${type}`), paramsOf(shader), name);
    for (const [field, type, value] of params) {
      assert(type === "f32" || (Number.isInteger(value) && value >= 0 && value < 2 ** 32), `${name} ${field}=${value}`);
    }
  });
});

/** Numbers and access of the storage buffers that a shader declares in a bind group. */
function declared(shader: string, group: number): { number: number; access: string }[] {
  const pattern = new RegExp(`@group\\(${group}\\) @binding\\((\\d+)\\) var<storage, (\\w+)>`, "g");
  return [...shader.matchAll(pattern)].map(([, number, access]) => ({ number: Number(number), access }));
}

Deno.test("bindings are numbered without a gap, from 1 beside the uniform, and name buffers of the launch", () => {
  eachDispatch((name, { shader, bindings, cacheBindings = [] }, { buffers }) => {
    assertEquals(declared(shader, 0).map(({ number }) => number), bindings.map((_, i) => i + 1), name);
    assertEquals(declared(shader, 1).map(({ number }) => number), cacheBindings.map((_, i) => i), name);
    for (const binding of [...bindings, ...cacheBindings]) {
      assert(buffers.some((buffer) => buffer.name === binding), `${name} ${binding}`);
    }
  });
});

Deno.test("no dispatch may write an input or a plan, and some dispatch may write each result", () => {
  for (const [name, { buffers, dispatches }] of launches()) {
    const writable = new Set(
      dispatches.flatMap(({ shader, bindings, cacheBindings = [], cacheIsWritable }) =>
        [bindings, cacheIsWritable ? [] : cacheBindings].flatMap((names, group) =>
          names.filter((_, i) => declared(shader, group)[i].access === "read_write")
        )
      ),
    );
    for (const { name: buffer, role } of buffers) {
      if (role !== "scratch") {
        assertEquals(writable.has(buffer), role === "output" || role === "inout", `${name} ${buffer}`);
      }
    }
  }
});

Deno.test("a plan buffer has a content that fills it, and no other buffer has one", () => {
  for (const [name, { buffers }] of launches()) {
    for (const { name: buffer, role, bytes, contents } of buffers) {
      assertEquals(contents?.byteLength, role === "plan" ? bytes : undefined, `${name} ${buffer}`);
    }
  }
});

Deno.test("workgroupBytes and workgroupSize are what the shader declares", () => {
  eachDispatch((name, { shader, workgroupBytes: bytes, workgroupSize }) => {
    assertEquals(bytes, workgroupBytes(shader, shader.includes("alias Chunk = array")), name);
    const size = shader.match(/@workgroup_size\((\w+)\)/)![1];
    const value = shader.match(new RegExp(`^const ${size} = (\\d+)u;`, "m"))?.[1] ?? size;
    assertEquals(workgroupSize, Number(value), name);
  });
});

Deno.test("cases that differ only in batch, heads of a block, pages of whole tiles, lengths, scale and base share their pipelines", () => {
  for (const kernel of KERNELS) {
    if (kernel.operation !== "attend") continue;
    const device = deviceFor(kernel, DEVICE);
    // Kernels of matrices divide by the size of a page in each tile: it is a constant of theirs.
    const page = kernel.requires.includes(SUBGROUP_MATRIX) ? 64 : 16;
    const [one, other] = [
      decodeShape({ H: 12, kv: [65], page: 64 }),
      decodeShape({ H: 16, kv: [1, 300, 0], page, scale: 0.5, causal: false, lseBase: "2" }),
    ].map((shape) => {
      const { dispatches } = kernel.launch(shape, { pages: 500, tableWidth: 100 }, { splits: 3 }, device);
      return new Set(dispatches.map(({ shader }) => shader));
    });
    assertEquals(one, other, kernelName(kernel));
  }
});

Deno.test("launches of more workgroups than fit one dimension are folded over two", () => {
  for (const kernel of KERNELS) {
    if (kernel.operation !== "attend") continue;
    const device = deviceFor(kernel, DEVICE);
    const shape = decodeShape({ kv: Array(300).fill(64) });
    const small = { ...device, limits: { ...device.limits, maxComputeWorkgroupsPerDimension: 99 } };
    const { dispatches } = kernel.launch(shape, { pages: 300, tableWidth: 1 }, {}, small);
    const wide = kernel.launch(shape, { pages: 300, tableWidth: 1 }, {}, device).dispatches;
    dispatches.forEach(({ label, workgroups: [x, y, z] }, i) => {
      assert(x <= 99 && y <= 99 && z === 1, label);
      assert(x * y >= wide[i].workgroups[0] && (x - 1) * y < wide[i].workgroups[0], label);
      assertEquals(wide[i].workgroups[1], 1);
    });
  }
});

Deno.test("one split writes the result itself; more go through partial results and a merge", () => {
  for (const kernel of KERNELS) {
    if (kernel.operation !== "attend") continue;
    const device = deviceFor(kernel, DEVICE);
    const names = (splits: number) => {
      const launch = kernel.launch(decodeShape({ kv: [320] }), { pages: 8, tableWidth: 5 }, { splits }, device);
      return [
        launch.chosen.splits,
        launch.dispatches.at(-1)!.label,
        launch.buffers.some((b) => b.name === "partial_out"),
      ];
    };
    assertEquals(names(1).slice(0, 1).concat(names(1)[2]), [1, false]);
    assertEquals(names(5), [5, "merge", true]);
  }
});

Deno.test("a page table too narrow for the longest sequence is a broken promise", () => {
  for (const kernel of KERNELS) {
    if (kernel.operation !== "attend") continue;
    const device = deviceFor(kernel, DEVICE);
    const launch = () => kernel.launch(decodeShape(), { pages: 8, tableWidth: 1 }, {}, device);
    assertThrows(launch, RangeError, "kv=65 needs 2");
  }
});

Deno.test("an append of no tokens dispatches nothing", () => {
  const kernel = KERNELS.find((k) => k.operation === "append")!;
  assert(kernel.operation === "append");
  const launch = kernel.launch(appendShape({ q: [0, 0], kv: [5, 0], B: 2 }), { pages: 4, tableWidth: 2 }, {}, DEVICE);
  assertEquals(launch.dispatches, []);
});
