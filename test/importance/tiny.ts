/** Small networks with given weights, and numbers out of importance. */
import { noGrad } from '../../src/autograd/modes.ts';
import type { Importance, LabelledBatch } from '../../src/importance/measure.ts';
import { Linear } from '../../src/nn/linear.ts';
import { Module } from '../../src/nn/module.ts';
import type { Generator } from '../../src/random/generator.ts';
import { tensor } from '../../src/tensor/create.ts';
import { randn } from '../../src/tensor/random.ts';
import type { NestedArray, Tensor } from '../../src/tensor/tensor.ts';
import '../../src/index.ts';

/** A linear layer of these weights [out, in], with a bias if one is given. */
export function linearOf(weight: number[][], bias?: number[]): Linear {
  const layer = new Linear(weight[0]!.length, weight.length, { bias: bias !== undefined });
  noGrad(() => {
    layer.weight.copy_(tensor(weight));
    if (bias !== undefined) layer.bias!.copy_(tensor(bias));
  });
  return layer;
}

/** A function as a model, of the tensors that it is given. */
export class Small extends Module {
  readonly w: Tensor;
  readonly #body: (x: Tensor, w: Tensor) => Tensor;

  constructor(w: Tensor, body: (x: Tensor, w: Tensor) => Tensor) {
    super();
    this.w = w;
    this.#body = body;
  }

  override forward(x: Tensor): Tensor {
    return this.#body(x, this.w);
  }
}

export const numbersIn = (importance: Importance, name: string): number[] =>
  Array.from(importance.get(name)!.toFloat32Array());
export const arrayIn = (importance: Importance, name: string): NestedArray => importance.get(name)!.toArray();

/** So many examples of so many numbers, in batches of unlike sizes. */
export function drawnBatches(
  generator: Generator,
  { count, shape, classes }: { count: number; shape: readonly number[]; classes: number },
): () => LabelledBatch[] {
  const sizes = count > 3 ? [3, count - 3] : [count];
  const batches = sizes.map((size) => ({
    x: randn([size, ...shape], { generator }),
    labels: Int32Array.from({ length: size }, () => generator.integer(classes)),
  }));
  return () => batches;
}
