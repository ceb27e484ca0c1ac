/**
 * Claim 8: the loss function has to be fixed beforehand, everything depends on its form, and modularity is impossible.
 *
 * The first half is measured: how far the gradients are apart that different losses ask of the same trunk. The second half is tested by a
 * counterexample: one trunk, whose code knows a tensor of features and an optimizer, under heads that differ in everything: a loss by
 * gradients, targets without any loss, predictive coding, random feedback. Each is trained with the trunk learning and with the trunk frozen.
 */

import {
  backward,
  batches,
  crossEntropy,
  Generator,
  Linear,
  Module,
  mseLoss,
  noGrad,
  oneHot,
  ReLU,
  relu,
  Sequential,
  SGD,
  softmax,
  type Tensor,
  target,
  withRules,
} from '../../../src/index.ts';
import { audit } from '../../../src/inspect/audit.ts';
import { feedbackAlignment } from '../../../src/rules/feedback.ts';
import { prospectiveConfiguration } from '../../../src/rules/predictive/rule.ts';
import { oneHotTarget } from '../../../src/rules/target/outputs.ts';
import { targetPropagation } from '../../../src/rules/target/propagation.ts';
import { batchOf } from '../selective-tasks.ts';
import { accuracy, pictures, whole } from './pictures.ts';
import { cosine, doubles, type Estimate, estimate } from './statistics.ts';

const CLASSES = 10;
const BATCH = 32;
/** Features that the trunk hands up: few, so that a head cannot do without a trunk that learns. */
const FEATURES = 16;

type Seeds = Parameters<typeof backward>[0];

/** All that is known of a head: what it computes from features, what it says of an answer, and how fast it learns. */
interface Head {
  readonly lr: number;
  /** The initial weights are multiplied by this. */
  readonly scale?: number;
  forward(features: Tensor): Tensor;
  says(logits: Tensor, labels: Int32Array): Seeds;
}

type Maker = (layers: Sequential, generator: Generator) => Head;

export const HEADS = {
  'cross-entropy, gradients': (layers) => ({
    lr: 0.1,
    forward: (features) => layers.forward(features),
    says: (logits, labels) => crossEntropy(logits, labels),
  }),
  'squared error, gradients': (layers) => ({
    lr: 0.1,
    forward: (features) => layers.forward(features),
    says: (logits, labels) => mseLoss(logits, oneHot(labels, CLASSES)).mul(CLASSES / 2),
  }),
  'cross-entropy, feedback alignment': (layers, generator) => {
    const rules = feedbackAlignment({ generator });
    return {
      lr: 0.1,
      forward: (features) => withRules({ ...rules }, () => layers.forward(features)),
      says: (logits, labels) => crossEntropy(logits, labels),
    };
  },
  'targets, no loss': (layers) => {
    const rules = targetPropagation({ signal: 'sum' });
    return {
      lr: Infinity,
      scale: 0.05,
      forward: (features) => withRules(rules, () => layers.forward(features)),
      says: (logits, labels) => oneHotTarget(logits, labels, { precision: 1 / BATCH }),
    };
  },
  'predictive coding, no loss': (layers) => {
    const rules = prospectiveConfiguration({ precision: 1 / BATCH, maxSteps: 30, tolerance: 1e-2 });
    return {
      lr: 0.3,
      forward: (features) => withRules(rules, () => layers.forward(features)),
      says: (logits, labels) => target(logits, oneHot(labels, CLASSES), { precision: Infinity }),
    };
  },
} as const satisfies Record<string, Maker>;
export type HeadName = keyof typeof HEADS;

/**
 * The trunk, and all it ever does. It computes features, and its parameters move by what arrived at them: it never learns what a head is,
 * what a loss is, or by which rule it was answered.
 */
class Trunk extends Module {
  readonly layer: Linear;

  constructor(inputs: number, generator: Generator) {
    super();
    this.layer = new Linear(inputs, FEATURES, { generator });
  }

  override forward(images: Tensor): Tensor {
    return relu(this.layer.forward(images));
  }
}

export interface HeadRow {
  readonly head: HeadName;
  /** Losses among the ops of the graph. */
  readonly losses: number;
  /** Rules of the head that are no gradients. */
  readonly surrogates: number;
  /** Share of the test pictures, the trunk learning and not. */
  readonly learning: Estimate;
  readonly frozen: Estimate;
  /** learning - frozen, seed by seed. */
  readonly gain: Estimate;
}

export interface LossPair {
  readonly a: string;
  readonly b: string;
  /** Between the gradients of the trunk's weight, at the same weights, before training. */
  readonly cosine: Estimate;
}

export interface ModularityFigures {
  readonly heads: readonly HeadRow[];
  readonly losses: readonly LossPair[];
}

export interface ModularityOptions {
  readonly heads?: readonly HeadName[];
  readonly count?: number;
  readonly side?: number;
  readonly steps?: number;
  readonly seeds?: readonly number[];
}

export function modularity({
  heads = Object.keys(HEADS) as HeadName[],
  count = 2000,
  side = 14,
  steps = 600,
  seeds = [1, 2, 3, 4, 5],
}: ModularityOptions = {}): ModularityFigures {
  const [train, test] = [pictures(count, 1, side), whole(pictures(count / 2, 2, side))];
  const build = (name: HeadName, seed: number) => {
    const generator = new Generator(seed);
    const trunk = new Trunk(side * side, generator);
    const layers = new Sequential(
      new Linear(FEATURES, 32, { generator }),
      new ReLU(),
      new Linear(32, CLASSES, { generator }),
    );
    const make: Maker = HEADS[name];
    const head = make(layers, generator);
    const { scale = 1 } = head;
    noGrad(() => {
      for (const parameter of layers.parameters()) parameter.mul_(scale);
    });
    return { generator, trunk, layers, head };
  };
  const run = (name: HeadName, seed: number, frozen: boolean): number => {
    const { generator, trunk, layers, head } = build(name, seed);
    const optimizer = new SGD(
      [
        { parameters: trunk.parameters(), lr: frozen ? 0 : 0.05 },
        { parameters: layers.parameters(), lr: head.lr },
      ],
      { lr: 0.05 },
    );
    for (let step = 0; step < steps; )
      for (const places of batches(count, BATCH, { generator, dropLast: true })) {
        if (step++ === steps) break;
        const [images, labels] = batchOf(train, places);
        const logits = head.forward(trunk.forward(images));
        optimizer.zeroGrad();
        backward(head.says(logits, labels));
        optimizer.step();
      }
    return accuracy({ forward: (x) => head.forward(trunk.forward(x)) }, test.images, test.labels);
  };
  const rows = heads.map((name): HeadRow => {
    const [learning, frozen] = [false, true].map((still) => seeds.map((seed) => run(name, seed, still))) as [
      number[],
      number[],
    ];
    const { trunk, head } = build(name, 1);
    const [images, labels] = batchOf(train, [0, 1, 2, 3]);
    const { nodes } = audit(head.says(head.forward(trunk.forward(images)), labels));
    return {
      head: name,
      losses: nodes.filter(({ op }) => op !== null && /loss|entropy|squared/i.test(op)).length,
      surrogates: nodes.filter(({ surrogate }) => surrogate).length,
      learning: estimate(learning),
      frozen: estimate(frozen),
      gain: estimate(learning.map((value, i) => value - frozen[i]!)),
    };
  });
  return { heads: rows, losses: lossPairs(seeds, (seed) => build('cross-entropy, gradients', seed), train) };
}

/** What the claim calls the form of the loss. */
const LOSSES: Readonly<Record<string, (logits: Tensor, labels: Int32Array) => Seeds>> = {
  'cross-entropy': (logits, labels) => crossEntropy(logits, labels),
  'squared error': (logits, labels) => mseLoss(logits, oneHot(labels, CLASSES)),
  'squared error of softmax': (logits, labels) => mseLoss(softmax(logits, 1), oneHot(labels, CLASSES)),
  hinge: (logits, labels) => oneHotTarget(logits, labels, { precision: 1 / BATCH }),
};

function lossPairs(
  seeds: readonly number[],
  build: (seed: number) => { trunk: Trunk; head: Head },
  train: Parameters<typeof batchOf>[0],
): LossPair[] {
  const names = Object.keys(LOSSES);
  const gradients = seeds.map((seed) => {
    const { trunk, head } = build(seed);
    const [images, labels] = batchOf(
      train,
      Int32Array.from({ length: 256 }, (_, i) => i),
    );
    return names.map((name) => {
      trunk.zeroGrad();
      backward(LOSSES[name]!(head.forward(trunk.forward(images)), labels));
      return doubles(trunk.layer.weight.grad!);
    });
  });
  return names.flatMap((a, i) =>
    names.slice(i + 1).map((b, j) => ({
      a,
      b,
      cosine: estimate(gradients.map((of) => cosine(of[i]!, of[i + 1 + j]!))),
    })),
  );
}
