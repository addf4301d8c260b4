import { assert, assertEquals, assertThrows } from "@std/assert";
import { attendFused } from "../kernels/attend_fused.ts";
import { type AttendKernel, kernelName } from "../kernels/kernel.ts";
import { KERNELS } from "../kernels/registry.ts";
import { parseAxis } from "./axis_values.ts";
import { parseCaseId } from "./case_id.ts";
import { tuningCases } from "./tuning_cases.ts";

const SHAPE = "B=1;H=16;R=256;Dr=64;q=1;kv=65;page=64;cache=f16";

/** A kernel with a choice of everything, one combination of which it refuses. */
const choosy: AttendKernel = {
  ...attendFused,
  variant: "choosy",
  tunings: { rows: [1, 2], tile: [4], threads: [32, 64] },
  refuses: (_, { rows, threads }) => rows === 2 && threads === 64 ? "no" : undefined,
};

function tune(ids: readonly string[], ...axes: string[]): string[] {
  const kernels = [...KERNELS, choosy];
  const cases = tuningCases({ cases: ids.map(parseCaseId), kernels, axes: axes.map(parseAxis) });
  return cases.map(({ id }) => id.replace(SHAPE, "…"));
}

Deno.test("a shape is run as it is, then with every combination that the kernel does not refuse", () => {
  assertEquals(tune([`attend/choosy:${SHAPE}`]), [
    "attend/choosy:…",
    "attend/choosy:…;rows=1;tile=4;threads=32",
    "attend/choosy:…;rows=1;tile=4;threads=64",
    "attend/choosy:…;rows=2;tile=4;threads=32",
  ]);
  for (const id of tune([`attend/fused:${SHAPE.replace("R=256", "R=512")}`])) {
    assert(!id.includes("rows=32;tile=8"), id);
  }
});

Deno.test("values that are given take the place of all, and splits are tried only where they are given", () => {
  const given = tune([`attend/choosy:${SHAPE}`], "rows=2,3", "threads=32", "splits=auto,3");
  assertEquals(given, [
    "attend/choosy:…",
    "attend/choosy:…;rows=2;tile=4;threads=32",
    "attend/choosy:…;splits=3;rows=2;tile=4;threads=32",
  ]);
  assertEquals(tune([`attend/unfused:${SHAPE}`], "splits=2"), ["attend/unfused:…", "attend/unfused:…;splits=2"]);
});

Deno.test("a class of shapes is tuned once, for each kernel with a choice, and from a case without a tuning", () => {
  const like = [SHAPE, SHAPE.replace("kv=65", "kv=80"), SHAPE.replace("page=64", "page=16"), `${SHAPE};splits=3`];
  const ids = like.flatMap((shape) => [`attend/fused:${shape}`, `attend/choosy:${shape}`, `attend/unfused:${shape}`]);
  const kernels = Map.groupBy(tune([`attend/fused:${SHAPE};splits=3`, ...ids]), (id) => id.slice(0, id.indexOf(":")));
  assertEquals([...kernels.keys()], ["attend/fused", "attend/choosy"]);
  assertEquals([...kernels.values()].map(([first]) => first), ["attend/fused:…", "attend/choosy:…"]);
  assertEquals(tune([`attend/fused:${SHAPE}`, `attend/fused:${SHAPE.replace("kv=65", "kv=300")}`]).length, 14);
});

Deno.test("mla is tuned through the kernel by which it attends; nothing to try is refused with the choices", () => {
  const mla = parseCaseId(`mla/fused:${SHAPE}`);
  const cases = [mla, parseCaseId(`attend/unfused:${SHAPE}`)];
  const { message } = assertThrows(() => tuningCases({ cases, kernels: [choosy], axes: [] }), RangeError);
  assertEquals(
    message,
    "Cannot tune: no case of 2 has a combination to try; attend/choosy has rows 1, 2 and tile 4 and threads 32, 64",
  );
  assertThrows(
    () => tune([`attend/fused:${SHAPE}`], "rows=7"),
    RangeError,
    `${kernelName(attendFused)} has rows 8, 16, 32`,
  );
});
