/** Element types of the cache. */
export type Dtype = "f32" | "f16" | "bf16";
