/**
 * What of a team kernel's text, as it is compiled, is left out for each of its stages.
 *
 * @module
 */
import type { Edit } from "../../kernels/mutants/fault.ts";
import { editDispatches, labelled } from "../../kernels/mutants/launch_edits.ts";
import { endOfLabel } from "../../kernels/mutants/plant.ts";

/** A stage, and how it is left out. */
export interface Stage {
  /** Its name. */
  readonly name: string;
  /** Edits of a launch. */
  readonly edits: readonly Edit[];
}

/** One product of a score in f32 and in f16: the value, of queries and keys the element. */
const SCORE = /([sh])_(\d+) = (?:dot4\(\1_\2, q_\d+, k_(\d+)\)|fma\(q_\d+, k_(\d+), \1_\2\));/g;
/** One product of the sums. */
const VALUE = /(?:o|sums)_(\d+) = fma\((?:vec4\()?weight\)?, k_\d+, (?:o|sums)_\1\);/g;

/**
 * In place of products each value is an element of a key, another one for each row, and in the first row the sum of one
 * of each chunk: keys are still read, and what lanes exchange are not constants, of which compilers know the sum.
 */
const SCORES = edit((shader) => {
  const sizes = sizesOf(shader);
  const chunk = sizes.isHalf ? 4 : 2;
  const seen = new Set<string>();
  return shader.replaceAll(SCORE, (_, name, value, wide, half) => {
    const row = Math.floor(Number(value) / sizes.TILE);
    const element = sizes.isHalf ? row % 4 : Math.floor(row / 4) % 2;
    if (Number(wide ?? half) % chunk !== element || (row > 0 && seen.has(value))) return "";
    seen.add(value);
    return `${name}_${value} += k_${wide ?? half}${sizes.isHalf ? "" : `.${"xyzw"[row % 4]}`};`;
  });
});

/** Of each row's product the first element is left, which keeps its weights. */
const VALUES = edit((shader) => {
  const { isHalf, SLICE } = sizesOf(shader);
  return shader.replaceAll(VALUE, (line, element) => Number(element) % (SLICE * (isHalf ? 4 : 2)) === 0 ? line : "");
});

const LANES = edit((shader) =>
  shader
    .replaceAll(/(s_\d+) \+= subgroupShuffleXor\((s_\d+), [^;]+;/g, "$1 += $2;")
    .replaceAll(/kept \+ subgroupShuffleXor\(given, [^;]+;/g, "kept + given;")
    .replaceAll(/halves\(subgroupShuffleXor\(word_of\((h_\d+)\), LANE_OF\[FIRST_HALF\]\)\)/g, "$1")
);

const SOFTMAX: readonly Edit[] = [
  { find: "if (subgroupAny(score > reference + SLACK)) {", replace: "if (P.count == 0u) {", dispatch: "attend" },
  { find: "exp(score - reference)", replace: "score", dispatch: "attend" },
];

/** Of all tokens the first page is read, which the caches next to the multiprocessors keep. */
const MEMORY: Edit = { find: /page_table\[sequence [^\]]*\]/g, replace: "page_table[0u]", dispatch: "attend" };

const TOUCHES = edit((shader) => shader.replace(/touched = touch_tile\(reach, [^;]*;/, ""));

/** All of the loop but reading is left out. */
const ARITHMETIC = [SCORES, LANES, ...SOFTMAX, VALUES];

const MERGE: Edit = {
  launch: (launch) => ({
    ...launch,
    dispatches: launch.dispatches.filter((dispatch) => endOfLabel(dispatch) !== "merge"),
  }),
};

/** The stages of the team kernels. */
export const STAGES: readonly Stage[] = [
  { name: "scores", edits: [SCORES] },
  { name: "sums over lanes", edits: [LANES] },
  { name: "softmax", edits: SOFTMAX },
  { name: "P·V", edits: [VALUES] },
  { name: "scores and P·V", edits: [SCORES, VALUES] },
  { name: "all but reading", edits: ARITHMETIC },
  { name: "memory", edits: [MEMORY] },
  { name: "touching", edits: [TOUCHES] },
  { name: "merge", edits: [MERGE] },
];

interface Sizes {
  readonly isHalf: boolean;
  readonly TILE: number;
  readonly SLICE: number;
}

function sizesOf(shader: string): Sizes {
  const constant = (name: string) => Number(new RegExp(`^const ${name} = (\\d+)u;`, "m").exec(shader)![1]);
  return { isHalf: shader.startsWith("enable f16"), TILE: constant("TILE"), SLICE: constant("SLICE") };
}

/** An edit of the text of the attention pass that depends on its sizes, or has nothing to do in some. */
function edit(change: (shader: string) => string): Edit {
  return editDispatches(
    labelled("attend", "attend_split"),
    (dispatch) => ({ ...dispatch, shader: change(dispatch.shader) }),
  );
}
