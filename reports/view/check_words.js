// @ts-check
/**
 * What each check means, in words. Checks come and go with the kernels; one that is not known here is shown by its name.
 *
 * @module
 */

/** What is compared or done, by the name of the check. @type {Readonly<Record<string, string>>} */
const WORDS = {
  out: "the output, element by element, against the f64 reference",
  lse: "the log-sum-exp of each row against the f64 reference",
  lse2: "the log-sum-exp of each row, in base 2, against the f64 reference",
  q_latent: "the absorbed queries against the f64 reference",
  cache: "every bit of the cache: the tokens that were appended, and all that had to stay",
  unsampled: "rows without a reference: written, and finite",
  padding: "rows past the last token: exactly zero",
  poison: "unused memory holds large numbers instead of NaN: the same bits",
  repeat: "the same launch once more: the same bits",
  guards: "the bands around every buffer are untouched",
  inputs_unchanged: "the inputs hold the bytes they held before",
  batch_permuted: "the sequences in another order: each one's result is the same",
  pages_permuted: "the cache under other page numbers: the same result",
  alone: "a sequence without its neighbours: the same result",
  splits: "other numbers of splits: within the bounds",
  padded: "wider tables and padding appended: the same result",
  staggered: "threads of a workgroup late by turns: the same result",
  recorded_out: "the output against one that was recorded of another system",
  recorded_cosine: "the output's direction against one that was recorded of another system",
  tolerance_out: "the output within another system's tolerance, which the case asked for",
  tolerance_lse: "the log-sum-exp within another system's tolerance, which the case asked for",
};

/**
 * The name of a check without the call of a flow that it belongs to: `call2_out` → `out`.
 * @param {string} name
 * @returns {string}
 */
export function checkKind(name) {
  return name.replace(/^call\d+_/, "");
}

/**
 * What a check does, in words; of one that is not known, nothing.
 * @param {string} name
 * @returns {string}
 */
export function checkWords(name) {
  const kind = checkKind(name);
  const call = /^call(\d+)_/.exec(name)?.[1];
  const words = Object.hasOwn(WORDS, kind)
    ? WORDS[kind]
    : kind.endsWith("_unchanged")
    ? `${kind.slice(0, -"_unchanged".length)} holds the bytes it held before`
    : "";
  return call && words ? `after call ${call}: ${words}` : words;
}
