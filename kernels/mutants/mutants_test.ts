import { assert, assertEquals, assertThrows } from "@std/assert";
import { callsOf } from "../../reference/flow.ts";
import { pagesOf, total } from "../../reference/shapes.ts";
import type { Case } from "../../suites/case.ts";
import { parseCaseId } from "../../suites/case_id.ts";
import {
  type DeviceTraits,
  type Kernel,
  type KernelBase,
  kernelName,
  type Launch,
  type Operation,
  SUBGROUP_MATRIX,
} from "../kernel.ts";
import { KERNELS } from "../registry.ts";
import { deviceFor, teamDevice } from "../testing.ts";
import { BUG_CLASSES, type Fault } from "./fault.ts";
import { FAULTS, MUTANTS } from "./mutants.ts";
import { chosenCases, type Mutant, mutantsOf, withEdits } from "./plant.ts";

/** A device with subgroups of `lanes`: those of lavapipe, or of NVIDIA. */
function deviceOf(lanes: number): DeviceTraits {
  const traits = teamDevice(lanes);
  const limits = { ...traits.limits, maxComputeWorkgroupStorageSize: 32768, maxStorageBuffersPerShaderStage: 16 };
  return { ...traits, limits };
}

/** Launches of every call of a case. */
function launchesOf(kernel: Kernel, c: Case, device = deviceOf(8)): Launch[] {
  const shapes: readonly unknown[] = c.operation === "mla" ? callsOf(c.shape).map(({ shape }) => shape) : [c.shape];
  return shapes.map((shape) => {
    const paged = c.operation === "project" ? undefined : c.shape;
    const pages = paged ? total(paged.kv.map((n) => pagesOf(n, paged.page))) : 0;
    const width = paged ? Math.max(...paged.kv.map((n) => pagesOf(n, paged.page))) + 1 : 0;
    const tableWidth = c.operation === "append" || c.operation === "mla" ? pages : width;
    const any: KernelBase<Operation, unknown> = kernel;
    return any.launch(shape, { pages: pages + 3, tableWidth }, c.tuning, deviceFor(kernel, device));
  });
}

/** The cases chosen for a mutant. */
function casesOf(mutant: Pick<Mutant, "kernel" | "fault">): Case[] {
  return chosenCases(mutant).map((shape) => parseCaseId(`${kernelName(mutant.kernel)}:${shape}`));
}

function content({ dispatches, buffers }: Launch): string {
  return JSON.stringify([dispatches, buffers.map(({ name, contents }) => [name, contents && [...contents]])]);
}

for (const lanes of [8, 32]) {
  Deno.test(`every mutant differs from its kernel in a case chosen for it, in teams of ${lanes} lanes`, async (t) => {
    const device = deviceOf(lanes);
    for (const mutant of MUTANTS) {
      await t.step(kernelName(mutant.kernel), () => {
        const cases = casesOf(mutant);
        assert(cases.length > 0, "no case");
        const base = KERNELS.find((kernel) => kernelName(kernel) === mutant.base)!;
        const differs = cases.filter((c) => {
          const planted = launchesOf(mutant.kernel, c, device), right = launchesOf(base, c, device);
          return planted.some((launch, i) => content(launch) !== content(right[i]));
        });
        assert(differs.length > 0, "it is planted in none of its cases");
      });
    }
  });
}

Deno.test("names are unique, every class has a fault, and there are at least 50", () => {
  const names = FAULTS.map(({ name }) => name);
  assertEquals(names.length, new Set(names).size);
  assert(names.length >= 50, `only ${names.length}`);
  assertEquals(new Set(FAULTS.map(({ bugClass }) => bugClass)), new Set(Object.keys(BUG_CLASSES)));
  assertEquals(MUTANTS.length, new Set(MUTANTS.map(({ kernel }) => kernelName(kernel))).size);
  for (const { what, like } of FAULTS) assert(what.length > 10 && like.length > 10 && !/\n/.test(what + like));
});

Deno.test("every kind of bug that users of MLA kernels met is planted", () => {
  // What issue trackers tell, and the fault that stands for it.
  const kinds = [
    ["dropped scale", "no_scale"],
    ["wrong axis taken as page size", "page_size_of_wrong_axis"],
    ["unaligned block table", "table_width_unaligned"],
    ["length of the pool", "longest_of_the_pool"],
    ["page off by one", "page_off_by_one"],
    ["last partial tile dropped", "no_last_partial_tile"],
    ["tile read past its end", "reads_past_the_end"],
    ["causal rule aligned top left", "top_left_aligned"],
    ["causal rule one too many", "sees_the_next_token"],
    ["causal rule one too few", "does_not_see_itself"],
    ["decode rows from the wrong end", "decode_rows_from_the_wrong_end"],
    ["rope term dropped", "no_rope"],
    ["scale of the absorbed width", "scale_of_absorbed_width"],
    ["online softmax without rescale", "output_not_rescaled"],
    ["merge without rescale", "merge_without_rescale"],
    ["lse of base 2 for e", "lse_of_base_2_for_e"],
    ["lse of base e for 2", "lse_of_base_e_for_2"],
    ["race of rank 256", "race_at_rank_256"],
    ["division by a length of zero", "zero_length_division"],
    ["page 0 through padding", "page_0_read_through_padding"],
    ["overflow of page and size", "slots_wrap"],
    ["overflow of page, size and width", "elements_wrap"],
    ["scores in f16", "scores_in_f16"],
    ["last head skipped", "last_head_skipped"],
    ["stale output", "stale_output"],
    ["constant output", "constant_output"],
    ["zeros", "zero_output"],
    ["output of the step before", "output_of_the_previous_step"],
    ["output of the call before", "output_of_the_previous_call"],
  ];
  const missing = kinds.filter(([, name]) => !FAULTS.some((fault) => fault.name === name));
  assertEquals(missing, []);
});

Deno.test("every kernel has mutants, each attention kernel the most", () => {
  for (const kernel of KERNELS) {
    const own = MUTANTS.filter(({ base }) => base === kernelName(kernel)).length;
    // Those of matrices have only faults of their own.
    const hasMatrices = kernel.requires.includes(SUBGROUP_MATRIX);
    const least = { attend: hasMatrices ? 7 : 50, prefill: 50, mla: hasMatrices ? 3 : 30, append: 20, project: 15 }[
      kernel.operation
    ];
    assert(own >= least, `${kernelName(kernel)} has ${own}`);
  }
});

const FUSED = KERNELS.find((kernel) => kernelName(kernel) === "attend/fused")!;
const [SPLIT, WHOLE] = ["kv=193;page=64;cache=bf16;splits=3", "kv=65;page=64;cache=bf16"]
  .map((rest) => parseCaseId(`attend/fused:B=1;H=16;R=256;Dr=64;q=1;${rest}`));

Deno.test("an edit that matches nothing throws, so that no fault is lost when a kernel changes", () => {
  const lost = withEdits(FUSED, "lost", [{ find: "no such text", replace: "" }]);
  assertThrows(
    () => launchesOf(lost, WHOLE),
    RangeError,
    'Cannot plant lost in attend/fused: no shader has "no such text"',
  );
  const elsewhere = withEdits(FUSED, "elsewhere", [{ find: "rescale(", replace: "", dispatch: "merge" }]);
  assertThrows(() => launchesOf(elsewhere, SPLIT), RangeError, "Cannot plant elsewhere");
});

Deno.test("an edit of a dispatch that a launch has not, or of another dtype, leaves the launch as it is", () => {
  const merge = withEdits(FUSED, "merge", [{ find: "let weight =", replace: "let w =", dispatch: "merge" }]);
  assertEquals(content(launchesOf(merge, WHOLE)[0]), content(launchesOf(FUSED, WHOLE)[0]));
  assert(content(launchesOf(merge, SPLIT)[0]) !== content(launchesOf(FUSED, SPLIT)[0]));
  const f16 = withEdits(FUSED, "f16", [{ find: "no such text", replace: "", when: { cache: "f16" } }]);
  assertEquals(content(launchesOf(f16, WHOLE)[0]), content(launchesOf(FUSED, WHOLE)[0]));
});

Deno.test("the race of rank 256 hides at rank 512: there the barrier is kept", () => {
  const race = FAULTS.find(({ name }) => name === "race_at_rank_256")!;
  for (const { kernel } of mutantsOf(race)) {
    const c = casesOf({ kernel, fault: race })[0];
    const shaders = launchesOf(kernel, c)[0].dispatches.map(({ shader }) => shader);
    assert(shaders.some((shader) => shader.includes("if (R != 256u) { workgroupBarrier(); }")), kernelName(kernel));
  }
});

Deno.test("a fault of the attend kernel inside mla needs one of that kernel", () => {
  const fault: Fault = {
    name: "x",
    bugClass: "plan",
    what: "",
    like: "",
    edits: { "mla/fused": "in its attend" },
    cases: {},
  };
  assertThrows(() => mutantsOf(fault), RangeError, "Cannot plant x in mla/fused: it has no edits for attend/fused");
});
