/**
 * Pipelines that are kept for the cases to come.
 *
 * @module
 */

/**
 * Pipelines by shader text: those last used, so that thousands of random cases do not fill the memory. On llvmpipe one
 * is one to two megabytes.
 */
export class PipelineCache<P = GPUComputePipeline> extends Map<string, P> {
  readonly #most: number;

  /** @param most Pipelines that are kept: twice as many as all kernels and checks on one model have. */
  constructor(most: number = 128) {
    super();
    this.#most = most;
  }

  /** The pipeline of `shader`, from now on the one last used. */
  override get(shader: string): P | undefined {
    const pipeline = super.get(shader);
    if (pipeline !== undefined) {
      super.delete(shader);
      super.set(shader, pipeline);
    }
    return pipeline;
  }

  /** Keeps a pipeline; where there are too many, the one that was not used for longest goes. A plan may hold it yet. */
  override set(shader: string, pipeline: P): this {
    super.delete(shader);
    super.set(shader, pipeline);
    if (this.size > this.#most) super.delete(this.keys().next().value!);
    return this;
  }
}
