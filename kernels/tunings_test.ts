import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { attendFused, fusedTiles } from "./attend_fused.ts";
import { attendUnfused } from "./attend_unfused.ts";
import type { AttendKernel, Tuning } from "./kernel.ts";
import { mlaFused, mlaKernel, mlaUnfused } from "./mla.ts";
import { KERNELS } from "./registry.ts";
import { decodeShape, deviceFor, deviceTraits, MATRIX, mlaShape, teamDevice } from "./testing.ts";
import { formatTuning, refuseTunables } from "./tunings.ts";

const DEVICE = deviceTraits();
const LAYOUT = { pages: 9, tableWidth: 7 };

Deno.test("a value that a kernel does not take is refused with the choices, one that it takes is not", () => {
  const kernel = { tunings: { rows: [1, 2], threads: [64] } };
  for (const tuning of [{}, { rows: 2 }, { rows: 1, threads: 64, splits: 5 }]) {
    assertEquals(refuseTunables(kernel, tuning), undefined);
  }
  assertEquals(refuseTunables(kernel, { rows: 3 }), "rows=3: only 1, 2");
  assertEquals(refuseTunables(kernel, { rows: NaN }), "rows=NaN: only 1, 2");
  assertEquals(refuseTunables(kernel, { rows: 1, tile: 4 }), "tile=4: the kernel has no choice of tile");
  assertEquals(refuseTunables({}, { threads: 64 }), "threads=64: the kernel has no choice of threads");
});

Deno.test("a tuning is written in the order of a case id", () => {
  assertEquals(formatTuning({ threads: 64, rows: 2, splits: 3 }), "splits=3, rows=2, threads=64");
});

Deno.test("values that kernels declare are ascending, and each alone is taken by some shape", () => {
  for (const kernel of KERNELS) {
    for (const [name, values] of Object.entries(kernel.tunings ?? {})) {
      assertEquals(values, [...new Set(values)].sort((a, b) => a - b), `${kernel.variant} ${name}`);
      if (kernel.operation !== "attend") continue;
      for (const value of values) {
        const device = deviceFor(kernel, teamDevice());
        const devices = [device, { ...device, subgroupMatrices: [{ ...MATRIX, M: 8, N: 8, K: 8 }] }];
        const reasons = [8, 32].flatMap((lanes) =>
          [256, 512].flatMap((R) =>
            devices.map((device) => {
              const narrow = { ...device, subgroupMinSize: lanes, subgroupMaxSize: lanes };
              return kernel.refuses(decodeShape({ R, H: 32 }), { [name]: value }, narrow);
            })
          )
        );
        assertEquals(reasons.includes(undefined), true, `${kernel.variant} ${name}=${value}: ${reasons}`);
      }
    }
  }
});

Deno.test("attend/fused takes the rows and the tile that are asked for, and says so", () => {
  for (const rows of [8, 16, 32]) {
    for (const tile of [4, 8]) {
      const { chosen, dispatches } = attendFused.launch(decodeShape({ H: 3 }), LAYOUT, { rows, tile }, DEVICE);
      assertEquals([chosen.rows, chosen.tile, chosen.threads], [rows, tile, dispatches[0].workgroupSize]);
    }
  }
  const shape = decodeShape({ H: 3 });
  const { ROWS, T } = fusedTiles(shape);
  const asked = attendFused.launch(shape, LAYOUT, { rows: ROWS, tile: T }, DEVICE);
  assertEquals(asked, attendFused.launch(shape, LAYOUT, {}, DEVICE));
});

Deno.test("attend/fused refuses what it has no room for, in words that name it", () => {
  const REFUSED: readonly [Parameters<typeof decodeShape>[0], Tuning, RegExp][] = [
    [{}, { rows: 12 }, /^rows=12: only 8, 16, 32$/],
    [{}, { threads: 64 }, /^threads=64: the kernel has no choice of threads$/],
    [{ R: 768, Dr: 0 }, { rows: 32, tile: 4 }, /^R \+ Dr = 768 in f16 needs 23184 bytes of workgroup memory/],
    [{ R: 512, cache: "f32" }, { tile: 8 }, /bytes of workgroup memory, the limit is 16384$/],
    [{ R: 16 }, { rows: 32, tile: 8 }, /^rows=32 and tile=8 leave no threads to share a dot product$/],
  ];
  for (const [values, tuning, reason] of REFUSED) {
    const shape = decodeShape(values);
    assertMatch(attendFused.refuses(shape, tuning, DEVICE) ?? "", reason);
    assertThrows(() => attendFused.launch(shape, LAYOUT, tuning, DEVICE), RangeError, "Cannot launch attend/fused");
  }
});

Deno.test("mla hands the tuning to its attend part, and refuses it where that, or its form, takes none", () => {
  const shape = mlaShape({ q: [1, 1], kv: [20, 5] });
  const seen: Tuning[] = [];
  const spy: AttendKernel = {
    ...attendFused,
    launch(shape, layout, tuning, device) {
      seen.push(tuning);
      return attendFused.launch(shape, layout, tuning, device);
    },
  };
  const { chosen } = mlaKernel(spy).launch(shape, LAYOUT, { rows: 16, splits: 2, form: "absorbed" }, DEVICE);
  assertEquals(seen, [{ rows: 16, splits: 2 }]);
  assertEquals(chosen.rows, 16);
  assertEquals([mlaFused.tunings, mlaUnfused.tunings], [attendFused.tunings, attendUnfused.tunings]);
  assertEquals(mlaUnfused.refuses(shape, { rows: 16 }), "attend/unfused: rows=16: the kernel has no choice of rows");
  assertEquals(mlaFused.refuses(shape, { tile: 5 }), "attend/fused: tile=5: only 4, 8");
  const expanded = mlaFused.refuses(shape, { rows: 16, form: "expanded" });
  assertEquals(expanded, "prefill/fused: rows=16: the kernel has no choice of rows");
  // A prompt that would be expanded is absorbed where it is asked for what only that form has.
  const prompt = mlaShape({ q: [2000], kv: [2000], R: 512, H: 16, Dn: 128, Dv: 128, Dr: 64 });
  assertEquals(mlaFused.refuses(prompt, { rows: 16 }), undefined);
});
