/**
 * The only two ways in which text enters the HTML report: {@linkcode html} for markup and {@linkcode scriptJson} for
 * data. Both escape; there is no way to insert text unescaped except markup that one of them made.
 *
 * @module
 */

/** Text that is markup already, made by {@linkcode html} or {@linkcode trusted}. */
export class Markup {
  /** The markup. */
  readonly text: string;
  /** Wraps `text` as it is. */
  constructor(text: string) {
    this.text = text;
  }
  /** The markup. */
  toString(): string {
    return this.text;
  }
}

/** What may stand in a `${…}` of {@linkcode html}: nothing, text to escape, markup, or a list of these. */
export type Insertable = Markup | string | number | boolean | null | undefined | readonly Insertable[];

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** `text` for an element's content or a quoted attribute. Control characters, which HTML forbids, become U+FFFD. */
export function escapeHtml(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\0-\x08\x0b\x0c\x0e-\x1f\x7f]/g, "\ufffd").replace(/[&<>"']/g, (c) => ENTITIES[c]);
}

/**
 * Tagged template whose values are escaped. `false`, `null` and `undefined` insert nothing; arrays insert their items.
 * Attributes must be written in quotes; URLs must be built by the caller (`javascript:` is not an HTML matter).
 *
 * @example A hostile name stays text
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(html`<b>${"<i>"}</b>`.text, "<b>&lt;i&gt;</b>");
 * ```
 */
export function html(strings: TemplateStringsArray, ...values: readonly Insertable[]): Markup {
  return new Markup(strings.reduce((text, part, i) => text + insert(values[i - 1]) + part));
}

/** Marks constant text of this project (its own CSS and scripts) as markup. Never for data. */
export function trusted(text: string): Markup {
  return new Markup(text);
}

function insert(value: Insertable): string {
  if (value === null || value === undefined || typeof value === "boolean") return "";
  if (value instanceof Markup) return value.text;
  if (typeof value === "object") return value.map(insert).join("");
  return escapeHtml(String(value));
}

/**
 * JSON of `data` for `<script type="application/json">`: `<`, `>` and `&` are written as escapes so that no end tag,
 * comment or entity can begin, and U+2028 and U+2029 for readers that take JSON for JavaScript.
 */
export function scriptJson(data: unknown): Markup {
  const escape = (c: string) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0");
  return new Markup(JSON.stringify(data).replace(/[<>&\u2028\u2029]/g, escape));
}
