/**
 * Tunings that were measured to be faster than what kernels choose by themselves, by device and class of shapes.
 * `deno task tune` measures them, `deno task tune --keep` puts them into `tuning_table.json`.
 *
 * @module
 */
import type { AttendShape } from "../reference/shapes.ts";
import {
  type AdapterIdentity,
  type AttendKernel,
  type DeviceTraits,
  kernelName,
  TUNABLES,
  type Tuning,
} from "./kernel.ts";
import { type ClassedShape, isInClass, type ShapeClass } from "./shape_class.ts";
import stored from "./tuning_table.json" with { type: "json" };
import type { TunedValues } from "./tunings.ts";

/** A tuning of one kernel for one class of shapes on one kind of device. */
export interface TuningEntry {
  /** Name of the kernel. */
  readonly kernel: string;
  /** The device: every member that is given must fit, of `description` a part. */
  readonly device: Partial<AdapterIdentity>;
  /** The shapes. */
  readonly shapes: ShapeClass;
  /** The values, measured together. */
  readonly tuning: TunedValues;
  /** Measurement behind them. */
  readonly source: string;
}

/** The project's table; the first entry that fits counts. A kernel of which there is none chooses by its own rule. */
export const TUNING_TABLE: readonly TuningEntry[] = stored as readonly TuningEntry[];

/** The entry for `shape` on `device`; undefined where nothing was measured. */
export function tunedFor(
  kernel: string,
  shape: ClassedShape,
  device: DeviceTraits | undefined,
  table: readonly TuningEntry[] = TUNING_TABLE,
): TuningEntry | undefined {
  const adapter = device?.adapter;
  if (!adapter) return undefined;
  return table.find((entry) => entry.kernel === kernel && isOn(entry, adapter) && isInClass(entry.shapes, shape));
}

function isOn({ device }: TuningEntry, adapter: AdapterIdentity): boolean {
  const { vendor = adapter.vendor, architecture = adapter.architecture, description = "" } = device;
  return vendor === adapter.vendor && architecture === adapter.architecture &&
    adapter.description.includes(description);
}

/** What a kernel is asked, and where. */
export interface TuningRequest {
  /** Shape. */
  readonly shape: AttendShape;
  /** Parameters that were asked for. */
  readonly asked: Tuning;
  /** Device. */
  readonly device: DeviceTraits;
}

/**
 * The entry that {@linkcode withTable} uses: none where `rows`, `tile` or `threads` are asked for, because values were
 * measured together, and none that the kernel refuses for the shape, so that the table never costs a shape its kernel.
 */
export function usedEntry(
  kernel: AttendKernel,
  { shape, asked, device }: TuningRequest,
  table: readonly TuningEntry[] = TUNING_TABLE,
): TuningEntry | undefined {
  if (TUNABLES.some((name) => asked[name] !== undefined)) return undefined;
  const entry = tunedFor(kernelName(kernel), shape, device, table);
  return entry && kernel.refuses(shape, { ...entry.tuning, ...asked }, device) === undefined ? entry : undefined;
}

/** `kernel` with the values of the table where none are asked for. */
export function withTable(kernel: AttendKernel, table: readonly TuningEntry[] = TUNING_TABLE): AttendKernel {
  return {
    ...kernel,
    launch(shape, layout, asked, device) {
      const entry = usedEntry(kernel, { shape, asked, device }, table);
      return kernel.launch(shape, layout, { ...entry?.tuning, ...asked }, device);
    },
  };
}
