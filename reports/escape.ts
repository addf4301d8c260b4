/**
 * How text becomes part of each format but HTML (`html_escape.ts`). Names, messages and paths come from outside: a
 * compiler's message holds colours and line breaks, a kernel's name whatever its author likes.
 *
 * @module
 */

/** One line without control characters and terminal sequences; white space becomes single spaces. */
export function oneLine(text: string): string {
  return withoutControls(text).replaceAll(/\s+/g, " ").trim();
}

/** Several lines without control characters and terminal sequences; tabs and line feeds stay. */
export function plainText(text: string): string {
  return withoutControls(text.replaceAll(/\r\n?/g, "\n"));
}

/**
 * Text of an XML element or of a quoted attribute. Line breaks and tabs are written as references, because a parser
 * makes spaces of those in an attribute; what XML 1.0 cannot hold in any form becomes U+FFFD.
 */
export function xml(text: string): string {
  return text.replaceAll(
    // Without the surrogates that do not come in pairs, which `u` shows as such.
    // deno-lint-ignore no-control-regex
    /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Surrogate}/gu,
    "\ufffd",
  ).replaceAll(/[&<>"'\t\n\r]/g, (character) => `&#${character.charCodeAt(0)};`);
}

/**
 * One field of CSV by RFC 4180. Text that a spreadsheet would take for a formula gets an apostrophe in front; numbers
 * stay numbers, minus sign included.
 */
export function csvField(value: string | number): string {
  if (typeof value === "number") return String(value);
  const inert = /^[=+\-@\t\r\n]/.test(value.trimStart()) || /^[\t\r\n]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(inert) ? `"${inert.replaceAll('"', '""')}"` : inert;
}

/** Text of Markdown, also in a table: one line in which nothing is markup, HTML included. */
export function markdownText(text: string): string {
  return oneLine(text)
    .replaceAll(/[\\`*_{}[\]|~$#]/g, "\\$&")
    .replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/**
 * A code span of a Markdown table: longer fences than any run of backticks inside, and `|` escaped, which GitHub's
 * tables want even there.
 */
export function markdownCode(text: string): string {
  const line = oneLine(text).replaceAll("|", "\\|");
  const longest = Math.max(0, ...(line.match(/`+/g) ?? []).map((run) => run.length));
  const fence = "`".repeat(longest + 1);
  const pad = /^`|`$/.test(line) || line === "" ? " " : "";
  return fence + pad + line + pad + fence;
}

/** Message of a GitHub workflow command. */
export function workflowData(text: string): string {
  return text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
}

/** Property of a GitHub workflow command. */
export function workflowProperty(text: string): string {
  return workflowData(text).replaceAll(":", "%3A").replaceAll(",", "%2C");
}

function withoutControls(text: string): string {
  // Sequences of a terminal first (CSI, then OSC), since their tails are printable.
  // deno-lint-ignore no-control-regex
  return text.replaceAll(/\u001b\[[0-?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)/g, "")
    // deno-lint-ignore no-control-regex
    .replaceAll(/[\u0000-\u0008\u000b-\u000c\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, "");
}
