/**
 * Continual backprop against the authors' published implementation: every trace of cbp.json in GOLDEN_DIR, step by step.
 * The same units must be replaced at the same steps; losses, utilities, ages, mean activations and final weights agree.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ContinualBackprop } from '../src/continual/continual-backprop.ts';
import { PublishedAdam } from '../src/continual/published-adam.ts';
import type { Utility } from '../src/continual/utility.ts';
import * as p from '../src/index.ts';

interface Layer {
  weight: number[];
  bias: number[];
}
interface Run {
  optimizer: 'sgd' | 'adam';
  lr: number;
  batch: number;
  loss: 'mse' | 'cross_entropy';
  utility: string;
  accumulate: boolean;
  maturity: number;
  replacement_rate: number;
  decay: number;
  sizes: number[];
  activation: string;
  x: number[];
  y: number[];
  init: Layer[];
  losses: number[];
  resets: { step: number; layer: number; unit: number; weight: number[] }[];
  state_at: Record<string, { util: number[]; bias_corrected: number[]; age: number[]; mean_act: number[] }[]>;
  final: Layer[];
}

const tolerance = 1e-4;
const folder = process.env.GOLDEN_DIR ?? join(import.meta.dirname, 'golden');
const file = join(folder, 'cbp.json');
if (!existsSync(file))
  throw new Error(`No golden values at ${file}: set GOLDEN_DIR to the folder that holds cbp.json.`);
const { runs } = JSON.parse(readFileSync(file, 'utf8')) as { runs: Run[] };

const utilities: Record<string, Utility> = {
  weight: 'weight',
  contribution: 'contribution',
  adaptation: 'adaptation',
  zero_contribution: 'zeroContribution',
  adaptable_contribution: 'adaptableContribution',
  feature_by_input: 'featureByInput',
};
const activations: Record<string, () => p.Module> = {
  relu: () => new p.ReLU(),
  tanh: () => new p.Tanh(),
  sigmoid: () => new p.Sigmoid(),
  elu: () => new p.ELU(),
  selu: () => new p.SELU(),
  leaky_relu: () => new p.LeakyReLU(),
};

function close(name: string, found: ArrayLike<number>, expected: readonly number[]): void {
  expect(found.length, `${name}: number of elements`).toBe(expected.length);
  expected.forEach((value, i) => {
    const allowed = tolerance * Math.max(1, Math.abs(value));
    expect(Math.abs(found[i]! - value), `${name}[${i}]: found ${found[i]}, expected ${value}`).toBeLessThan(allowed);
  });
}

function replay(run: Run): void {
  const { sizes, init, batch, resets } = run;
  const linears = init.map(({ weight, bias }, i) => {
    const layer = new p.Linear(sizes[i]!, sizes[i + 1]!);
    layer.loadStateDict({ weight: p.tensor(weight, [sizes[i + 1]!, sizes[i]!]), bias: p.tensor(bias) });
    return layer;
  });
  const activation = activations[run.activation]!;
  const model = new p.Sequential(...linears.flatMap((layer, i) => (i === 0 ? [layer] : [activation(), layer])));
  const optimizer =
    run.optimizer === 'sgd'
      ? new p.SGD(model.parameters(), { lr: run.lr })
      : new PublishedAdam(model.parameters(), { lr: run.lr });
  let step = 0;
  const inputs = sizes[0]!;
  const outputs = run.loss === 'mse' ? sizes.at(-1)! : 1;
  const continual = new ContinualBackprop(model.forward(p.zeros([1, inputs])), {
    rate: run.replacement_rate,
    maturity: run.maturity,
    decay: run.decay,
    utility: utilities[run.utility]!,
    accumulate: run.accumulate,
    transferMean: false,
    initialization: (layer, unit) => {
      const found = resets.find((one) => one.step === step && one.layer === layer && one.unit === unit);
      if (found === undefined)
        throw new Error(`unit ${unit} of layer ${layer} is replaced in step ${step}; not so there.`);
      return found.weight;
    },
  });
  const losses: number[] = [];
  const replaced: string[] = [];
  for (; step < run.losses.length; step++) {
    const x = p.tensor(run.x.slice(step * batch * inputs, (step + 1) * batch * inputs), [batch, inputs]);
    const target = run.y.slice(step * batch * outputs, (step + 1) * batch * outputs);
    const output = model.forward(x);
    const loss =
      run.loss === 'mse'
        ? p.mseLoss(output, p.tensor(target, [batch, outputs]))
        : p.crossEntropy(output, new p.Indices([batch], Int32Array.from(target)));
    losses.push(loss.item());
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step();
    for (const { layer, unit } of continual.step(output)) replaced.push(`${step}:${layer}:${unit}`);
    run.state_at[step]?.forEach((expected, layer) => {
      const { age, utility, mean, corrected } = continual.statistics(layer);
      const at = `step ${step}, layer ${layer}`;
      expect([...age], `${at}: ages`).toEqual(expected.age);
      close(`${at}: utility`, utility, expected.util);
      // Of a unit replaced in this very step the trace still has the old one's.
      const standing = expected.bias_corrected.map((value, unit) => (age[unit] === 0 ? corrected[unit]! : value));
      close(`${at}: corrected utility`, corrected, standing);
      close(`${at}: mean activation`, mean, expected.mean_act);
    });
  }
  expect(replaced.toSorted()).toEqual(resets.map((one) => `${one.step}:${one.layer}:${one.unit}`).toSorted());
  close('losses', losses, run.losses);
  run.final.forEach(({ weight, bias }, i) => {
    close(`weight ${i}`, linears[i]!.weight.toFloat32Array(), weight);
    close(`bias ${i}`, linears[i]!.bias!.toFloat32Array(), bias);
  });
}

describe('continual backprop replays the published implementation', () => {
  it('has traces, with replacements in each', () => {
    expect(runs.length).toBeGreaterThan(0);
    for (const { resets, state_at } of runs) {
      expect(resets.length).toBeGreaterThan(0);
      expect(Object.keys(state_at).length).toBeGreaterThan(0);
    }
  });
  runs.forEach((run, i) => {
    it(`trace ${i}: ${run.utility}, ${run.optimizer}, ${run.loss}, batch ${run.batch}`, () => replay(run));
  });
});
