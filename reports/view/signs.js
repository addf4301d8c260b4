// @ts-check
/**
 * The sign in front of each outcome: with the word beside it, colour is never the only carrier.
 *
 * @module
 */

/** Sign by outcome. @type {Readonly<Record<string, string>>} */
export const SIGNS = {
  measured: "✓",
  verified: "✓",
  unstable: "~",
  invalid: "!",
  incorrect: "✗",
  failed: "✗",
  skipped: "–",
  blind: "◌",
};
