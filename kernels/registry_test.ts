import { assertEquals, assertThrows } from "@std/assert";
import { kernelName } from "./kernel.ts";
import { findKernel, KERNELS } from "./registry.ts";

Deno.test("findKernel() takes operation/variant, and the variant where it is unique", () => {
  for (const kernel of KERNELS) assertEquals(findKernel(kernelName(kernel)), kernel);
  assertEquals(findKernel("tiled"), findKernel("project/tiled"));
  assertEquals(findKernel("combined").operation, "append");
});

Deno.test("findKernel() lists the choices", () => {
  for (const name of ["onlien", "append/fused", "", "attend", "fused"]) {
    assertThrows(
      () => findKernel(name),
      RangeError,
      `Cannot select kernel "${name}": attend has unfused, fused, fused_subgroup, fused_f16, fused_matrix; append has combined`,
    );
  }
});
