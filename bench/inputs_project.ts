/**
 * Inputs and checks of `project`.
 *
 * @module
 */
import { checkProject } from "../reference/acceptance.ts";
import { projectOutput } from "../reference/referenced_outputs.ts";
import { sampleProjectRows } from "../reference/rows.ts";
import type { ProjectCase } from "../suites/case.ts";
import type { CaseInputs, MakerOptions } from "./case_inputs.ts";
import { bytesOf, floats, toleranceChecks } from "./inputs_buffers.ts";

/** Inputs of a case of `project`, and its reference. */
export async function projectCase(
  c: ProjectCase,
  { pool, referenceBudgetFlops }: MakerOptions,
): Promise<CaseInputs> {
  const { shape } = c;
  const [input, output] = shape.part === "q" ? ["q_nope", "q_latent"] : ["latent", "out"];
  const rows = sampleProjectRows(shape, referenceBudgetFlops, c.seed);
  const { inputs, reference, emulation, blind } = await pool.project(shape, c.input, c.seed, rows);
  const allRows = shape.tokens * shape.H;
  return {
    state: new Map(),
    coverage: allRows === 0 ? 1 : rows.length / allRows,
    calls: [{
      work: { operation: "project", shape },
      source: { operation: "project", inputs },
      buffers: new Map([[input, bytesOf(inputs.x)], ["kv_b_proj", inputs.kvB]]),
      layout: { pages: 0, tableWidth: 0 },
      blind,
      check(results, tolerance) {
        const rows = allRows + (shape.part === "v" ? shape.padding * shape.H : 0);
        const out = floats(results, output, rows * (shape.part === "q" ? shape.R : shape.Dv));
        return [...checkProject(inputs, reference, out, emulation), ...toleranceChecks(tolerance, { out }, reference)];
      },
      outputs: (results) => [projectOutput(shape, reference, floats(results, output))],
    }],
  };
}
