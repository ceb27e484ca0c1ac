/** Every method mixes with every other: two of them on one network, in both orders, learn three contexts and stay finite. */
import { describe, expect, it } from 'vitest';
import {
  Adam,
  agem,
  ContinualLearner,
  confidence,
  continualBackprop,
  derpp,
  er,
  ewc,
  Generator,
  gem,
  HatMask,
  hat,
  Linear,
  lwf,
  type Method,
  mas,
  onlineAnchors,
  packnet,
  ReLU,
  redo,
  rwalk,
  Sequential,
  shrinkPerturb,
  si,
} from '../../src/index.ts';
import { learnContext, toyContexts } from './toy-contexts.ts';

const steps = 12;
const generator = () => new Generator(1);
const methods: Readonly<Record<string, () => Method>> = {
  ewc: () => ewc({ lambda: 10 }),
  'online ewc': () => ewc({ lambda: 10, online: { gamma: 0.9 }, step: 'implicit' }),
  si: () => si({ strength: 1 }),
  mas: () => mas({ lambda: 1 }),
  rwalk: () => rwalk({ lambda: 1 }),
  'online anchors': () => onlineAnchors({ lambda: 1 }),
  lwf: () => lwf(),
  er: () => er({ generator: generator() }),
  'der++': () => derpp({ generator: generator(), alpha: 0.1, beta: 0.5, capacity: 40 }),
  gem: () => gem(),
  'a-gem': () => agem({ generator: generator() }),
  packnet: () => packnet({ steps }),
  hat: () => hat({ steps }),
  confidence: () => confidence(),
  'continual backprop': () => continualBackprop({ rate: 0.02, maturity: 4, generator: generator() }),
  redo: () => redo({ every: 5, generator: generator() }),
  'shrink and perturb': () => shrinkPerturb({ generator: generator() }),
};
const names = Object.keys(methods);

describe.each(names)('%s', (first) => {
  it.each(names.filter((name) => name !== first))('with %s', (second) => {
    const draws = new Generator(2);
    const mask = (units: number) =>
      first === 'hat' || second === 'hat' ? [new HatMask(units, { contexts: 3, generator: draws })] : [];
    const model = new Sequential(
      ...[new Linear(6, 10, { generator: draws }), new ReLU(), ...mask(10)],
      ...[new Linear(10, 8, { generator: draws }), new ReLU(), ...mask(8)],
      new Linear(8, 6, { generator: draws }),
    );
    const before = model.parameters().map((w) => w.toFloat32Array().slice());
    const learner = new ContinualLearner({
      ...{ model, optimizer: new Adam(model.parameters(), { lr: 0.02 }) },
      methods: [methods[first]!(), methods[second]!()],
    });
    for (const context of toyContexts({ contexts: 3 })) learnContext(learner, context, steps);
    const after = model.parameters().map((w) => w.toFloat32Array());
    expect(after.flatMap((w) => [...w]).every(Number.isFinite)).toBe(true);
    expect(after).not.toEqual(before);
  });
});
