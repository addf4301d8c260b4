/**
 * Joins launches into one, so that an operation may be made of others.
 *
 * @module
 */
import type { BufferRole, BufferSpec, DispatchSpec, Launch } from "./kernel.ts";

/** A launch as part of a larger one. */
export interface Part {
  /** Prefix of its labels and of its own buffers: `append`. */
  readonly name: string;
  /** What it does. */
  readonly launch: Launch;
  /** Names in the whole of its inputs and outputs, by their names in the part. @default {as they are} */
  readonly rename?: Readonly<Record<string, string>>;
}

/** What {@linkcode composeLaunches} takes beside the parts. */
export interface ComposeOptions {
  /** Buffers that the whole has anyway: their bytes hold, and so does a `plan` in place of what parts call an input. */
  readonly buffers?: readonly BufferSpec[];
  /** Buffers of the whole that are results. What parts write beside them is scratch. */
  readonly outputs: readonly string[];
}

/**
 * The launch that runs `parts` in order.
 *
 * - **Buffers** An input that an earlier part writes is scratch of the whole. Scratch and plans of a part are its own:
 *   `part/name`. Of what is bound under one name the largest size holds; a cache that one part writes and another reads
 *   is `inout`.
 * - **Labels** `part/label`, or the part alone where both are equal. **Chosen** of all parts; a name that several parts
 *   use is `part.name`.
 *
 * @throws {RangeError} If a part writes what the whole or an earlier part takes as input, or an output is written by
 * none.
 */
export function composeLaunches(parts: readonly Part[], { buffers = [], outputs }: ComposeOptions): Launch {
  const specs = new Map<string, BufferSpec>(buffers.map((spec) => [spec.name, spec]));
  const dispatches: DispatchSpec[] = [];
  for (const part of parts) {
    const nameOf = namesIn(part);
    for (const spec of part.launch.buffers) {
      const name = nameOf(spec.name);
      specs.set(name, join({ ...spec, name }, specs.get(name), part.name));
    }
    dispatches.push(...part.launch.dispatches.map((dispatch) => rename(dispatch, part.name, nameOf)));
  }
  const missing = outputs.find((name) => specs.get(name)?.role !== "output");
  if (missing !== undefined) {
    throw new RangeError(`Cannot compose a launch with output "${missing}": no part writes it`);
  }
  const final = [...specs.values()].map((spec): BufferSpec => {
    const internal = spec.role === "output" && !outputs.includes(spec.name);
    return internal ? { ...spec, role: "scratch" } : spec;
  });
  return { buffers: final, dispatches, chosen: chosenOf(parts) };
}

/** Names in the whole of the buffers of a part. */
function namesIn({ name: part, launch, rename = {} }: Part): (name: string) => string {
  const names = new Map(launch.buffers.map(({ name, role }) => {
    const own = role === "scratch" || role === "plan";
    return [name, own ? `${part}/${name}` : rename[name] ?? name];
  }));
  return (name) => names.get(name) ?? name;
}

function rename(dispatch: DispatchSpec, part: string, nameOf: (name: string) => string): DispatchSpec {
  const { label, bindings, cacheBindings } = dispatch;
  return {
    ...dispatch,
    label: label === part ? part : `${part}/${label}`,
    bindings: bindings.map(nameOf),
    ...(cacheBindings ? { cacheBindings: cacheBindings.map(nameOf) } : {}),
  };
}

/** Role of a buffer that `part` uses as `next`, after earlier parts used it as `before`. */
const JOINED: Readonly<Partial<Record<BufferRole, Partial<Record<BufferRole, BufferRole>>>>> = {
  input: { input: "input", inout: "inout" },
  inout: { input: "inout", inout: "inout" },
  output: { input: "output", output: "output" },
  scratch: { input: "scratch", output: "scratch" },
  plan: { input: "plan" },
};

function join(next: BufferSpec, before: BufferSpec | undefined, part: string): BufferSpec {
  if (!before) return next;
  const role = JOINED[before.role]?.[next.role];
  if (role) return { ...before, bytes: Math.max(before.bytes, next.bytes), role };
  throw new RangeError(`Cannot compose "${part}" with "${next.name}" as ${next.role}: before it is ${before.role}`);
}

function chosenOf(parts: readonly Part[]): Record<string, number> {
  const all = parts.flatMap(({ name, launch }) =>
    Object.entries(launch.chosen).map((entry) => [name, ...entry] as const)
  );
  return Object.fromEntries(all.map(([part, key, value]) => {
    const shared = all.filter(([, other]) => other === key).length > 1;
    return [shared ? `${part}.${key}` : key, value];
  }));
}
