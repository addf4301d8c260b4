import { assert, assertEquals } from "@std/assert";
import type { AttendKernel } from "../../kernels/kernel.ts";
import { withEdits } from "../../kernels/mutants/plant.ts";
import { findKernel } from "../../kernels/registry.ts";
import { decodeShape, teamDevice } from "../../kernels/testing.ts";
import { STAGES } from "./edits.ts";

/** Shaders of the passes of `kernel` without `stage`, for 128 heads in two splits. */
function shadersOf(kernel: string, { name, edits }: Pick<typeof STAGES[number], "name" | "edits">): string[] {
  const shape = decodeShape({ H: 128, kv: [512], page: 64, cache: "f16" });
  const edited = withEdits(findKernel(kernel) as AttendKernel, name, edits);
  const layout = { pages: 8, tableWidth: 8 };
  return edited.launch(shape, layout, { splits: 2 }, teamDevice()).dispatches.map(({ shader }) => shader);
}

for (const kernel of ["attend/fused_subgroup", "attend/fused_f16"]) {
  Deno.test(`every stage of ${kernel} can be left out, and each is another one`, () => {
    const whole = shadersOf(kernel, { name: "nothing", edits: [] });
    const seen = new Set([whole.join("\0")]);
    for (const stage of STAGES) {
      const shaders = shadersOf(kernel, stage);
      const text = shaders.join("\0");
      assert(!seen.has(text), `without ${stage.name} it is a text that was seen before`);
      seen.add(text);
      assertEquals(shaders.length, stage.name === "merge" ? whole.length - 1 : whole.length, stage.name);
    }
  });

  Deno.test(`without scores and P·V no product of them is left in ${kernel}, and every key is read`, () => {
    const [attend] = shadersOf(kernel, STAGES.find(({ name }) => name === "scores and P·V")!);
    const products = attend.match(/dot4\(s_\d+, q_|fma\(q_\d+, k_/g);
    assertEquals(products, null);
    const reads = attend.match(/chunk_at\(place/g)?.length;
    assertEquals(reads, shadersOf(kernel, { name: "nothing", edits: [] })[0].match(/chunk_at\(place/g)?.length);
  });
}
