/**
 * How the cache of a case with seeded inputs is allocated. The shape alone tells, so what does not fit the device is
 * known before gigabytes are made for it.
 *
 * @module
 */
import type { CacheLayout } from "../kernels/kernel.ts";
import { callsOf } from "../reference/flow.ts";
import { SPARE_ENTRIES, UNOWNED_PAGES } from "../reference/paging.ts";
import { pagesOf, total } from "../reference/shapes.ts";
import type { Case } from "../suites/case.ts";

/** The layout of each call of `c`, as its inputs will have it. */
export function layoutsOf({ operation, shape }: Case): CacheLayout[] {
  if (operation === "project") return [{ pages: 0, tableWidth: 0 }];
  const entries = (kv: readonly number[]) => kv.map((tokens) => pagesOf(tokens, shape.page));
  const owned = entries(shape.kv);
  const pages = total(owned) + UNOWNED_PAGES;
  switch (operation) {
    case "attend":
    case "prefill":
      return [{ pages, tableWidth: owned.reduce((most, own) => Math.max(most, own), 1) + SPARE_ENTRIES }];
    case "append":
      return [{ pages, tableWidth: total(owned) }];
    case "mla":
      return callsOf(shape).map((call) => ({ pages, tableWidth: total(entries(call.shape.kv)) }));
    default:
      return operation satisfies never;
  }
}

/** Whether two layouts are the same. */
export function isSameLayout(a: CacheLayout, b: CacheLayout): boolean {
  return a.pages === b.pages && a.tableWidth === b.tableWidth;
}
