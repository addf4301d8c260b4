/**
 * Planning apart from running: a plan holds the pipelines, buffers and bind groups of a launch, and is brought to other
 * lengths by writing, never by reading anything back (the counterpart of replaying a captured graph).
 *
 * @module
 */
import type { BufferSpec, DispatchSpec, Launch } from "../kernels/kernel.ts";
import { type BufferRange, createGuarded, writeStorage } from "./buffers.ts";
import type { Gpu } from "./device.ts";
import { guarded } from "./guard.ts";
import { compile, groupsOf } from "./pipelines.ts";

/** A launch whose pipelines and buffers exist. */
export interface PreparedLaunch {
  /** What runs now: the launch that was prepared, or that of the last {@linkcode PreparedLaunch.update}. */
  readonly launch: Launch;
  /** Host time spent creating pipelines, ms; undefined when all were cached. What ran meanwhile is not in it. */
  readonly compileMs?: number;
  /** Host time spent on pipelines, buffers and their contents together, ms. */
  readonly prepareMs: number;
  /** Buffers by name; they may be larger than the launch needs. */
  readonly buffers: ReadonlyMap<string, BufferRange>;
  /** Binds the launch to its buffers, with `replaced` ones in place of those of the same name. It follows updates. */
  bind(replaced?: ReadonlyMap<string, BufferRange>): BoundLaunch;
  /** Why {@linkcode PreparedLaunch.update} refuses `launch`, in one line; undefined when it takes it. */
  misfit(launch: Launch): string | undefined;
  /**
   * Takes up a launch of other lengths: writes its `plan` buffers and uniforms and takes its workgroup counts. Nothing
   * is created, compiled or read back; what was submitted before is not affected. The dispatches may be some of those
   * that were prepared, in their order.
   *
   * @throws {RangeError} If it needs another shader, or a larger buffer than was planned; the plan is then unchanged.
   */
  update(launch: Launch): void;
  /** Frees what was created here; inputs handed in stay. */
  destroy(): void;
}

/** A launch ready to be encoded. */
export interface BoundLaunch {
  /** Encodes all dispatches, in order, into `pass`. */
  encode(pass: GPUComputePassEncoder): void;
}

/** What {@linkcode prepare} takes beside the launch. */
export interface PrepareOptions {
  /**
   * Launches that the plan will take up later: it gets room for their buffers, and their dispatches too where they have
   * others (a longer sequence that is split needs a merge). Give those of the shortest and of the longest lengths.
   * @default {[]}
   */
  readonly also?: readonly Launch[];
}

/** A dispatch that was prepared, and how it is dispatched now. */
interface Slot {
  readonly spec: DispatchSpec;
  readonly pipeline: GPUComputePipeline;
  readonly uniform?: GPUBuffer;
  /** Workgroups; undefined where the launch of now has no such dispatch. */
  workgroups?: readonly [number, number, number];
}

/**
 * Creates pipelines and buffers of `launch`. `inputs` gives the buffers whose role is `input` or `inout`; the others
 * are created.
 *
 * @throws {ExecutionError} If a shader does not compile or the device has no room.
 */
export async function prepare(
  gpu: Gpu,
  launch: Launch,
  inputs: ReadonlyMap<string, BufferRange>,
  { also = [] }: PrepareOptions = {},
): Promise<PreparedLaunch> {
  const dispatches = unionOf([launch, ...also]);
  const specs = largestOf([launch, ...also]);
  const { pipelines, compileMs } = await pipelinesOf(gpu, { ...launch, buffers: specs, dispatches });
  const own: GPUBuffer[] = [];
  const buffers = new Map(inputs);
  // What a call does it does before it is awaited; then it is the turn of others that are in flight.
  const before = performance.now();
  const creating = guarded(gpu, "run", (): Slot[] => {
    for (const spec of specs) {
      if (buffers.has(spec.name)) continue;
      const range = createBuffer(gpu, spec);
      own.push(range.buffer);
      buffers.set(spec.name, range);
    }
    return dispatches.map((spec, i) => {
      const uniform = createUniform(gpu, spec);
      if (uniform) own.push(uniform);
      return { spec, pipeline: pipelines[i], uniform };
    });
  });
  const createMs = performance.now() - before;
  const slots = await creating.catch((error) => {
    for (const buffer of own) buffer.destroy();
    throw error;
  });
  let current = launch;
  const take = (next: Launch, matched: readonly Slot[]) => {
    for (const slot of slots) slot.workgroups = undefined;
    next.dispatches.forEach(({ params, workgroups }, i) => {
      const { uniform } = matched[i];
      if (uniform) gpu.device.queue.writeBuffer(uniform, 0, uniformBytes(params));
      matched[i].workgroups = workgroups;
    });
    for (const { name, contents } of next.buffers) {
      if (contents) writeStorage(gpu, buffers.get(name)!, bytesOf(contents));
    }
    current = next;
  };
  const beforeTaking = performance.now();
  take(launch, matchSlots(slots, launch) as Slot[]);
  const takeMs = performance.now() - beforeTaking;
  return {
    get launch() {
      return current;
    },
    ...(compileMs === undefined ? {} : { compileMs }),
    prepareMs: (compileMs ?? 0) + createMs + takeMs,
    buffers,
    bind: (replaced = new Map()) => bindSlots(gpu, slots, (name) => replaced.get(name) ?? buffers.get(name)),
    misfit(next) {
      const matched = matchSlots(slots, next);
      return typeof matched === "string" ? matched : excessOf(buffers, next);
    },
    update(next) {
      const matched = matchSlots(slots, next);
      const reason = typeof matched === "string" ? matched : excessOf(buffers, next);
      if (typeof matched === "string" || reason) throw new RangeError(`Cannot update the plan: ${reason}`);
      take(next, matched);
    },
    destroy() {
      for (const buffer of own) buffer.destroy();
    },
  };
}

/** The buffers of all `launches`, each as large as the largest; contents are those of the first that has the buffer. */
function largestOf(launches: readonly Launch[]): BufferSpec[] {
  const specs = new Map<string, BufferSpec>();
  for (const spec of launches.flatMap(({ buffers }) => buffers)) {
    const known = specs.get(spec.name);
    specs.set(spec.name, { ...(known ?? spec), bytes: Math.max(spec.bytes, known?.bytes ?? 0) });
  }
  return [...specs.values()];
}

/**
 * Dispatches of which those of every launch are some, in their order: what one has and none before it had is put
 * between.
 */
function unionOf(launches: readonly Launch[]): DispatchSpec[] {
  const union: DispatchSpec[] = [];
  for (const { dispatches } of launches) {
    let from = 0;
    for (const dispatch of dispatches) {
      const found = union.findIndex((spec, i) => i >= from && isSameProgram(spec, dispatch));
      if (found < 0) union.splice(from, 0, dispatch);
      from = (found < 0 ? from : found) + 1;
    }
  }
  return union;
}

async function pipelinesOf(gpu: Gpu, { dispatches, buffers }: Launch) {
  const pipelines: GPUComputePipeline[] = [];
  let compileMs: number | undefined;
  for (const dispatch of dispatches) {
    const cached = gpu.pipelines.get(dispatch.shader);
    const before = performance.now();
    const compiling = cached ?? compile(gpu, dispatch, buffers);
    if (!cached) compileMs = (compileMs ?? 0) + performance.now() - before;
    pipelines.push(await compiling);
  }
  return { pipelines, compileMs };
}

function createBuffer(gpu: Gpu, { name, bytes, role }: BufferSpec): BufferRange {
  if (role === "input" || role === "inout") {
    throw new TypeError(`Cannot bind "${name}": no data was given for this ${role} buffer`);
  }
  return createGuarded(gpu, name, bytes);
}

function bindSlots(
  gpu: Gpu,
  slots: readonly Slot[],
  find: (name: string) => BufferRange | undefined,
): BoundLaunch {
  const groups = slots.map(({ spec, pipeline, uniform }) =>
    groupsOf(spec).map((names, group) =>
      gpu.device.createBindGroup({
        label: spec.label,
        layout: pipeline.getBindGroupLayout(group),
        entries: bindEntries(gpu, spec, names, { uniform, find }),
      })
    )
  );
  return {
    encode(pass) {
      slots.forEach(({ pipeline, workgroups }, i) => {
        if (!workgroups) return;
        pass.setPipeline(pipeline);
        groups[i].forEach((group, index) => pass.setBindGroup(index, group));
        pass.dispatchWorkgroups(...workgroups);
      });
    },
  };
}

/** What a dispatch is bound to. */
interface Bound {
  readonly uniform?: GPUBuffer;
  /** The buffer of a name. */
  readonly find: (name: string) => BufferRange | undefined;
}

function bindEntries(
  gpu: Gpu,
  dispatch: DispatchSpec,
  names: readonly (string | undefined)[],
  { uniform, find }: Bound,
): GPUBindGroupEntry[] {
  return names.flatMap((name, binding): GPUBindGroupEntry[] => {
    if (name === undefined) return uniform ? [{ binding, resource: { buffer: uniform } }] : [];
    const range = find(name);
    if (!range) {
      throw new TypeError(`Cannot bind "${name}" of dispatch "${dispatch.label}": the launch has no such buffer`);
    }
    const size = boundBytes(gpu, dispatch, range);
    return [{ binding, resource: { buffer: range.buffer, offset: range.offset, size } }];
  });
}

/**
 * Bytes of a binding. A shader that does not ask for the length of an array cannot tell that the band behind it is
 * bound as well: WebGPU moves what is past the end of a binding to its last element, or drops it, and either hides
 * there; this way a write past the end is found in the band, and a read sees poison.
 */
function boundBytes({ traits }: Gpu, { shader }: DispatchSpec, { size, band = 0 }: BufferRange): number {
  const isWide = !shader.includes("arrayLength") && size + band <= traits.limits.maxStorageBufferBindingSize;
  return isWide ? size + band : size;
}

/** The slot of each dispatch: the next one in order with the same shader and bindings; or why there is none. */
function matchSlots(slots: readonly Slot[], { dispatches }: Launch): Slot[] | string {
  const matched: Slot[] = [];
  let from = 0;
  for (const dispatch of dispatches) {
    const found = slots.findIndex(({ spec }, i) => i >= from && isSameProgram(spec, dispatch));
    if (found < 0) {
      const planned = slots.map(({ spec }) => spec.label).join(", ") || "none";
      return `dispatch "${dispatch.label}" has another shader or other bindings than those planned, ${planned}`;
    }
    from = found + 1;
    matched.push(slots[found]);
  }
  return matched;
}

function isSameProgram(a: DispatchSpec, b: DispatchSpec): boolean {
  return a.shader === b.shader && a.params.length === b.params.length && sameNames(a.bindings, b.bindings) &&
    sameNames(a.cacheBindings ?? [], b.cacheBindings ?? []);
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, i) => name === b[i]);
}

/** Which buffer of a launch was not planned, or not as large. */
function excessOf(buffers: ReadonlyMap<string, BufferRange>, { buffers: needed }: Launch): string | undefined {
  for (const { name, bytes } of needed) {
    const planned = buffers.get(name);
    if (!planned) return `buffer "${name}" was not planned`;
    if (!(bytes <= planned.size)) return `buffer "${name}" needs ${bytes} bytes, planned are ${planned.size}`;
  }
  return undefined;
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function uniformBytes(params: DispatchSpec["params"]): ArrayBuffer {
  const bytes = new DataView(new ArrayBuffer(Math.ceil(params.length / 4) * 16));
  params.forEach(([, type, value], i) =>
    type === "f32" ? bytes.setFloat32(4 * i, value, true) : bytes.setUint32(4 * i, value, true)
  );
  return bytes.buffer;
}

/** A uniform buffer, not yet written; undefined where the shader has none. */
function createUniform(gpu: Gpu, { label, params }: DispatchSpec): GPUBuffer | undefined {
  if (params.length === 0) return undefined;
  const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
  return gpu.device.createBuffer({ label: `${label} params`, size: uniformBytes(params).byteLength, usage });
}
