/**
 * Saved in the middle of a context and brought back into objects that were made anew, a run goes on with the same bits, whatever
 * method it has.
 */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import '../../src/ops/methods.ts';
import { ewc } from '../../src/continual/anchoring/ewc.ts';
import { mas } from '../../src/continual/anchoring/mas.ts';
import { onlineAnchors } from '../../src/continual/anchoring/online.ts';
import { rwalk } from '../../src/continual/anchoring/rwalk.ts';
import { si } from '../../src/continual/anchoring/si.ts';
import { confidence } from '../../src/continual/confidence.ts';
import { ContinualLearner } from '../../src/continual/learner.ts';
import { hat } from '../../src/continual/masks/hat.ts';
import { HatMask } from '../../src/continual/masks/hat-mask.ts';
import { packnet } from '../../src/continual/masks/packnet.ts';
import type { Method } from '../../src/continual/method.ts';
import { continualBackprop, redo, shrinkPerturb } from '../../src/continual/plasticity-methods.ts';
import { agem } from '../../src/continual/replay/agem.ts';
import { der, derpp } from '../../src/continual/replay/der.ts';
import { er } from '../../src/continual/replay/er.ts';
import { gem } from '../../src/continual/replay/gem.ts';
import { lwf } from '../../src/continual/replay/lwf.ts';
import type { Context } from '../../src/data/scenarios.ts';
import { formatCheckpoint, restoreCheckpoint } from '../../src/io/checkpoint.ts';
import { ReLU } from '../../src/nn/activation.ts';
import { Sequential } from '../../src/nn/container.ts';
import { Dropout } from '../../src/nn/dropout.ts';
import { Linear } from '../../src/nn/linear.ts';
import { Adam } from '../../src/optim/adam.ts';
import { SGD } from '../../src/optim/sgd.ts';
import { Generator } from '../../src/random/generator.ts';
import { learnContext, learnSteps, toyContexts } from './toy-contexts.ts';

/** Steps of a context, and how many of the second come before it is saved. */
const [steps, half] = [12, 8];
const size = 5;

interface Setup {
  readonly methods: (draws: () => Generator) => readonly Method[];
  readonly kind?: 'task' | 'domain';
  readonly masks?: boolean;
  readonly sgd?: boolean;
  /** Whether nobody calls `begin` and `end`. */
  readonly stream?: boolean;
  /** Whether all that it remembers travels with the model. */
  readonly carried?: boolean;
}

/** Everything new, with weights and streams of random numbers that depend on the seed. */
function setup({ methods: make, kind = 'domain', masks = false, sgd = false }: Setup, seed: number) {
  const generator = new Generator(seed);
  const outputs = kind === 'task' ? 6 : 2;
  const mask = () => (masks ? [new HatMask(8, { contexts: 3, generator })] : []);
  const model = new Sequential(
    ...[new Linear(size, 8, { generator }), new ReLU(), ...mask(), new Dropout(0.1, { generator: generator.fork() })],
    ...[new Linear(8, 8, { generator }), new ReLU(), ...mask(), new Linear(8, outputs, { generator })],
  );
  const optimizer = sgd
    ? new SGD(model.parameters(), { lr: 0.05, momentum: 0.9 })
    : new Adam(model.parameters(), { lr: 0.02 });
  const methods = make(() => generator.fork());
  const learner = new ContinualLearner({ model, optimizer, methods });
  return { model, optimizer, methods, learner };
}
type Run = ReturnType<typeof setup>;

const contextsOf = ({ kind = 'domain' }: Setup): Context[] =>
  toyContexts({ contexts: 3, kind, size, examples: 40, seed: 7 });

const save = ({ model, optimizer, learner }: Run): Uint8Array =>
  formatCheckpoint({ model, optimizer, algorithm: { learner } });

const fingerprint = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

const restore = (bytes: Uint8Array, { model, optimizer, learner }: Run): void =>
  void restoreCheckpoint(bytes, { model, optimizer, algorithm: { learner } });

/** Weights, answers, and all that is remembered. */
const all = (run: Run, contexts: readonly Context[]) => ({
  weights: weightsOf(run),
  answers: contexts.map(({ test, head, index }) => [...run.learner.predict(test.inputs([0, 1, 2, 3]), head, index)]),
  state: fingerprint(save(run)),
});
const weightsOf = ({ model }: Run) => model.parameters().map((w) => [...w.toFloat32Array()]);

function firstPart(run: Run, own: Setup, [first, second]: readonly Context[]): void {
  if (own.stream) {
    learnSteps(run.learner, first!, steps, 8);
    learnSteps(run.learner, second!, half, 8);
  } else {
    learnContext(run.learner, first!, steps);
    run.learner.begin(second!);
    learnSteps(run.learner, second!, half, 8);
  }
}

/** The rest of the second context, and a third one. */
function secondPart(run: Run, own: Setup, [, second, third]: readonly Context[]): void {
  learnSteps(run.learner, second!, steps - half, 8);
  if (own.stream) return learnSteps(run.learner, third!, steps, 8);
  run.learner.end();
  learnContext(run.learner, third!, steps);
}

const anchoring = (step: 'loss' | 'explicit' | 'implicit'): Record<string, Setup> => ({
  [`ewc, ${step}`]: { methods: (draws) => [ewc({ lambda: 20, step, samples: 10, generator: draws() })] },
  [`ewc online, ${step}`]: {
    methods: (draws) => [ewc({ lambda: 20, step, online: { gamma: 0.8 }, kind: 'sampled', generator: draws() })],
  },
  [`si, ${step}`]: { methods: () => [si({ strength: 2, step })] },
  [`si of the loss alone, ${step}`]: { methods: () => [si({ strength: 2, step, path: 'loss' })] },
  [`mas, ${step}`]: { methods: (draws) => [mas({ lambda: 0.2, step, samples: 10, generator: draws() })] },
  // A stretch is under way when it is saved.
  [`rwalk, ${step}`]: { methods: () => [rwalk({ lambda: 0.5, step, every: 4 })] },
  ...Object.fromEntries(
    (['fisher', 'mas', 'si'] as const).map((importance): [string, Setup] => [
      `online anchors by ${importance}, ${step}`,
      { stream: true, methods: () => [onlineAnchors({ lambda: 2, importance, step, decay: 0.9, anchorDecay: 0.95 })] },
    ]),
  ),
});

const resets = (draws: () => Generator) =>
  continualBackprop({ rate: 0.05, maturity: 4, decay: 0.9, generator: draws() });

const setups: Record<string, Setup> = {
  'no method': { methods: () => [], carried: true },
  ...anchoring('loss'),
  ...anchoring('explicit'),
  ...anchoring('implicit'),
  'ewc, implicit, under SGD': { sgd: true, carried: true, methods: () => [ewc({ lambda: 20, step: 'implicit' })] },
  confidence: { methods: () => [confidence({ online: false, every: 4 })] },
  'confidence that follows the stream, with edges': {
    stream: true,
    methods: () => [confidence({ every: 6, edges: true, decay: 0.9, gamma: 0.5 })],
  },
  'confidence at a step of its refreshment': { methods: () => [confidence({ every: 20, gamma: 0.5, decay: 0.9 })] },
  er: { methods: (draws) => [er({ perClass: 6, batchSize: 5, generator: draws() })] },
  'er through heads of their own': {
    kind: 'task',
    methods: (draws) => [er({ perClass: 6, batchSize: 5, generator: draws() })],
  },
  'er, reservoir': {
    stream: true,
    methods: (draws) => [er({ buffer: 'reservoir', capacity: 30, batchSize: 5, generator: draws() })],
  },
  'a-gem': { methods: (draws) => [agem({ perClass: 6, batchSize: 5, generator: draws() })] },
  gem: { methods: () => [gem({ perContext: 12, margin: 0.5 })] },
  der: { methods: (draws) => [der({ capacity: 20, alpha: 0.5, batchSize: 5, generator: draws() })] },
  derpp: { methods: (draws) => [derpp({ capacity: 20, alpha: 0.5, beta: 0.5, batchSize: 5, generator: draws() })] },
  lwf: { kind: 'task', methods: () => [lwf({ temperature: 2 })] },
  packnet: { kind: 'task', methods: () => [packnet({ prune: 0.6, steps })] },
  'packnet, saved after its pruning': { kind: 'task', methods: () => [packnet({ prune: 0.6, steps, retrain: 0.5 })] },
  hat: { kind: 'task', masks: true, methods: () => [hat({ steps, smax: 50 })] },
  'continual backprop': { methods: (draws) => [resets(draws)] },
  redo: { methods: (draws) => [redo({ every: 5, threshold: 0.8, generator: draws() })] },
  'shrink and perturb': { methods: (draws) => [shrinkPerturb({ noise: 0.1, generator: draws() })] },
  'replay, anchors, resets and confidence together': {
    methods: (draws) => [
      er({ perClass: 6, batchSize: 5, generator: draws() }),
      ewc({ lambda: 20, step: 'implicit' }),
      si({ strength: 2, step: 'explicit' }),
      continualBackprop({ rate: 0.05, maturity: 4, protect: 1, generator: draws() }),
      confidence({ online: false, every: 4 }),
    ],
  },
  'online anchors whose weights are of different ages': {
    stream: true,
    methods: (draws) => [onlineAnchors({ lambda: 2, importance: 'si', decay: 0.9 }), resets(draws)],
  },
  'packnet, confidence and resets together': {
    kind: 'task',
    methods: (draws) => [packnet({ prune: 0.4, steps }), confidence({ every: 4 }), resets(draws)],
  },
};

describe('a run that was saved in the middle of its second context', () => {
  it.each(Object.entries(setups))('goes on with the same bits: %s', (_, own) => {
    const contexts = contextsOf(own);
    const undisturbed = setup(own, 1);
    firstPart(undisturbed, own, contexts);
    const bytes = save(undisturbed);
    const now = all(undisturbed, contexts);
    secondPart(undisturbed, own, contexts);

    const resumed = setup(own, 2);
    restore(bytes, resumed);
    expect(all(resumed, contexts)).toEqual(now);
    if (!own.stream) resumed.learner.resume(contexts[1]!);
    secondPart(resumed, own, contexts);
    const after = all(undisturbed, contexts);
    expect(all(resumed, contexts)).toEqual(after);

    // So the state counts: without it the run would be another.
    if (own.carried) return;
    const forgetful = setup(own, 2);
    const { model, optimizer } = forgetful;
    restoreCheckpoint(bytes, { model, optimizer }, { ignoreOthers: true });
    expect(goesOnAlike(() => secondPart(forgetful, { ...own, stream: true }, contexts), forgetful, after)).toBe(false);
  });
});

/** Whether a run comes to the same weights. Masks that do not know of any context refuse to. */
function goesOnAlike(go: () => void, run: Run, { weights }: { readonly weights: unknown }): boolean {
  try {
    go();
  } catch {
    return false;
  }
  return JSON.stringify(weightsOf(run)) === JSON.stringify(weights);
}

/** Every setup of one method, trained until it is saved. */
const alone = Object.entries(setups)
  .map(([name, own]) => ({ name, own, run: () => trained(own) }))
  .filter(({ own }) => own.methods(() => new Generator(1)).length === 1);

function trained(own: Setup): Run {
  const run = setup(own, 1);
  firstPart(run, own, contextsOf(own));
  return run;
}

describe('what does not fit', () => {
  it.each(alone)('is a sentence and changes nothing, where it is no state of such a method: $name', ({ run: make }) => {
    const run = make();
    const method = run.methods[0]!;
    const before = fingerprint(save(run));
    const { generator: _, ...lacking } = { ...(method.stateDict?.() as object), generator: null };
    const others = [undefined, {}, 3, [], { ...lacking, more: 1 }, { contexts: 3 }];
    for (const state of others)
      expect(() => method.loadStateDict?.(state as never)).toThrow(/^[a-zA-Z]+\.loadStateDict.*: .*(state|holds)/);
    expect(fingerprint(save(run))).toBe(before);
  });

  it.each(alone.filter(({ name }) => /, loss|^si|^rwalk|^packnet|^hat|^lwf/.test(name)))(
    'is a sentence and changes nothing, where the model has other sizes: $name',
    ({ own, run }) => {
      const state = run().learner.stateDict();
      const generator = new Generator(5);
      const methods = own.methods(() => generator);
      const mask = () => (own.masks ? [new HatMask(9, { contexts: 3, generator })] : []);
      const layers = [new Linear(size, 9, { generator }), new ReLU(), ...mask(), new Linear(9, 9, { generator })];
      const model = new Sequential(...layers, new ReLU(), ...mask(), new Dropout(0), new Linear(9, 6, { generator }));
      const learner = new ContinualLearner({ model, optimizer: new Adam(model.parameters()), methods });
      const shown = () => fingerprint(formatCheckpoint({ algorithm: { learner } }));
      const before = shown();
      expect(() => learner.loadStateDict(state)).toThrow(/the model as it was when the state was saved|state holds/);
      expect(shown()).toBe(before);
    },
  );

  it('is a sentence of the learner, where the methods are others', () => {
    const { learner } = setup({ methods: () => [si({ strength: 1 }), gem()] }, 1);
    const other = setup({ methods: () => [gem(), si({ strength: 1 })] }, 1);
    expect(() => other.learner.loadStateDict(learner.stateDict())).toThrow(
      'ContinualLearner.loadStateDict: the state is of a learner with the methods si, gem, this one has gem, si. Make it with the same ' +
        'methods in the same order.',
    );
    for (const wrong of [null, {}, { ...learner.stateDict(), methods: 3 }, { ...learner.stateDict(), steps: -1 }])
      expect(() => learner.loadStateDict(wrong as never)).toThrow(/^ContinualLearner\.loadStateDict: /);
    expect(() => setup({ methods: () => [] }, 1).learner.loadStateDict(learner.stateDict())).toThrow(
      /this one has none/,
    );
  });

  it('is undone in methods that had taken their states before one refused', () => {
    const own: Setup = { methods: (draws) => [si({ strength: 1 }), er({ perClass: 4, generator: draws() })] };
    const here = trained(own);
    const [one, two] = here.learner.stateDict().methods;
    const there = trained({ methods: (draws) => [si({ strength: 1 }), er({ perClass: 3, generator: draws() })] });
    const before = fingerprint(save(there));
    const state = { ...here.learner.stateDict(), methods: [one!, { ...two!, state: { buffer: 'class' } }] };
    expect(() => there.learner.loadStateDict(state)).toThrow(/er\.loadStateDict: the state holds buffer/);
    expect(fingerprint(save(there))).toBe(before);
    // A checkpoint that is refused late leaves the learner in the middle of its context, too.
    const strange = { stateDict: () => 1, loadStateDict: () => expect.unreachable() };
    const bytes = formatCheckpoint({ algorithm: { learner: here.learner, strange } });
    expect(() => restoreCheckpoint(bytes, { algorithm: { learner: there.learner, strange } })).toThrow(
      /strange cannot take/,
    );
    expect(fingerprint(save(there))).toBe(before);
    there.learner.end();
  });

  it.each([
    ['si', () => si({ strength: 1 })],
    ['packnet', () => packnet({ retrain: 0 })],
    ['hat', () => hat({ steps: 3 })],
    ['confidence', () => confidence()],
  ])('is a sentence, where the method belongs to no learner yet: %s', (name, make) => {
    const masks = name === 'hat';
    const run = trained({ kind: 'task', masks, methods: () => [make()] });
    const state = run.methods[0]!.stateDict?.();
    const method: Method = make();
    expect(() => method.loadStateDict?.(state as never)).toThrow(
      /the method belongs to no learner yet.*Make the learner with it first/,
    );
  });
});

describe('a learner that was saved in the middle of a context', () => {
  const own: Setup = { methods: () => [si({ strength: 1 })] };
  const contexts = contextsOf(own);

  it('asks for the examples of the context before it ends, and no other context begins', () => {
    const bytes = save(trained(own));
    const { learner, ...rest } = setup(own, 2);
    restore(bytes, { learner, ...rest });
    expect(() => learner.end()).toThrow(
      /context 1 was being learned when this state was saved.*Call resume\(context\)/,
    );
    expect(() => learner.begin(contexts[2]!)).toThrow(/begin: context 1 has not ended.*Call resume\(context\)/);
    expect(() => learner.resume(contexts[2]!)).toThrow(
      "this is context 2 of the kind 'domain' with the head [0, 2], and what was being learned is context 1 of the kind 'domain' with the " +
        'head [0, 2]. Give context 1 of the same scenario.',
    );
    expect(learner.stateDict().context).toEqual({ index: 1, kind: 'domain', head: [0, 2] });
    learner.resume(contexts[1]!);
    learner.end();
    expect(() => learner.resume(contexts[1]!)).toThrow(/no context is being learned/);
    learner.begin(contexts[2]!);
  });

  it('needs them from nobody, where it is that very learner', () => {
    const run = trained(own);
    const bytes = save(run);
    run.learner.end();
    restore(bytes, run);
    run.learner.end();
    expect(run.learner.stateDict().context).toBeNull();
  });

  it('goes on, if it was saved between two contexts, with the next', () => {
    const run = setup(own, 1);
    learnContext(run.learner, contexts[0]!, 3);
    const resumed = setup(own, 2);
    restore(save(run), resumed);
    for (const one of [run, resumed]) learnContext(one.learner, contexts[1]!, 3);
    expect(all(resumed, contexts)).toEqual(all(run, contexts));
  });
});

it('a model that is saved without its learner carries no masks, and is loaded without them', () => {
  const { model } = trained({ kind: 'task', methods: () => [packnet({ prune: 0.5, retrain: 0 })] });
  const other = setup({ kind: 'task', methods: () => [] }, 2).model;
  restoreCheckpoint(formatCheckpoint({ model }), { model: other });
  expect(other.stateDict()).toEqual(model.stateDict());
});
