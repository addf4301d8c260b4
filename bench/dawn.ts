/**
 * Dawn, Chrome's implementation of WebGPU, in this process: the second opinion beside Deno's own.
 *
 * @module
 */

/** How Dawn is opened. */
export interface DawnOptions {
  /** `file:` URL of the module that exports `create`. */
  readonly module: string;
  /** Toggles beside those of this project: `name` switches one on, `-name` off. */
  readonly toggles: readonly string[];
  /** `null`: compiles with every feature and runs nothing, on any machine. @default {a device's} */
  readonly backend?: "null";
}

/**
 * Toggles without which nothing can be measured or matrices and f16 are missing: spans in multiples of 65,536 ns, and
 * features that Dawn holds back.
 */
const OWN_TOGGLES = ["allow_unsafe_apis", "vulkan_enable_f16_on_nvidia", "-timestamp_quantization"] as const;

/** What `npm:webgpu` exports. */
interface DawnModule {
  create(options: string[]): GPU;
}

/** The instances of this process. One that is collected takes the process down with its next garbage collection. */
const kept: GPU[] = [];

/**
 * Loads Dawn and makes an instance. The process needs `--allow-ffi`, and may read the module.
 *
 * @throws {Error} If the module cannot be loaded: in one line.
 */
export async function createDawn({ module, toggles, backend }: DawnOptions): Promise<GPU> {
  let dawn: DawnModule;
  try {
    // The prefix is written out for tools that look for computed imports.
    dawn = await import(`file://${module.slice("file://".length)}`);
  } catch (error) {
    throw new Error(`Cannot load Dawn from ${module}: ${(error as Error).message.split("\n")[0]}`);
  }
  const gpu = dawn.create([...flagsOf([...OWN_TOGGLES, ...toggles]), ...backend ? [`backend=${backend}`] : []]);
  kept.push(gpu);
  return gpu;
}

/** Names of toggles as Dawn takes them: the last word on each counts. */
function flagsOf(toggles: readonly string[]): string[] {
  const last = new Map(toggles.map((toggle) => [toggle.replace(/^-/, ""), !toggle.startsWith("-")]));
  const named = (isOn: boolean) => [...last].filter(([, value]) => value === isOn).map(([name]) => name).join(",");
  return [["enable", named(true)], ["disable", named(false)]].filter(([, names]) => names !== "").map(([verb, names]) =>
    `${verb}-dawn-features=${names}`
  );
}
