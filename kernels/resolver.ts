/**
 * Which kernel a runtime should take for given dimensions on a given device, and why: the counterpart of the backend
 * resolver of TensorRT-LLM pull request 12519, `resolve_backend_for_node`, with its rules on WebGPU.
 *
 * @module
 */
import { pagesOf, total } from "../reference/shapes.ts";
import type { CacheLayout, DeviceTraits, Kernel, KernelBase, Operation, Tuning } from "./kernel.ts";
import { checkLimits, missingFeature } from "./limits.ts";
import { explainForm } from "./mla_form.ts";
import { preferenceOf } from "./preferences.ts";
import { chooseProject } from "./project.ts";
import { KERNELS } from "./registry.ts";
import { TUNING_TABLE, type TuningEntry, usedEntry } from "./tuning_table.ts";
import { formatTuning, type TunedValues } from "./tunings.ts";
import type { Work } from "./work.ts";

/** What to run. */
export interface Resolution {
  /** Variant of the operation, or `reference`. */
  readonly backend: string;
  /** Form of `mla`; no other operation has one. */
  readonly form?: "absorbed" | "expanded";
  /** What the table of tunings gives the kernel here; absent: it chooses by its own rule. */
  readonly tuning?: TunedValues;
  /** Why, a line for each step: what was passed over, then what was taken. */
  readonly reasons: readonly string[];
}

/** The request that lets the resolver choose. */
export const AUTO = "auto";

/** What runs where no kernel does: f64 on the CPU. */
export const REFERENCE = "reference";

/**
 * Resolves a request for a kernel of `work.operation`.
 *
 * - Nothing requested: the safe default, as the original's `torch_mla`: `unfused`, or what stands for it in operations
 *   without one.
 * - Any request but `auto` is returned unchanged, whatever the dimensions; the reasons say whether it will be refused.
 * - `auto`: the fastest expected first ({@linkcode preferenceOf}), the first one that runs: all dimensions, dtypes,
 *   layout and lengths, features and limits of the device count, buffers for a cache without shared pages among them.
 *   Then `unfused`, then `reference`, which is also all there is without a device.
 * - Whatever is taken: where `table` has a tuning for the shape on the device, the kernel is launched with it.
 *
 * @example A device without subgroups
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { decodeShape, deviceTraits } from "./testing.ts";
 * const { backend, reasons } = resolveBackend("auto", { operation: "attend", shape: decodeShape() }, deviceTraits(0));
 * assertEquals(backend, "fused");
 * assertEquals(reasons[1], "fused_subgroup: needs the device feature subgroups");
 * ```
 */
export function resolveBackend(
  request: string | undefined,
  work: Work,
  device: DeviceTraits | undefined,
  table: readonly TuningEntry[] = TUNING_TABLE,
): Resolution {
  const resolution = resolve(request, work, device);
  const entry = device && entryOf(resolution, work, device, table);
  if (!entry) return resolution;
  const reason = `${resolution.backend}: ${formatTuning(entry.tuning)}, as measured: ${entry.source}`;
  return { ...resolution, tuning: entry.tuning, reasons: [...resolution.reasons, reason] };
}

/** The entry that the kernel, or the one by which `mla` attends, uses where nothing is asked of it. */
function entryOf(
  { backend, form }: Resolution,
  work: Work,
  device: DeviceTraits,
  table: readonly TuningEntry[],
): TuningEntry | undefined {
  const attends = work.operation === "attend" || (work.operation === "mla" && form === "absorbed");
  const kernel = KERNELS.find(({ operation, variant }) => operation === "attend" && variant === backend);
  if (!attends || kernel?.operation !== "attend") return undefined;
  return usedEntry(kernel, { shape: work.shape, asked: {}, device }, table);
}

function resolve(request: string | undefined, work: Work, device: DeviceTraits | undefined): Resolution {
  const { form, reason } = formOf(work, device);
  const formed = form ? { form } : {};
  const formReasons = reason ? [reason] : [];
  if (request !== AUTO) {
    const backend = request ?? safeDefault(work);
    const why = request === undefined ? "the default where nothing is requested" : "requested";
    const refused = refusalOf(backend, work, formed, device);
    return { backend, ...formed, reasons: [`${backend}: ${why}`, ...formReasons, ...(refused ? [refused] : [])] };
  }
  if (!device) return { backend: REFERENCE, reasons: [`${REFERENCE}: there is no device`] };
  const { order, why } = candidates(work);
  const passed: string[] = [];
  // Where the expanded form does not fit, the absorbed one is tried before anything else is.
  const forms = form === "expanded" ? [formed, { form: "absorbed" } as const] : [formed];
  for (const [i, tuning] of forms.entries()) {
    const refusals = order.map((backend) => refusalOf(backend, work, tuning, device));
    const found = refusals.indexOf(undefined);
    passed.push(...refusals.slice(0, found < 0 ? undefined : found) as string[]);
    if (found < 0) continue;
    const fits = order.length === 1 ? why : `first that runs of ${order.join(", ")}: ${why}`;
    const formLines = i === 0 ? formReasons : ["absorbed: the expanded form does not run"];
    const range = rangeOf(order[found], work);
    return {
      backend: order[found],
      ...tuning,
      reasons: [...passed, ...formLines, `${order[found]}: ${fits}`, ...range],
    };
  }
  return { backend: REFERENCE, reasons: [...passed, `${REFERENCE}: no kernel runs`] };
}

/** What of a cache's values no shape tells, and whoever runs the kernel must know. */
function rangeOf(variant: string, work: Work): string[] {
  const kernel = KERNELS.find((candidate) => candidate.operation === work.operation && candidate.variant === variant);
  const most = work.operation !== "project" && kernel?.largest?.[work.shape.cache];
  return most ? [`${variant}: takes values up to ${most} of a cache in ${work.shape.cache}`] : [];
}

function formOf(work: Work, device?: DeviceTraits): { form?: "absorbed" | "expanded"; reason?: string } {
  return work.operation === "mla" ? explainForm(work.shape, device) : {};
}

/** What needs no feature and takes the widest range of shapes. */
function safeDefault({ operation, shape }: Work): string {
  switch (operation) {
    case "attend":
    case "mla":
      return "unfused";
    case "append":
      return shape.layout ?? "combined";
    case "project":
      return "tiled";
    case "prefill":
      return "fused";
    default:
      return operation satisfies never;
  }
}

/** Variants to try, in order, and what decides the order. */
function candidates(work: Work): { readonly order: readonly string[]; readonly why: string } {
  switch (work.operation) {
    case "attend":
    case "mla": {
      const { order, what } = preferenceOf(work.shape);
      return { order, why: `the order for ${what}` };
    }
    case "append":
      return { order: [safeDefault(work)], why: "the layout of the cache" };
    case "project":
      return {
        order: [...new Set([chooseProject(work.shape), safeDefault(work)])],
        why: `the order for ${work.shape.tokens} tokens and ${work.shape.H} heads`,
      };
    case "prefill":
      return { order: [safeDefault(work)], why: "the only one" };
    default:
      return work satisfies never;
  }
}

/** Why a variant does not run, in a line that begins with its name; undefined where it does, as far as is known. */
function refusalOf(variant: string, work: Work, tuning: Tuning, device?: DeviceTraits): string | undefined {
  if (variant === REFERENCE) return undefined;
  const kernels = KERNELS.filter(({ operation }) => operation === work.operation);
  const kernel = kernels.find((candidate) => candidate.variant === variant);
  if (!kernel) {
    const names = kernels.map((candidate) => candidate.variant).join(", ");
    return `${variant}: will be refused, ${work.operation} has ${names}`;
  }
  const reason = device ? refusalOn(kernel, work, tuning, device) : "there is no device";
  return reason && `${variant}: ${reason}`;
}

function refusalOn(kernel: Kernel, work: Work, tuning: Tuning, device: DeviceTraits): string | undefined {
  const { requires, refuses, launch } = kernel as KernelBase<Operation, Work["shape"]>;
  const { shape } = work;
  return missingFeature(requires, device.features) ?? refuses(shape, tuning, device) ??
    checkLimits(launch(shape, layoutOf(work), tuning, device), device);
}

/** The smallest cache in which every sequence has pages of its own. */
function layoutOf(work: Work): CacheLayout {
  if (work.operation === "project") return { pages: 0, tableWidth: 0 };
  const { kv, page } = work.shape;
  const counts = kv.map((tokens) => pagesOf(tokens, page));
  const pages = total(counts);
  const rows = work.operation === "attend" || work.operation === "prefill";
  return { pages, tableWidth: rows ? counts.reduce((a, b) => Math.max(a, b), 1) : pages };
}
