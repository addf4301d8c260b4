/**
 * Inputs and checks of `project`.
 *
 * @module
 */
import { checkProject } from "../reference/acceptance.ts";
import { emulatedProjectFlops, emulateProject } from "../reference/emulate_project.ts";
import { type Emulation, LEAST_DRAWS, planEmulation, referenceRows } from "../reference/emulation.ts";
import { makeProjectInputs, type ProjectInputs } from "../reference/model_inputs.ts";
import { type ProjectReference, projectReference } from "../reference/project.ts";
import { projectOutput } from "../reference/referenced_outputs.ts";
import { sampleProjectRows } from "../reference/rows.ts";
import { blindProject } from "../reference/trivial.ts";
import type { ProjectCase } from "../suites/case.ts";
import type { CaseInputs, MakerOptions } from "./case_inputs.ts";
import { bytesOf, floats, toleranceChecks } from "./inputs_buffers.ts";

/** Inputs of a case of `project`, and its reference. */
export function projectCase(c: ProjectCase, { referenceBudgetFlops }: MakerOptions): CaseInputs {
  const { shape } = c;
  const [input, output] = shape.part === "q" ? ["q_nope", "q_latent"] : ["latent", "out"];
  const inputs = makeProjectInputs(shape, c.input, c.seed);
  const rows = sampleProjectRows(shape, referenceBudgetFlops, c.seed);
  const reference = projectReference(inputs, rows);
  const emulation = emulateSome(inputs, reference);
  const allRows = shape.tokens * shape.H;
  return {
    state: new Map(),
    coverage: allRows === 0 ? 1 : rows.length / allRows,
    calls: [{
      work: { operation: "project", shape },
      source: { operation: "project", inputs },
      buffers: new Map([[input, bytesOf(inputs.x)], ["kv_b_proj", inputs.kvB]]),
      layout: { pages: 0, tableWidth: 0 },
      blind: blindProject(inputs, reference, emulation),
      check(results, tolerance) {
        const rows = allRows + (shape.part === "v" ? shape.padding * shape.H : 0);
        const out = floats(results, output, rows * (shape.part === "q" ? shape.R : shape.Dv));
        return [...checkProject(inputs, reference, out, emulation), ...toleranceChecks(tolerance, { out }, reference)];
      },
      outputs: (results) => [projectOutput(shape, reference, floats(results, output))],
    }],
  };
}

/** What honest kernels err by in some of the reference's rows. */
function emulateSome(inputs: ProjectInputs, reference: ProjectReference): Emulation {
  const seen = new Int32Array(reference.rows.length).fill(1);
  const { entries, variants } = planEmulation({ seen }, () => emulatedProjectFlops(inputs.shape), LEAST_DRAWS);
  return emulateProject(inputs, referenceRows(reference, entries), variants);
}
