/** The algorithms that are not plain gradient descent on the given network, each by what it does that no other does. */
import { describe, expect, it } from 'vitest';
import { parseOptions } from '../../../../bench/learning/command-line.ts';
import { type Network, PROBLEM_NAMES } from '../../../../bench/learning/plasticity/algorithm.ts';
import { ALGORITHMS, algorithmOf } from '../../../../bench/learning/plasticity/algorithms.ts';
import { jobsOf, PLASTICITY_OPTIONS } from '../../../../bench/learning/plasticity/command.ts';
import { openProblem } from '../../../../bench/learning/plasticity/problem.ts';
import { type RunSettings, runOne } from '../../../../bench/learning/plasticity/run.ts';
import { CReLU } from '../../../../src/continual/everyday.ts';
import {
  Generator,
  LayerNorm,
  Linear,
  noGrad,
  ReLU,
  type Sequential,
  type Tensor,
  tensor,
} from '../../../../src/index.ts';
import { formatCheckpoint, restoreCheckpoint } from '../../../../src/io/checkpoint.ts';

const setUp = async (): Promise<{ network: Network; x: Tensor; y: Tensor }> => {
  const problem = await openProblem('regression', 1, { change: 'one', data: null });
  return {
    network: problem.network(new Generator(4)),
    x: tensor([Array.from({ length: 20 }, (_, i) => i % 2)]),
    y: tensor([[3]]),
  };
};
const make = (name: string, network: Network, own: object) =>
  algorithmOf(name).make(network, new Generator(1), { ...algorithmOf(name).settings.regression, ...own });
const valuesOf = (model: Sequential): number[] => model.parameters().flatMap((p) => [...p.toFloat32Array()]);
const changed = (before: readonly number[], after: readonly number[]): number[] =>
  after.flatMap((value, i) => (value === before[i] ? [] : [i]));

describe('networks of their own', () => {
  it('layer-norm has norms before every ReLU, and penalizes all weights but theirs', async () => {
    const { network, x, y } = await setUp();
    const given = valuesOf(network.model);
    const learner = make('layer-norm', network, { lr: 0.5, weightDecay: 0.5 });
    expect([...learner.model].map((layer) => layer.constructor)).toEqual([Linear, LayerNorm, ReLU, Linear]);
    const norm = learner.model.at(1) as LayerNorm;
    expect(norm.normalizedShape).toEqual([5]);
    expect(valuesOf(network.model)).toEqual(given);
    // Where the target is the output there is no gradient: only the penalty is left.
    const output = learner.model.forward(x);
    expect(learner.learn(x, tensor(output.toFloat32Array(), [1, 1]))).toBe(0);
    expect(learner.output.item()).toBe(output.item());
    for (const [i, value] of valuesOf(network.model).entries()) expect(value).toBeCloseTo(0.75 * given[i]!, 6);
    expect([...norm.weight!.toFloat32Array(), ...norm.bias!.toFloat32Array()]).toEqual([1, 1, 1, 1, 1, 0, 0, 0, 0, 0]);
    learner.learn(x, y);
    expect(norm.weight!.toFloat32Array().some((value) => value !== 1)).toBe(true);
  });

  it('crelu has the units of the given network, which are read twice, and shows them as dead only where they are 0', async () => {
    const { network, x, y } = await setUp();
    const learner = make('crelu', network, {});
    const layers = [...learner.model];
    expect(layers.map((layer) => layer.constructor)).toEqual([Linear, CReLU, Linear]);
    expect([layers[0], layers[2]].map((layer) => (layer as Linear).weight.shape)).toEqual([
      [5, 20],
      [1, 10],
    ]);
    const [before, loss] = [learner.model.forward(x).item(), learner.learn(x, y)];
    expect(loss).toBeCloseTo((before - 3) ** 2, 5);
    // Half of the numbers of a network of five positive or negative units are 0; its units are alive, and its rank at most 10.
    const told: RunSettings = {
      ...{ problem: 'regression', algorithm: 'crelu', settings: { lr: 0 }, seed: 1, steps: 1000, binSize: 1000 },
      ...{ change: 'one', data: null },
    };
    const run = await runOne(told);
    expect(run.dead).toEqual([0]);
    expect(run.rank[0]).toBeGreaterThan(1);
    expect(run.rank[0]).toBeLessThanOrEqual(10);
  });
});

describe('resets', () => {
  it('l2-init draws back to the weights it was made with', async () => {
    const { network, x, y } = await setUp();
    const start = valuesOf(network.model);
    const learner = make('l2-init', network, { lr: 0.01, strength: 100 });
    for (let step = 0; step < 50; step++) learner.learn(x, y);
    // The pull of 200 (w - w0) holds against gradients of a few.
    const drift = valuesOf(network.model).map((value, i) => Math.abs(value - start[i]!));
    expect(Math.max(...drift)).toBeGreaterThan(0);
    expect(Math.max(...drift)).toBeLessThan(0.05);
  });

  /** Unit 0 sees the first bit alone, the others are always on. */
  async function sleeper(settings: object) {
    const { network } = await setUp();
    const { model } = network;
    const [first, , last] = [...model] as [Linear, ReLU, Linear];
    const weights = Array.from({ length: 100 }, (_, i) => (i === 0 || (i > 20 && i % 20 === 1) ? 1 : 0));
    noGrad(() => {
      first.weight.copy_(tensor(weights, [5, 20]));
      last.weight.copy_(tensor([[1, 1, 1, 1, 1]]));
    });
    return { model, last, learner: make('redo', network, { lr: 0, threshold: 0.1, ...settings }) };
  }
  const bits = (bit: number) => tensor([Array.from({ length: 20 }, (_, i) => (i === 0 ? bit : i === 1 ? 1 : 0))]);

  it('redo remembers the last examples in its parts', async () => {
    const [one, other] = [await sleeper({ every: 4, examples: 3 }), await sleeper({ every: 4, examples: 3 })];
    for (const bit of [0, 1]) one.learner.learn(bits(bit), tensor([[0]]));
    restoreCheckpoint(formatCheckpoint(one.learner.parts), other.learner.parts);
    const before = valuesOf(other.model);
    for (const bit of [0, 0]) other.learner.learn(bits(bit), tensor([[0]]));
    // Of the last three bits 1 0 0, the first was seen before.
    expect(valuesOf(other.model)).toEqual(before);
    for (const bit of [0, 0, 0, 0]) other.learner.learn(bits(bit), tensor([[0]]));
    expect(valuesOf(other.model)).not.toEqual(before);
  });

  it('redo looks at the last examples each so many steps, with the network as it is then', async () => {
    const { model, last, learner } = await sleeper({ every: 4, examples: 3 });
    const seen = [1, 0, 1, 0, 1, 0, 0, 0];
    const start = valuesOf(model);
    const [changes, units]: [number[], number[][]] = [[], []];
    for (const [step, bit] of seen.entries()) {
      const before = valuesOf(model);
      learner.learn(bits(bit), tensor([[0]]));
      if (changed(before, valuesOf(model)).length === 0) continue;
      changes.push(step + 1);
      units.push([
        ...new Set(
          changed(start, valuesOf(model))
            .filter((i) => i < 100)
            .map((i) => Math.floor(i / 20)),
        ),
      ]);
    }
    // At step 4 the last three bits are 0 1 0, at step 8 they are 0: unit 0 sleeps. Another window, or none, would differ.
    expect(changes).toEqual([8]);
    expect(units).toEqual([[0]]);
    expect([...last.weight.toFloat32Array()]).toEqual([0, 1, 1, 1, 1]);
  });

  it('self-normalised resets units that have long been silent', async () => {
    const { network, x, y } = await setUp();
    const learner = make('self-normalised', network, { lr: 0, rejection: 0.5, patience: 3 });
    const fires = (network.model.at(0) as Linear)
      .forward(x)
      .toFloat32Array()
      .map((h) => (h > 0 ? 1 : 0));
    expect([...fires].sort()[0]).toBe(0);
    const start = valuesOf(network.model);
    for (let step = 0; step < 2; step++) learner.learn(x, y);
    expect(valuesOf(network.model)).toEqual(start);
    learner.learn(x, y);
    const rows = new Set(
      changed(start, valuesOf(network.model))
        .filter((i) => i < 100)
        .map((i) => Math.floor(i / 20)),
    );
    expect([...rows]).toEqual([0, 1, 2, 3, 4].filter((unit) => fires[unit] === 0));
  });

  it('weight-reset draws single weights anew', async () => {
    const { network, x, y } = await setUp();
    const start = valuesOf(network.model);
    const learner = make('weight-reset', network, { lr: 0, rate: 0.02, maturity: 3 });
    for (let step = 0; step < 3; step++) learner.learn(x, y);
    expect(valuesOf(network.model)).toEqual(start);
    learner.learn(x, y);
    // Two of the hundred mature weights of the first layer are due; of five and of one it is not one yet.
    expect(changed(start, valuesOf(network.model))).toHaveLength(2);
  });
});

describe('every algorithm', () => {
  it('has jobs of the names that results were kept under', async () => {
    // Settings of these must not change: folders of results would not be known any more.
    const kept = [
      'regression_backprop_seed1_48b811c8fd',
      'regression_continual-backprop_seed1_9b8c85a427',
      'regression_l2_seed1_1f45ed40f7',
      'regression_shrink-perturb_seed1_0069334a6f',
      'regression_upgd_seed1_b761fe24d7',
      'regression_adam_seed1_ec9524f4b1',
      'regression_linear_seed1_56a80ebe75',
      'permuted_backprop_seed1_506bb2c5f9',
      'permuted_continual-backprop_seed1_76cec23b17',
      'permuted_l2_seed1_721676b30c',
      'permuted_shrink-perturb_seed1_bdb9aea44e',
      'permuted_upgd_seed1_60ee41b33a',
      'permuted_adam_seed1_82654306f5',
      'permuted_linear_seed1_3eb220b3ee',
      'permuted-short_backprop_seed1_1754510e8b',
      'permuted-short_continual-backprop_seed1_acd281a45d',
      'permuted-short_l2_seed1_814f4256b1',
      'permuted-short_shrink-perturb_seed1_53b7151a7c',
      'permuted-short_upgd_seed1_694eccbb0b',
      'permuted-short_adam_seed1_704717a017',
      'permuted-short_linear_seed1_c1456e67e5',
    ];
    const jobs = await Promise.all(
      PROBLEM_NAMES.map((problem) => {
        const options = parseOptions(PLASTICITY_OPTIONS, [
          ...['--problem', problem, '--seeds', '1'],
          ...(problem === 'regression' ? ['--change', 'one'] : []),
        ]);
        if (options === 'help') throw new Error('This asks for help.');
        return jobsOf(options);
      }),
    );
    const ids = jobs.flat().map(({ id }) => id);
    expect(ids).toHaveLength(PROBLEM_NAMES.length * ALGORITHMS.length);
    expect(ids).toEqual(expect.arrayContaining(kept));
  });

  it('has settings that its learner takes, for every problem', async () => {
    for (const { settings, make } of ALGORITHMS)
      for (const own of Object.values(settings)) {
        const { network, x, y } = await setUp();
        const learner = make(network, new Generator(1), own);
        expect(learner.learn(x, y)).toBeGreaterThan(0);
        expect(learner.output.shape).toEqual([1, 1]);
        expect(learner.parts.model).toBe(learner.model);
      }
  });
});
