/** Rules that send errors, or labels, down through weights of their own: the feedback alignment family. */

import {
  argmax,
  attachRules,
  type BackwardOptions,
  backward,
  crossEntropy,
  errorAt,
  type Generator,
  Linear,
  type Module,
  noGrad,
  oneHot,
  ReLU,
  type Rules,
  Sequential,
  SGD,
  Tanh,
  type Tensor,
} from '../../../../src/index.ts';
import { directFeedbackAlignment, directRandomTargetProjection } from '../../../../src/rules/direct-feedback.ts';
import { feedbackAlignment, kolenPollack, signSymmetric } from '../../../../src/rules/feedback.ts';
import type { Configuration, Trainer } from '../configuration.ts';

const LAYERS = [784, 256, 128, 10] as const;
const CLASSES = 10;
const MOMENTUM = 0.9;

/** How a member of the family learns. */
export interface FeedbackRecipe {
  readonly lr: number;
  readonly weightDecay?: number;
  readonly activation: () => Module;
  /** Rules for these weights; and parameters of the rules that are trained with the weights. */
  readonly rules: (generator: Generator, weights: readonly Tensor[]) => { rules: Rules; mirrors?: readonly Tensor[] };
  /** What backward is told beside the loss. */
  readonly told?: (logits: Tensor, labels: Int32Array) => BackwardOptions;
}

/** An MLP whose linear layers learn by the rules, trained by SGD with momentum at a fixed rate. */
export function makeFeedbackTrainer(layers: readonly number[], recipe: FeedbackRecipe, generator: Generator): Trainer {
  const { lr, weightDecay = 0, activation, told = () => ({}) } = recipe;
  const linears = layers.slice(1).map((width, layer) => new Linear(layers[layer] as number, width, { generator }));
  const weights = linears.map(({ weight }) => weight);
  const model = new Sequential(
    ...linears.flatMap((linear, layer) => (layer === 0 ? [linear] : [activation(), linear])),
  );
  const { rules, mirrors = [] } = recipe.rules(generator, weights);
  attachRules(model, rules);
  const optimizer = new SGD([...model.parameters(), ...mirrors], { lr, momentum: MOMENTUM, weightDecay });
  const learn = (images: Tensor, labels: Int32Array): { logits: Tensor; loss: Tensor } => {
    const logits = model.forward(images);
    const loss = crossEntropy(logits, labels);
    optimizer.zeroGrad();
    backward(loss, told(logits, labels));
    return { logits, loss };
  };
  return {
    step(images, labels) {
      const { logits } = learn(images, labels);
      optimizer.step();
      const guesses = noGrad(() => argmax(logits, 1)).data;
      return labels.reduce((right, label, i) => right + (guesses[i] === label ? 1 : 0), 0);
    },
    predict: (images) => Int32Array.from(noGrad(() => argmax(model.forward(images), 1)).data),
    // Without momentum, which mixes in the past.
    updateAndBackpropUpdate(images, labels) {
      const downhill = (): Tensor[] => weights.map(({ grad }) => noGrad(() => (grad as Tensor).mul(-lr)));
      const { loss } = learn(images, labels);
      const updates = downhill();
      optimizer.zeroGrad();
      backward(loss, { rules: false });
      const plain = downhill();
      optimizer.zeroGrad();
      return updates.map((update, layer) => ({
        layer: `layer ${layer + 1}`,
        update,
        backprop: plain[layer] as Tensor,
      }));
    },
  };
}

const relu = (): Module => new ReLU();
/** For rules with fixed random feedback: at the same rates ReLU networks came out one to three points lower on MNIST. */
const tanh = (): Module => new Tanh();

const RECIPES: readonly (Pick<Configuration, 'name' | 'about' | 'epochs'> & { readonly recipe: FeedbackRecipe })[] = [
  {
    name: 'feedback-alignment',
    about: 'Backpropagation with fixed random matrices in the place of the transposed weights (tanh network).',
    epochs: 8,
    recipe: { lr: 0.05, activation: tanh, rules: (generator) => ({ rules: feedbackAlignment({ generator }) }) },
  },
  {
    name: 'sign-symmetric',
    about: 'Backpropagation with the signs of the weights in the place of the weights, all of one size.',
    epochs: 4,
    recipe: { lr: 0.05, activation: relu, rules: () => ({ rules: signSymmetric({ variant: 'uniform' }) }) },
  },
  {
    name: 'kolen-pollack',
    about: 'Feedback alignment whose random matrices get the same updates and the same decay as the weights.',
    epochs: 4,
    recipe: {
      lr: 0.02,
      weightDecay: 1e-4,
      activation: relu,
      rules(generator, weights) {
        const rules = kolenPollack({ generator });
        // Nobody asks what lies below the first layer.
        return { rules, mirrors: weights.slice(1).map((weight) => rules.linear.feedbackOf(weight)) };
      },
    },
  },
  {
    name: 'direct-feedback-alignment',
    about: 'Every hidden layer gets the error at the output through a fixed random matrix of its own (tanh network).',
    epochs: 6,
    recipe: {
      lr: 0.1,
      activation: tanh,
      rules: (generator) => ({ rules: directFeedbackAlignment({ generator }) }),
      told: (logits) => ({ broadcast: { error: errorAt(logits) } }),
    },
  },
  {
    name: 'drtp',
    about:
      'Every hidden layer gets the label, and no error, through a fixed random matrix (direct random target projection).',
    epochs: 6,
    recipe: {
      lr: 0.02,
      activation: tanh,
      rules: (generator) => ({ rules: directRandomTargetProjection({ generator }) }),
      told: (_, labels) => ({ broadcast: { label: oneHot(labels, CLASSES).div(labels.length) } }),
    },
  },
];

export const feedback: readonly Configuration[] = RECIPES.map(({ recipe, ...about }) => ({
  ...about,
  layers: LAYERS,
  batch: 64,
  make: (_, generator) => makeFeedbackTrainer(LAYERS, recipe, generator),
}));
