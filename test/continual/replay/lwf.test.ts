/** Learning without forgetting: its loss, its gradient, and the model that it remembers. */
import { describe, expect, it } from 'vitest';
import { ContinualLearner } from '../../../src/continual/learner.ts';
import { lwf } from '../../../src/continual/replay/lwf.ts';
import type { Context, Head, ScenarioKind } from '../../../src/data/scenarios.ts';
import { formatCheckpoint, restoreCheckpoint } from '../../../src/io/checkpoint.ts';
import { Adam } from '../../../src/optim/adam.ts';
import { Generator } from '../../../src/random/generator.ts';
import { tensor } from '../../../src/tensor/create.ts';
import { batchOf, context, examples, learningOf, network, outputsOf, read, stepOf } from './toy.ts';

const draw = new Generator(8);
const inputs = Array.from({ length: 5 }, () => Array.from({ length: 4 }, () => draw.normal()));
const made = (index: number, kind: ScenarioKind, head: Head): Context =>
  context(
    index,
    examples(
      inputs,
      inputs.map((_, i) => head[0] + (i % (head[1] - head[0]))),
    ),
    head,
    kind,
  );
const rows = [0, 1, 2, 3, 4];

const softened = (row: readonly number[], [from, to]: Head, temperature: number): number[] => {
  const powers = row.slice(from, to).map((z) => Math.exp(z / temperature));
  const all = powers.reduce((sum, p) => sum + p, 0);
  return powers.map((p) => p / all);
};

/** Mean over rows of -sum p* log p. */
const distillation = (now: number[][], then: number[][], head: Head, temperature: number): number => {
  const losses = now.map((row, i) => {
    const [p, wanted] = [softened(row, head, temperature), softened(then[i]!, head, temperature)];
    return -wanted.reduce((sum, w, c) => sum + w * Math.log(p[c]!), 0);
  });
  return losses.reduce((sum, one) => sum + one, 0) / losses.length;
};

/** After these contexts ended, with another model each; then the model becomes a third. */
function ended(contexts: readonly Context[], method: ReturnType<typeof lwf>, outputs: number) {
  const model = network(outputs);
  const learning = learningOf(model);
  let then: number[][] = [];
  for (const one of contexts) {
    shift(model, 0.1);
    then = outputsOf(model, one.train.inputs(rows));
    method.end!(one, learning);
  }
  shift(model, -0.35);
  return { model, learning, then, now: () => outputsOf(model, contexts[0]!.train.inputs(rows)) };
}

function shift(model: ReturnType<typeof network>, by: number): void {
  for (const parameter of model.parameters())
    parameter
      .requiresGrad_(false)
      .add_(
        tensor(
          Array.from({ length: parameter.size }, (_, i) => by * Math.cos(i)),
          parameter.shape,
        ),
      )
      .requiresGrad_();
}

describe('learning without forgetting', () => {
  it.each([
    [
      'task',
      [
        [0, 2],
        [2, 5],
        [5, 7],
      ],
      [
        [[0, 2], 1],
        [[2, 5], 1],
      ],
    ],
    [
      'domain',
      [
        [0, 3],
        [0, 3],
        [0, 3],
      ],
      [[[0, 3], 2]],
    ],
    [
      'class',
      [
        [0, 7],
        [0, 7],
        [0, 7],
      ],
      [[[0, 7], 1]],
    ],
    [
      'class',
      [
        [0, 2],
        [0, 4],
        [0, 7],
      ],
      [[[0, 4], 1]],
    ],
  ] as [ScenarioKind, Head[], [Head, number][]][])(
    'adds as much as is published for scenarios of the kind %s, with heads %j',
    (kind, heads, terms) => {
      const contexts = heads.map((head, index) => made(index, kind, head));
      const method = lwf({ temperature: 3 });
      const { learning, then, now } = ended(contexts.slice(0, 2), method, 7);
      const batch = batchOf(contexts[2]!, rows);
      const added = terms.reduce((sum, [head, weight]) => sum + weight * distillation(now(), then, head, 3), 0);
      expect(method.loss!(tensor(0.5), stepOf(learning, batch)).item()).toBeCloseTo(0.5 + added, 5);
    },
  );

  it('counts the mean over the old heads by the weight, where one is given', () => {
    const contexts = (
      [
        [0, 2],
        [2, 5],
        [5, 7],
      ] as Head[]
    ).map((head, index) => made(index, 'task', head));
    const method = lwf({ weight: 3 });
    const { learning, then, now } = ended(contexts.slice(0, 2), method, 7);
    const mean = (distillation(now(), then, [0, 2], 2) + distillation(now(), then, [2, 5], 2)) / 2;
    const step = stepOf(learning, batchOf(contexts[2]!, rows));
    expect(method.loss!(tensor(0), step).item()).toBeCloseTo(3 * mean, 5);
  });

  it('has the gradient (p - p*) / (T n) at the outputs: no T^2', () => {
    const contexts = [made(0, 'domain', [1, 4]), made(1, 'domain', [1, 4])] as const;
    const method = lwf({ temperature: 2.5 });
    const { learning, then, now } = ended(contexts.slice(0, 1), method, 5);
    const output = tensor(now()).requiresGrad_();
    const step = { ...stepOf(learning, batchOf(contexts[1], rows)), output };
    method.loss!(tensor(0), step).backward();
    const expected = now().flatMap((row, n) => {
      const [p, wanted] = [softened(row, [1, 4], 2.5), softened(then[n]!, [1, 4], 2.5)];
      return [0, ...p.map((x, c) => (x - wanted[c]!) / (2.5 * rows.length)), 0];
    });
    const found = read(output.grad);
    expected.forEach((x, i) => void expect(found[i]).toBeCloseTo(x, 6));
    expect(Math.max(...found)).toBeGreaterThan(1e-3);
  });

  it('adds nothing in the first context, nor in a context that is the only one that ended', () => {
    const [first, second] = [made(0, 'domain', [0, 2]), made(1, 'domain', [0, 2])] as const;
    const method = lwf();
    const learning = learningOf(network(2));
    const loss = tensor(1);
    expect(method.loss!(loss, stepOf(learning, batchOf(first, rows)))).toBe(loss);
    method.end!(first, learning);
    expect(method.loss!(loss, stepOf(learning, batchOf(first, rows)))).toBe(loss);
    expect(method.loss!(loss, stepOf(learning, batchOf(second, rows)))).not.toBe(loss);
  });

  it('remembers a model that training does not change, and that changes nothing in training but by its loss', () => {
    const contexts = [made(0, 'domain', [0, 2]), made(1, 'domain', [0, 2])] as const;
    const train = (methods: ReturnType<typeof lwf>[]) => {
      const model = network(2);
      const learner = new ContinualLearner({ model, optimizer: new Adam(model.parameters(), { lr: 0.05 }), methods });
      const learn = (one: Context) => {
        learner.begin(one);
        for (let i = 0; i < 10; i++) learner.learn(batchOf(one, rows));
        learner.end();
      };
      learn(contexts[0]);
      const atEnd = outputsOf(model, contexts[0].train.inputs(rows));
      const [remembered] = methods.map((method) => method.stateDict().model!);
      learner.begin(contexts[1]);
      for (let i = 0; i < 10; i++) learner.learn(batchOf(contexts[1], rows));
      return { model, atEnd, remembered };
    };
    const { model, atEnd, remembered } = train([lwf()]);
    const x = contexts[0].train.inputs(rows);
    expect(model.forwardWith(remembered!, x).toArray()).toEqual(atEnd);
    expect(outputsOf(model, x)).not.toEqual(atEnd);
    // With next to no weight it is plain training.
    const [faint, plain] = [train([lwf({ weight: 1e-30 })]), train([])];
    expect(outputsOf(faint.model, x)).toEqual(outputsOf(plain.model, x));
  });

  it('goes on from a checkpoint as it would have gone on', () => {
    const contexts = (
      [
        [0, 2],
        [2, 4],
        [4, 6],
      ] as Head[]
    ).map((head, index) => made(index, 'task', head));
    const [method, other] = [lwf(), lwf()];
    const { learning } = ended(contexts.slice(0, 2), method, 6);
    restoreCheckpoint(formatCheckpoint({ algorithm: method }), { algorithm: other });
    const step = stepOf(learning, batchOf(contexts[2]!, rows));
    expect(other.loss!(tensor(0), step).item()).toBe(method.loss!(tensor(0), step).item());
    other.loadStateDict(lwf().stateDict());
    const loss = tensor(0);
    expect(other.loss!(loss, step)).toBe(loss);
  });

  it('says what is out of range when it is made', () => {
    for (const temperature of [0, -2, Number.NaN, Infinity])
      expect(() => lwf({ temperature })).toThrow(/lwf: temperature is a finite number above 0/);
    expect(() => lwf({ weight: -1 })).toThrow(/lwf: weight is a finite number from 0 up, not -1/);
  });
});
