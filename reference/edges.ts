/**
 * Which boundaries an element sits on, in words: kernels go wrong first where a page, a tile, a sequence or a chunk
 * begins or ends. A word is given only where it tells something: a single sequence is neither the first nor the last.
 *
 * @module
 */
import type { ElementPlace } from "./compare.ts";
import { tokensSeen } from "./rows.ts";
import type { AppendShape, AttendShape, ProjectShape } from "./shapes.ts";

/**
 * The edges of each coordinate of a check's elements. What stands in parentheses is detail: `partial last page (4 of 16
 * tokens)` and `partial last page (7 of 16 tokens)` are the same edge.
 */
export interface EdgeWords {
  /** Edges of a sequence. */
  sequence?(sequence: number): string[];
  /** Edges of a head. */
  head?(head: number): string[];
  /** Edges of a token of a sequence, its own and those of what it attends to. */
  token?(sequence: number, token: number): string[];
  /** Edges of an element of a row. */
  dim?(dim: number): string[];
  /** Edges of a physical page. */
  page?(page: number): string[];
}

/** Tokens that kernels take at a time, whatever the pages; the largest that fits is named. */
const TILES = [64, 32, 16];

/** Elements that kernels read at once. */
const CHUNK = 8;

/** All edges of one element. */
export function edgesAt(words: EdgeWords, { sequence, head, token, dim, page }: ElementPlace): string[] {
  return [
    ...words.sequence?.(sequence) ?? [],
    ...head === undefined ? [] : words.head?.(head) ?? [],
    ...words.token?.(sequence, token) ?? [],
    ...dim === undefined ? [] : words.dim?.(dim) ?? [],
    ...words.page?.(page) ?? [],
  ];
}

/** Edges of rows of an attention, `width` elements each. */
export function attendEdges(shape: AttendShape, width: number): EdgeWords {
  const { q, kv, page, H } = shape;
  const isMixed = q.some((tokens) => tokens > 1);
  return {
    sequence: sequenceWords(shape),
    head: endWords("head", H),
    token: (b, i) => {
      const single = q[b] === 1 && isMixed ? ["only new token of its sequence, beside longer ones"] : [];
      const ends = q[b] === 1 ? [] : [
        ...i === 0 ? [kv[b] > q[b] ? "first row of a chunk" : "first token of a prompt"] : [],
        ...i === q[b] - 1 ? ["newest token"] : [],
      ];
      return [...single, ...ends, ...countWords(tokensSeen(shape, b, i), page)];
    },
    dim: chunkWords(width),
    page: pageZero,
  };
}

/** Edges of elements of a cache after an `append`; tokens are those of the cache. */
export function appendEdges(shape: AppendShape): EdgeWords {
  const { q, kv, page, R, Dr } = shape;
  return {
    sequence: sequenceWords(shape),
    token: (b, t) => {
      if (b < 0) return ["page that nobody owns"];
      if (t >= kv[b]) return ["slot past the end of its sequence"];
      const first = kv[b] - q[b];
      return [
        ...t < first ? ["token of an earlier call"] : [],
        ...t === first && q[b] > 1 ? ["first new token"] : [],
        ...t === kv[b] - 1 && q[b] > 0 ? ["newest token"] : [],
        ...page > 1 && t % page === 0 ? ["first token of a page"] : [],
        ...page > 1 && t % page === page - 1 ? ["last token of a page"] : [],
      ];
    },
    dim: (d) => {
      if (Dr === 0) return chunkWords(R)(d);
      return d < R ? [...chunkWords(R)(d), "latent"] : [...d === R ? ["first rope dim"] : [], "rope key"];
    },
    page: pageZero,
  };
}

/** Edges of rows of a `project`, whose tokens are those of the whole batch. */
export function projectEdges({ tokens, H, R, Dv, part }: ProjectShape): EdgeWords {
  return {
    head: endWords("head", H),
    token: (_, t) => {
      const tile = TILES.find((tile) => tokens > tile && (t % tile === 0 || t % tile === tile - 1));
      const last = TILES.find((tile) => tokens > tile && tokens % tile > 0 && t >= tokens - tokens % tile);
      return [
        ...endWords("token", tokens)(t),
        ...tile === undefined
          ? []
          : [t % tile === 0 ? `first row of a tile of ${tile}` : `last row of a tile of ${tile}`],
        ...last === undefined ? [] : [`partial last tile of ${last} (${tokens % last} tokens)`],
      ];
    },
    dim: chunkWords(part === "q" ? R : Dv),
  };
}

/** Where the last of `n` tokens stands: in its page, and in tiles of the sizes that kernels take. */
function countWords(n: number, page: number): string[] {
  if (n === 0) return ["attends to no token"];
  if (n === 1) return ["attends to a single token"];
  return [...pageWords(n, page), ...tileWords(n, page)];
}

function pageWords(n: number, page: number): string[] {
  const rest = n % page;
  if (page === 1) return [];
  if (rest === 0) return ["last token of a page"];
  if (rest === 1) return ["first token of a page"];
  if (rest === page - 1) return ["one token short of a full page"];
  return [`partial last page (${rest} of ${page} tokens)`];
}

function tileWords(n: number, page: number): string[] {
  const tiles = TILES.filter((tile) => tile !== page);
  const edge = tiles.find((tile) => [0, 1, tile - 1].includes(n % tile));
  if (edge !== undefined && n >= edge - 1) {
    const rest = n % edge;
    return [
      rest === 0
        ? `a multiple of ${edge} tokens`
        : `one token ${rest === 1 ? "past" : "short of"} a multiple of ${edge}`,
    ];
  }
  const partial = tiles.find((tile) => n > tile);
  return partial === undefined ? [] : [`partial last tile of ${partial} (${n % partial} tokens)`];
}

function sequenceWords({ B, q, kv }: Pick<AttendShape, "B" | "q" | "kv">): (sequence: number) => string[] {
  const only = (tokens: number) => kv.indexOf(tokens) === kv.lastIndexOf(tokens);
  const [shortest, longest] = [Math.min(...kv), Math.max(...kv)];
  return (b) =>
    b < 0 ? [] : [
      ...endWords("sequence", B)(b),
      ...kv[b] === 0 ? ["empty sequence"] : kv[b] === 1 ? ["single-token sequence"] : [],
      ...b > 0 && kv[b - 1] === 0
        ? ["after an empty sequence"]
        : b > 0 && q[b - 1] === 0
        ? ["after a sequence without new tokens"]
        : [],
      ...shortest < longest && kv[b] === longest && only(longest) ? ["longest sequence"] : [],
      ...0 < shortest && shortest < longest && kv[b] === shortest && only(shortest) ? ["shortest sequence"] : [],
    ];
}

/** `first …` and `last …` of several. */
function endWords(what: string, count: number): (value: number) => string[] {
  return (value) => count < 2 ? [] : value === 0 ? [`first ${what}`] : value === count - 1 ? [`last ${what}`] : [];
}

function chunkWords(width: number): (dim: number) => string[] {
  return (dim) => {
    if (width <= CHUNK) return endWords("dim", width)(dim);
    if (dim === 0 || dim === width - 1) return endWords("dim", width)(dim);
    return dim < CHUNK ? [`first ${CHUNK} dims`] : dim >= width - CHUNK ? [`last ${CHUNK} dims`] : [];
  };
}

/** Padding and cleared memory read as page 0. */
function pageZero(page: number): string[] {
  return page === 0 ? ["physical page 0"] : [];
}
