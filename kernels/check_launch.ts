/**
 * Finds the mistakes in the description of a launch that would otherwise show as wrong numbers, or as an error far from
 * their cause: kernels may come from modules that nobody type-checked.
 *
 * @module
 */
import { checkDeclarations } from "./check_shader.ts";
import { type BufferSpec, type DispatchSpec, type Kernel, kernelName, type Launch, type Operation } from "./kernel.ts";

/** Names of the buffers of an operation (`BufferSpec` has their shapes). */
interface Contract {
  readonly inputs: readonly string[];
  /** Changed in place. */
  readonly inPlace: readonly string[];
  readonly outputs: readonly string[];
}

const CACHE = ["cache", "ckv_cache", "kpe_cache"] as const;
const LSE = ["lse", "lse2"] as const;

const CONTRACTS: Readonly<Record<Operation, Contract>> = {
  attend: {
    inputs: ["q_latent", "q_pe", ...CACHE, "page_table", "kv_len", "cu_seqlen"],
    inPlace: [],
    outputs: ["out", ...LSE],
  },
  append: {
    inputs: ["compressed_kv", "kpe", "cu_seqlen", "cu_num_pages", "cache_loc", "input_pos"],
    inPlace: CACHE,
    outputs: [],
  },
  project: { inputs: ["q_nope", "latent", "kv_b_proj"], inPlace: [], outputs: ["q_latent", "out"] },
  prefill: {
    inputs: ["q_nope", "q_pe", "kv_b_proj", ...CACHE, "page_table", "kv_len", "cu_seqlen"],
    inPlace: [],
    outputs: ["out", ...LSE],
  },
  mla: {
    inputs: ["q_nope", "q_pe", "compressed_kv", "kpe", "kv_b_proj", "cu_num_pages", "cache_loc"],
    inPlace: CACHE,
    outputs: ["out", ...LSE],
  },
};

const ROLES: readonly string[] = ["input", "inout", "output", "scratch", "plan"] satisfies BufferSpec["role"][];

/**
 * Demands that `launch` is a description of how `kernel` is launched: members of the right form, buffers by the names
 * of the contract in the role that they have there, dispatches that agree with their shaders (`check_shader.ts`),
 * features that the shaders use among those that the kernel requires.
 *
 * @throws {TypeError} If it is not; the message has one line.
 */
export function requireLaunch(kernel: Pick<Kernel, "operation" | "variant" | "requires">, launch: Launch): void {
  const fault = faultOf(kernel, launch);
  if (fault !== undefined) throw new TypeError(`Cannot launch ${kernelName(kernel)}: ${fault}`);
}

function faultOf({ operation, requires }: Parameters<typeof requireLaunch>[0], launch: Launch): string | undefined {
  const { buffers, dispatches } = (launch ?? {}) as Partial<Launch>;
  if (!Array.isArray(buffers)) return "launch() gives no array of buffers";
  if (!Array.isArray(dispatches)) return "launch() gives no array of dispatches";
  const names = new Set<string>();
  for (const buffer of buffers as readonly BufferSpec[]) {
    const fault = bufferFault(buffer, operation);
    if (fault !== undefined) return fault;
    if (names.has(buffer.name)) return `two buffers have the name "${buffer.name}"`;
    names.add(buffer.name);
  }
  for (const dispatch of dispatches as readonly DispatchSpec[]) {
    const fault = dispatchFault(dispatch, names) ?? checkDeclarations(dispatch, requires);
    if (fault !== undefined) return `dispatch "${dispatch.label}" ${fault}`;
  }
}

function bufferFault(buffer: BufferSpec, operation: Operation): string | undefined {
  const { name, bytes, role, contents } = buffer;
  if (typeof name !== "string" || name === "") return `a buffer has the name ${JSON.stringify(name)}`;
  if (!(Number.isSafeInteger(bytes) && bytes >= 4 && bytes % 4 === 0)) {
    return `buffer "${name}" has ${bytes} bytes: a positive multiple of 4 is needed`;
  }
  if (!ROLES.includes(role)) {
    return `buffer "${name}" has the role ${JSON.stringify(role)}: there are ${ROLES.join(", ")}`;
  }
  if ((contents !== undefined) && role !== "plan") return `buffer "${name}" has contents: only those of role plan do`;
  const { inputs, inPlace, outputs } = CONTRACTS[operation];
  const given = [...inputs, ...inPlace];
  if ((role === "scratch" || role === "plan") && given.includes(name)) {
    return `buffer "${name}" has role ${role}, ${operation} is given a buffer of that name`;
  }
  if ((role === "input" || role === "inout") && !given.includes(name)) {
    return `buffer "${name}" has role ${role}, ${operation} is given ${given.join(", ")}`;
  }
  if (role === "output" && !outputs.includes(name)) {
    return `buffer "${name}" has role output, ${operation} gives ${[...inPlace, ...outputs].join(", ")}`;
  }
  if (role === "inout" && !inPlace.includes(name)) {
    return `buffer "${name}" has role inout, ${operation} may only read it`;
  }
  if (role === "input" && inPlace.includes(name)) {
    return `buffer "${name}" has role input, ${operation} changes it: role inout`;
  }
}

function dispatchFault(dispatch: DispatchSpec, names: ReadonlySet<string>): string | undefined {
  const { shader, params, bindings, cacheBindings = [], workgroups, workgroupSize, workgroupBytes } = dispatch;
  if (typeof shader !== "string") return "has no text in shader";
  if (!Array.isArray(params)) return "gives no array of params";
  if (!Array.isArray(bindings)) return "gives no array of bindings";
  const unknown = [...bindings, ...cacheBindings].find((name) => !names.has(name));
  if (unknown !== undefined) return `binds "${unknown}", the buffers of the launch are ${[...names].join(", ")}`;
  if (!(Array.isArray(workgroups) && workgroups.length === 3 && workgroups.every(isCount))) {
    return `has the workgroups ${inWords(workgroups)}: three whole numbers are needed`;
  }
  if (!(isCount(workgroupSize) && workgroupSize > 0)) return `has the workgroupSize ${inWords(workgroupSize)}`;
  if (!isCount(workgroupBytes)) return `has the workgroupBytes ${inWords(workgroupBytes)}: 0 where it shares no memory`;
  for (const [name, type, value] of params) {
    if (!(type === "f32" ? typeof value === "number" : isCount(value) && value < 2 ** 32)) {
      return `gives the parameter ${name} as ${inWords(value)}, no ${type}`;
    }
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function inWords(value: unknown): string {
  return Array.isArray(value) ? `[${value.map(String).join(", ")}]` : String(value);
}
