/**
 * Lengths at which paged, tiled and split attention goes wrong first.
 *
 * @module
 */

/**
 * KV tiles whose edges are visited. The kernels' tiles divide these, so each of their last-tile cases (full, one over,
 * one short) is among them.
 */
export const TILES: readonly number[] = [32, 64];

/** What the edges depend on. */
export interface BoundaryOptions {
  /** Tokens per page. */
  readonly page: number;
  /** KV splits of a sequence; absent where the kernel chooses. */
  readonly splits?: number;
}

/**
 * Lengths next to every edge: 0 and 1; page·k−1, page·k and page·k+1 for k of 1 and 2; tile−1, tile and tile+1 for
 * {@linkcode TILES}; with S splits, S−1, S and S+1 (fewer tokens than splits) and S·tile−1, S·tile and S·tile+1 of the
 * largest tile (each split one full tile).
 *
 * @returns Distinct lengths, ascending.
 */
export function boundaryLengths({ page, splits }: BoundaryOptions): number[] {
  const edges = [page, 2 * page, ...TILES];
  if (splits !== undefined && splits > 1) edges.push(splits, splits * Math.max(...TILES));
  const lengths = new Set([0, 1, ...edges.flatMap((edge) => [edge - 1, edge, edge + 1])]);
  return [...lengths].sort((a, b) => a - b);
}
