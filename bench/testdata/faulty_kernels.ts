/**
 * Kernels that do what drivers do at their worst, to test that a run survives them.
 *
 * @module
 */
import { attendFused } from "../../kernels/attend_fused.ts";
import type { AttendKernel } from "../../kernels/kernel.ts";

function faulty(variant: string, fault: () => void): AttendKernel {
  return {
    ...attendFused,
    variant,
    launch(...args) {
      fault();
      return attendFused.launch(...args);
    },
  };
}

/** Takes its process down, as a crashing driver does. */
export const aborts: AttendKernel = faulty("aborts", () => Deno.kill(Deno.pid, "SIGABRT"));

/** Takes its process down a moment later, when other cases have begun. */
export const abortsLater: AttendKernel = faulty("abortsLater", () => {
  setTimeout(() => Deno.kill(Deno.pid, "SIGABRT"), 1);
});

/** Never returns. */
export const hangs: AttendKernel = faulty("hangs", () => {
  while (true);
});

/** Ends its process without a word. */
export const exits: AttendKernel = faulty("exits", () => Deno.exit(0));

/** Throws. */
export const throws: AttendKernel = faulty("throws", () => {
  throw new Error("planted");
});

/** Does not compile. */
export const miscompiles: AttendKernel = {
  ...attendFused,
  variant: "miscompiles",
  launch(...args) {
    const launch = attendFused.launch(...args);
    const [first, ...rest] = launch.dispatches;
    return {
      ...launch,
      dispatches: [{ ...first, shader: first.shader.replace("workgroupBarrier", "workgroupBarier") }, ...rest],
    };
  },
};

/** Writes nothing. */
export const idles: AttendKernel = {
  ...attendFused,
  variant: "idles",
  launch(...args) {
    const launch = attendFused.launch(...args);
    return { ...launch, dispatches: [] };
  },
};

/** Writes nothing, and with one head does worse. */
function worseInSmall(variant: string, fault: () => void): AttendKernel {
  return {
    ...idles,
    variant,
    launch(...args) {
      if (args[0].H === 1) fault();
      return idles.launch(...args);
    },
  };
}

/** Writes nothing; with one head it takes its process down. */
export const abortsInSmall: AttendKernel = worseInSmall("abortsInSmall", () => Deno.kill(Deno.pid, "SIGABRT"));

/** Writes nothing; with one head it never returns. */
export const hangsInSmall: AttendKernel = worseInSmall("hangsInSmall", () => {
  while (true);
});

/** Works on poisoned memory, then writes something else. */
export const fickle: AttendKernel = {
  ...attendFused,
  variant: "fickle",
  launch(...args) {
    const launch = attendFused.launch(...args);
    const [first, ...rest] = launch.dispatches;
    const shader = first.shader.replace(
      "if (index >= P.count) { return; }",
      `if (index >= P.count) { return; }
  if (index == 0u && bitcast<u32>(out[0].x) != 0x7fc07e01u && out[0].x != 3e4) { out[0].x += 1.0; return; }`,
    );
    return { ...launch, dispatches: [{ ...first, shader }, ...rest] };
  },
};

/** May write its queries. */
export const scribbles: AttendKernel = {
  ...attendFused,
  variant: "scribbles",
  launch(...args) {
    const launch = attendFused.launch(...args);
    const [first, ...rest] = launch.dispatches;
    const shader = first.shader.replace("var<storage, read> q_latent", "var<storage, read_write> q_latent");
    return { ...launch, dispatches: [{ ...first, shader }, ...rest] };
  },
};
