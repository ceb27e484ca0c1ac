/**
 * The methods that the demonstration of selective backpropagation compares. A method says how it steps, and what it does
 * between two tasks; everything else (model, data, order, number of steps) is the same for all.
 */

import {
  Adam,
  attachRules,
  crossEntropy,
  type Generator,
  type Module,
  noGrad,
  SGD,
  softmax,
  type Tensor,
} from '../../src/index.ts';
import { SelectiveBackpropagation, type SelectiveOptions } from '../../src/rules/selective.ts';
import { anchor } from '../../src/state/anchor.ts';
import { tensor, zeros } from '../../src/tensor/create.ts';
import { batchOf, type Examples } from './selective-tasks.ts';

export interface Learner {
  /** Moves the model by the gradients that lie in it. */
  step(correct: number, total: number): void;
  /** The first task is over. */
  between(examples: Examples, generator: Generator): void;
}

export interface Method {
  readonly name: string;
  /** Strengths to choose from on the trial seed; null: nothing to choose. */
  readonly strengths: readonly number[] | null;
  learner(model: Module, strength: number): Learner;
}

const ADAM = { lr: 1e-3 };

const nothing = (): void => {};

const plain = (name: string, build: (parameters: Tensor[]) => Adam | SGD): Method => ({
  name,
  strengths: null,
  learner: (model) => {
    const optimizer = build(model.parameters());
    return { step: () => optimizer.step(), between: nothing };
  },
});

/** Selective backpropagation with gates at these places. */
const selective = (
  name: string,
  places: { edge: boolean; update: boolean },
  options: Partial<SelectiveOptions>,
): Method => ({
  name,
  // The quantile of importance at which confidence is 1/2: the lower, the more is protected.
  strengths: [0.3, 0.5, 0.7, 0.9, 0.98],
  learner: (model, quantile) => {
    const optimizer = new Adam(model.parameters(), ADAM);
    const place = places.update ? 'update' : 'none';
    const guide = new SelectiveBackpropagation(model.parameters(), {
      optimizer,
      place,
      quantile,
      ...options,
    } as SelectiveOptions);
    if (places.edge) attachRules(model, guide.rules);
    return {
      step: (correct, total) => guide.step({ correct, total }),
      between: () => guide.consolidate(),
    };
  },
});

const published = (name: string, lr: number): Method => ({
  name,
  strengths: null,
  learner: (model) => {
    const weights = model.parameters();
    const guide = new SelectiveBackpropagation(weights, { published: true, lr });
    // In the original a step is an epoch (the batch is the whole set), and K / epoch a mean of accuracies: here, by steps.
    let steps = 0;
    return { step: (correct, total) => guide.step({ correct, total, epoch: steps++ }), between: nothing };
  },
});

/** Elastic weight consolidation: an anchor at what the first task left, with lambda times the diagonal of its Fisher matrix. */
const ewc: Method = {
  name: 'EWC (implicit anchor)',
  strengths: [1, 10, 100, 1000, 10000],
  learner: (model, lambda) => {
    const optimizer = new Adam(model.parameters(), ADAM);
    return {
      step: () => optimizer.step(),
      between: (examples, generator) => {
        const fisher = diagonalFisher(model, examples, 200, generator);
        for (const parameter of model.parameters())
          anchor(parameter, { precision: noGrad(() => fisher.get(parameter)!.mul(lambda)) });
      },
    };
  },
};

/** E_x sum_c p(c | x) (d log p(c | x) / dw)^2 over `count` examples, exactly in c. */
export function diagonalFisher(
  model: Module,
  examples: Examples,
  count: number,
  generator: Generator,
): Map<Tensor, Tensor> {
  const sums = model.parameters().map((parameter) => new Float64Array(parameter.size));
  const places = generator.permutation(examples.rows.length).slice(0, count);
  for (const place of places) {
    const [image] = batchOf(examples, [place]);
    const shares = noGrad(() => softmax(model.forward(image), 1)).toFloat32Array();
    shares.forEach((share, label) => {
      if (share < 1e-4) return;
      model.zeroGrad();
      crossEntropy(model.forward(image), [label]).backward();
      model.parameters().forEach((parameter, i) => {
        const g = parameter.grad!.toFloat32Array();
        const sum = sums[i]!;
        for (let k = 0; k < g.length; k++) sum[k] = sum[k]! + (share * g[k]! * g[k]!) / count;
      });
    });
  }
  model.zeroGrad();
  return new Map(
    model
      .parameters()
      .map((parameter, i) => [
        parameter,
        sums[i]!.length === 0 ? zeros(parameter.shape) : tensor(Float32Array.from(sums[i]!), parameter.shape),
      ]),
  );
}

export const METHODS: readonly Method[] = [
  plain('backpropagation (Adam)', (parameters) => new Adam(parameters, ADAM)),
  plain('backpropagation (SGD)', (parameters) => new SGD(parameters, { lr: 0.1 })),
  published('selective, as published', 0.1),
  selective('selective, online', { edge: true, update: true }, {}),
  selective('selective, consolidated', { edge: true, update: true }, { online: false }),
  selective('selective, consolidated, update gate only', { edge: false, update: true }, { online: false }),
  selective('selective, consolidated, edge gate only', { edge: true, update: false }, { online: false }),
  ewc,
];
