/** Every family of rules at the edges of what a layer may be given: no samples, one of everything, views, what is not a number. */
import { describe, expect, it } from 'vitest';
import {
  attachRules,
  backward,
  Conv2d,
  compareUpdates,
  directFeedbackAlignment,
  directRandomTargetProjection,
  edgeGate,
  errorAt,
  Flatten,
  feedbackAlignment,
  full,
  Generator,
  guidedRelu,
  inboxOf,
  kolenPollack,
  Linear,
  MaxPool2d,
  type Module,
  manualSeed,
  mseLoss,
  predictiveCoding,
  prospectiveConfiguration,
  ReLU,
  type Rules,
  randn,
  Sequential,
  signSymmetric,
  springs,
  Tanh,
  type Tensor,
  target,
  targetPropagation,
  weightMirror,
  zeros,
} from '../../src/index.ts';

const families: { readonly [name: string]: () => Rules } = {
  springs: () => springs(),
  'target propagation': () => targetPropagation(),
  'target propagation, sums': () => targetPropagation({ signal: 'sum' }),
  'feedback alignment': () => feedbackAlignment({ generator: new Generator(1) }),
  'sign symmetric': () => signSymmetric(),
  'Kolen and Pollack': () => kolenPollack({ generator: new Generator(1) }),
  'weight mirror': () => weightMirror({ generator: new Generator(1) }),
  'direct feedback alignment': () => directFeedbackAlignment({ generator: new Generator(1) }),
  'direct random target projection': () => directRandomTargetProjection({ generator: new Generator(1) }),
  'predictive coding': () => predictiveCoding({ steps: 3 }),
  'fixed prediction': () => predictiveCoding({ mode: 'fixed-prediction', steps: 3 }),
  'prospective configuration': () => prospectiveConfiguration(),
  'edge gate': () => edgeGate(0.5),
  'guided relu': () => ({ relu: guidedRelu }),
};

const layers = (): Module =>
  new Sequential(new Linear(4, 5), new ReLU(), new Linear(5, 5), new Tanh(), new Linear(5, 3));
const images = (): Module =>
  new Sequential(new Conv2d(2, 3, 3, { padding: 1 }), new ReLU(), new MaxPool2d(2), new Flatten(), new Linear(12, 3));

type Numbers = readonly number[];

/** What arrives at the parameters and at the input, from a loss or from a target; steps of targets are those of a stiffness of 1. */
function arriving(rules: Rules, build: () => Module, x: Tensor, from: 'loss' | 'target'): Numbers[] {
  manualSeed(3);
  const net = build();
  attachRules(net, rules);
  const data = x.requiresGrad ? x : x.requiresGrad_();
  data.grad = null;
  const out = (net as Sequential).forward(data);
  const wanted = full(out.shape, 0.25);
  const seed = from === 'loss' ? mseLoss(out, wanted) : target(out, wanted, { precision: 0.1 });
  const broadcast = { error: errorAt(out), label: full(out.shape, 0.5) };
  backward(seed, { broadcast, ...(from === 'loss' ? { stiffness: 1 } : {}) });
  return [...net.parameters(), data].map((leaf) => Array.from(inboxOf(leaf)?.step(1).toFloat32Array() ?? []));
}

const nets = { 'linear layers': [layers, [4]], convolutions: [images, [2, 4, 4]] } as const;

describe.each(Object.entries(families))('%s', (_, rules) => {
  it.each(Object.entries(nets))('asks nothing of parameters where a batch is empty: %s', (_name, [build, sample]) => {
    for (const from of ['loss', 'target'] as const) {
      const asked = arriving(rules(), build, zeros([0, ...sample]), from);
      expect(asked.flat().every((step) => step === 0)).toBe(true);
      expect(asked.at(-1)).toEqual([]);
    }
  });

  it.each(Object.entries(nets))('says the same of a view as of a copy: %s', (_name, [build, sample]) => {
    manualSeed(5);
    const axes = [...sample, 6].map((_size, axis) => (axis + sample.length) % (sample.length + 1));
    for (const view of [
      () => randn([...sample, 6], { generator: new Generator(2) }).permute(axes),
      () => randn([1, ...sample], { generator: new Generator(2) }).expand([6, ...sample]),
    ])
      for (const from of ['loss', 'target'] as const) {
        const asked = arriving(rules(), build, view(), from);
        expect(asked).toEqual(arriving(rules(), build, view().clone(), from));
        expect(asked.flat().some((step) => step !== 0)).toBe(true);
      }
  });

  it.each(Object.entries(nets))('comes to an end where the input is not a number: %s', (_name, [build, sample]) => {
    for (const from of ['loss', 'target'] as const) {
      let said: string | Numbers[];
      try {
        said = arriving(rules(), build, full([2, ...sample], NaN), from);
      } catch (error) {
        said = String(error);
      }
      // The last layer's own bias shows it, at least; or a sentence does.
      if (typeof said === 'string') expect(said).toMatch(/NaN of values that are NaN/);
      else expect(said.at(-2)?.some(Number.isNaN)).toBe(true);
    }
  });
});

describe('compareUpdates', () => {
  it('is given parameters, not the module that has them', () => {
    const layer = new Linear(2, 1);
    const compare = () => compareUpdates(() => layer.forward(randn([1, 2])).sum(), layer as unknown as Tensor[]);
    expect(compare).toThrow(/compareUpdates: parameters are a list of leaves.*model\.namedParameters\(\)/);
  });
});
