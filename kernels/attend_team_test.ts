import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import type { AttendShape } from "../reference/shapes.ts";
import { attendFusedF16 } from "./attend_fused_f16.ts";
import { attendFusedSubgroup } from "./attend_fused_subgroup.ts";
import type { Tuning } from "./kernel.ts";
import { decodeShape, deviceTraits, teamDevice } from "./testing.ts";

/** `rows`, `tile` and `threads` that are chosen, and the lanes of a team. */
function sizes(shape: Partial<AttendShape>, tuning: Tuning, lanes: number, most = lanes): number[] {
  const device = teamDevice(lanes, most);
  const { chosen, dispatches } = attendFusedSubgroup.launch(decodeShape(shape), LAYOUT, tuning, device);
  return [constant(dispatches[0].shader, "LANES"), chosen.rows, chosen.tile, chosen.threads];
}

const LAYOUT = { pages: 9, tableWidth: 99 };

function constant(shader: string, name: string): number {
  return Number(new RegExp(`^const ${name} = (\\d+)u;$`, "m").exec(shader)![1]);
}

const CHOSEN: readonly [what: string, shape: Partial<AttendShape>, lanes: [number, number?], sizes: number[]][] = [
  // NVIDIA: a lane has 1 or 2 chunks of the latent, and so 8 or 4 rows of them.
  ["32 lanes, 128 heads, rank 256", { H: 128, R: 256 }, [32], [32, 8, 4, 256]],
  ["32 lanes, 128 heads, rank 512", { H: 128, R: 512 }, [32], [32, 4, 4, 256]],
  ["32 lanes, 16 heads, rank 512", { H: 16, R: 512 }, [32], [32, 4, 4, 128]],
  ["32 lanes, 4 heads, rank 256", { H: 4, R: 256 }, [32], [32, 4, 8, 32]],
  ["32 lanes, one head", { H: 1, R: 256 }, [32], [32, 1, 8, 32]],
  ["32 lanes, rank 1024", { H: 128, R: 1024 }, [32], [32, 2, 4, 256]],
  // lavapipe: 4 or 8 chunks, and so 2 rows or 1.
  ["8 lanes, 16 heads, rank 256", { H: 16, R: 256 }, [8], [8, 2, 4, 64]],
  ["8 lanes, 16 heads, rank 512", { H: 16, R: 512 }, [8], [8, 1, 4, 64]],
  ["8 lanes, rank 16", { H: 16, R: 16 }, [8], [8, 4, 2, 32]],
  // SwiftShader: more chunks than registers are meant for.
  ["4 lanes, 16 heads, rank 256", { H: 16, R: 256 }, [4], [4, 1, 4, 32]],
  ["4 lanes, 16 heads, rank 512", { H: 16, R: 512 }, [4], [4, 1, 4, 32]],
  // AMD: a subgroup of 64 is two teams, and a workgroup at least one subgroup.
  ["32 to 64 lanes, 128 heads, rank 512", { H: 128, R: 512 }, [32, 64], [32, 4, 4, 256]],
  ["32 to 64 lanes, one head", { H: 1, R: 512 }, [32, 64], [32, 1, 8, 64]],
  ["64 lanes, 16 heads, rank 512", { H: 16, R: 512 }, [64], [32, 4, 4, 128]],
  // Intel: 8 to 32 lanes.
  ["8 to 32 lanes, 16 heads, rank 256", { H: 16, R: 256 }, [8, 32], [8, 2, 4, 64]],
];

for (const [what, shape, [lanes, most], expected] of CHOSEN) {
  Deno.test(`a team kernel with ${what} takes lanes, rows, tile and threads ${expected}`, () => {
    assertEquals(sizes(shape, {}, lanes, most), expected);
  });
}

Deno.test("what is asked for is taken, and the rest follows from it", () => {
  assertEquals(sizes({ H: 16, R: 256 }, { rows: 1 }, 32), [32, 1, 4, 256]);
  assertEquals(sizes({ H: 16, R: 256 }, { rows: 8, tile: 2 }, 32), [32, 8, 2, 64]);
  assertEquals(sizes({ H: 16, R: 256 }, { threads: 32 }, 32), [32, 8, 4, 32]);
  assertEquals(sizes({ H: 16, R: 512 }, { rows: 4, tile: 2 }, 8), [8, 4, 2, 16]);
});

Deno.test("the constants of a team agree with each other on every device and at every rank", () => {
  for (const kernel of [attendFusedSubgroup, attendFusedF16]) {
    for (const [lanes, most] of [[4, 4], [8, 8], [16, 16], [32, 32], [64, 64], [32, 64], [8, 32], [128, 128]]) {
      for (const R of [16, 48, 256, 272, 512, 1024]) {
        for (const H of [1, 3, 16, 128]) {
          const shape = decodeShape({ H, R });
          const { dispatches, chosen } = kernel.launch(shape, LAYOUT, {}, teamDevice(lanes, most));
          const of = (name: string) => constant(dispatches[0].shader, name);
          const what = `${lanes} to ${most} lanes, R=${R}, H=${H}`;
          assertEquals([of("VALUES"), 1 << of("LOG_VALUES")], [of("ROWS") * of("TILE"), of("VALUES")], what);
          assertEquals([1 << of("LOG_ROWS"), 1 << of("LOG_LANES")], [of("ROWS"), of("LANES")], what);
          // Whole chains of chunks, as few as reach.
          assertEquals(of("SLICE") % of("CHAIN"), 0, what);
          assert(of("SLICE") * of("LANES") >= R / 8 && (of("SLICE") - of("CHAIN")) * of("LANES") < R / 8, what);
          assert(of("PAIRS") * of("LANES") >= shape.Dr / 2, what);
          assert(of("VALUES") >= 2 && of("VALUES") <= of("LANES"), what);
          assertEquals(chosen.threads % most, 0, what);
          assertEquals(of("WHOLE"), Number(lanes === most && lanes <= 32), what);
          assertEquals([of("TILE"), of("LANES")], [
            of("SELECTED") << of("LOG_OWN"),
            of("VALUES") << of("LOG_SPARE"),
          ], what);
          // What a team that is alone does not read ahead nobody touches for it.
          if (chosen.threads === of("LANES")) assertEquals([of("AHEAD"), of("SWEEPS")], [1, 0], what);
          assertEquals(dispatches[0].workgroupBytes, 0, what);
        }
      }
    }
  }
});

Deno.test("the rows of a team see the same tokens: of a query token, unless each sequence has one or all see all", () => {
  const rows = (shape: Partial<AttendShape>) => sizes({ R: 512, kv: [66], ...shape }, {}, 32)[1];
  assertEquals(rows({ H: 5, q: [1] }), 4);
  assertEquals(rows({ H: 5, q: [2] }), 1);
  assertEquals(rows({ H: 5, q: [2], causal: false }), 4);
  assertEquals([6, 12, 8, 7].map((H) => rows({ H, q: [2] })), [2, 4, 4, 1]);
  // One sequence of several tokens is enough.
  assertEquals([[1, 1, 1], [1, 3, 1]].map((q) => rows({ H: 5, q, kv: [9, 9, 9] })), [4, 1]);
});

Deno.test("rows that are asked for and do not see the same tokens are refused in one line", () => {
  const refusal = (shape: Partial<AttendShape>, rows: number) =>
    [attendFusedSubgroup, attendFusedF16].map((kernel) => kernel.refuses(decodeShape(shape), { rows }, teamDevice()));
  const both = (reason?: string) => [reason, reason];
  assertEquals(
    refusal({ H: 5, q: [2] }, 4),
    both("rows=4: rows of a team see the same tokens, so H=5 must be a multiple"),
  );
  assertEquals(
    refusal({ H: 6, q: [2] }, 4),
    both("rows=4: rows of a team see the same tokens, so H=6 must be a multiple"),
  );
  for (const shape of [{ H: 5, q: [1] }, { H: 5, q: [2], causal: false }, { H: 12, q: [2] }]) {
    assertEquals(refusal(shape, 4), both());
  }
  assertEquals(refusal({ H: 5, q: [2] }, 1), both());
});

Deno.test("two lanes share a chain of f16 only where it has no more products than fused_f16 declares", () => {
  const { scores } = attendFusedF16.precision!;
  const most = scores === "f32" ? 0 : scores.f16Chain;
  const shared: string[] = [];
  for (const lanes of [4, 8, 16, 32]) {
    for (const R of [16, 48, 256, 512, 1024]) {
      for (const Dr of [0, 16, 32, 64]) {
        for (const rows of [1, 2]) {
          const what = `${lanes} lanes, R=${R}, Dr=${Dr}, rows=${rows}`;
          const { dispatches } = attendFusedF16.launch(
            decodeShape({ R, Dr }),
            LAYOUT,
            { rows, tile: 2 },
            teamDevice(lanes),
          );
          const of = (name: string) => constant(dispatches[0].shader, name);
          // A chunk is four products of a chain, of even elements or of odd ones, and a pair of the rope key is one.
          const products = 4 * of("CHAIN") + of("PAIRS");
          assert(products <= most, what);
          const isShared = rows > 1 && of("SLICE") === of("CHAIN") && 2 * products <= most;
          if (isShared) shared.push(`${lanes} ${R} ${Dr}`);
          assertEquals(
            [of("FIRST_HALF"), of("WIDE_VALUES"), of("FIRST_WIDE")],
            isShared ? [rows, 0, 1] : [0, 2 * rows, 0],
            what,
          );
        }
      }
    }
  }
  // The sizes of models on NVIDIA, 18 products at rank 512; with two rope pairs a lane there would be 20.
  for (const sizes of ["32 256 64", "32 512 64", "16 256 32"]) assert(shared.includes(sizes), sizes);
  for (const sizes of ["16 256 64", "32 1024 64", "8 256 64"]) assert(!shared.includes(sizes), sizes);
});

Deno.test("a tile lies in a page where pages are whole numbers of tiles, and only there", () => {
  for (const [page, tile, aligned] of [[64, 8, 1], [16, 4, 1], [61, 2, 0], [1, 2, 0], [4, 8, 0], [12, 4, 1]]) {
    const { dispatches } = attendFusedSubgroup.launch(decodeShape({ page, H: 1 }), LAYOUT, { tile }, teamDevice(32));
    assertEquals(constant(dispatches[0].shader, "ALIGNED"), aligned, `page ${page}, tile ${tile}`);
  }
});

const REFUSED: readonly [tuning: Tuning, lanes: [number, number?], reason: string][] = [
  [{ rows: 3 }, [32], "rows=3: only 1, 2, 4, 8"],
  [{ tile: 16 }, [32], "tile=16: only 2, 4, 8"],
  [{ threads: 48 }, [32], "threads=48: only 32, 64, 128, 256"],
  [{ rows: 8, tile: 8 }, [32], "rows=8 and tile=8 make 64 scores: a team of 32 lanes takes 2 to 32"],
  [{ rows: 8, tile: 2 }, [8], "rows=8 and tile=2 make 16 scores: a team of 8 lanes takes 2 to 8"],
  [{ tile: 8 }, [4], "rows=1 and tile=8 make 8 scores: a team of 4 lanes takes 2 to 4"],
  [{ threads: 32 }, [32, 64], "threads=32: only multiples of 64, the lanes of the largest subgroup"],
  [{}, [2], "subgroups of 2 to 2 lanes: at least 4 are needed"],
];

for (const [tuning, [lanes, most], reason] of REFUSED) {
  Deno.test(`team kernels refuse ${JSON.stringify(tuning)} on ${lanes} lanes: ${reason}`, () => {
    const shape = decodeShape(), device = teamDevice(lanes, most);
    for (const kernel of [attendFusedSubgroup, attendFusedF16]) {
      assertEquals(kernel.refuses(shape, tuning, device), reason);
      const { message } = assertThrows(() => kernel.launch(shape, LAYOUT, tuning, device), RangeError);
      assertEquals(message, `Cannot launch attend/${kernel.variant}: ${reason}`);
    }
  });
}

Deno.test("team kernels name the feature that a device lacks, and the threads that it has no room for", () => {
  const shape = decodeShape();
  assertEquals(attendFusedSubgroup.refuses(shape, {}, deviceTraits(0)), "needs the device feature subgroups");
  assertMatch(attendFusedF16.refuses(shape, {}, deviceTraits(32)) ?? "", /shader-f16/);
  assertEquals(attendFusedSubgroup.refuses(shape, {}, deviceTraits(32)), undefined);
  const narrow = teamDevice(32);
  const device = { ...narrow, limits: { ...narrow.limits, maxComputeInvocationsPerWorkgroup: 64 } };
  assertEquals(attendFusedSubgroup.refuses(shape, { threads: 128 }, device), "threads=128: the limit is 64");
});

Deno.test("fused_f16 takes caches of f16 only, with and without a device", () => {
  for (const device of [undefined, teamDevice(8)]) {
    assertEquals(attendFusedF16.refuses(decodeShape({ cache: "bf16" }), {}, device), "cache=bf16: only f16");
    assertEquals(attendFusedF16.refuses(decodeShape({ cache: "f32" }), {}, device), "cache=f32: only f16");
    assertEquals(attendFusedF16.refuses(decodeShape({ cache: "f16" }), {}, device), undefined);
  }
  assertEquals(attendFusedF16.dtypes, ["f16"]);
});
