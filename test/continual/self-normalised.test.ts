/** Self-normalised resets, against firing sequences worked out by hand. */
import { describe, expect, it } from 'vitest';
import { noGrad } from '../../src/autograd/modes.ts';
import '../../src/ops/methods.ts';
import { SelfNormalisedResets, type SelfNormalisedResetsOptions } from '../../src/continual/self-normalised.ts';
import { ReLU } from '../../src/nn/activation.ts';
import { Flatten, Sequential } from '../../src/nn/container.ts';
import { Conv2d } from '../../src/nn/convolution.ts';
import { Linear } from '../../src/nn/linear.ts';
import { SGD } from '../../src/optim/sgd.ts';
import { Generator } from '../../src/random/generator.ts';
import { tensor } from '../../src/tensor/create.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

const read = (x: Tensor): number[] => [...x.toFloat32Array()];
const set = (x: Tensor, numbers: readonly number[]): Tensor => noGrad(() => x.copy_(tensor(numbers, x.shape)));

/** Two units that say what the two inputs are, so that inputs are firing sequences. */
function network(options: SelfNormalisedResetsOptions = {}) {
  const [first, last] = [new Linear(2, 2), new Linear(2, 1)];
  const model = new Sequential(first, new ReLU(), last);
  const identity = () => {
    set(first.weight, [1, 0, 0, 1]);
    set(first.bias!, [0, 0]);
    set(last.weight, [2, 3]);
    set(last.bias!, [0.5]);
  };
  identity();
  const make = () =>
    new SelfNormalisedResets(model.forward(tensor([[1, 1]])), { initialization: () => [7, 8], ...options });
  const resets = make();
  /** Steps on rows of batches; says which units were reset at which step, from 1. After a reset the network is as before. */
  const run = (batches: readonly (readonly (readonly number[])[])[], by = resets) =>
    batches.flatMap((batch, i) => {
      const replaced = by.step(model.forward(tensor(batch.flat(), [batch.length, 2])));
      if (replaced.length > 0) identity();
      return replaced.map(({ unit }) => `${unit} at ${i + 1}`);
    });
  return { first, last, model, resets, make, run };
}

/** A sequence for unit 0 ('1' it fires, '.' it does not), while unit 1 fires always. */
const sequence = (text: string): number[][][] => [...text].map((mark) => [[mark === '1' ? 1 : 0, 1]]);
const silences = (lengths: readonly number[]): string => lengths.map((length) => `${'.'.repeat(length)}1`).join('');

describe('self-normalised resets', () => {
  it('reset a unit as soon as at most eta of its silences were as long as the present one', () => {
    // Silences 0 2 0 1: P(A >= 1) = 2/4, P(A >= 2) = 1/4, so with eta 1/4 the limit is 2.
    const { resets, run } = network({ rejection: 0.25 });
    expect(run(sequence(silences([0, 2, 0, 1])))).toEqual([]);
    expect([...resets.statistics(0).limit]).toEqual([2, 1]);
    expect([...resets.statistics(0).firings]).toEqual([4, 7]);
    expect(run(sequence('.'))).toEqual([]);
    expect([...resets.statistics(0).silent]).toEqual([1, 0]);
    expect(run(sequence('.'))).toEqual(['0 at 1']);
  });

  it('follow the share as silences come in: long ones count for less and less', () => {
    const { resets, run } = network({ rejection: 0.2, patience: 50 });
    const limits = [3, 1, 0, 0, 2, ...Array<number>(11).fill(0)].map((length) => {
      run(sequence(silences([length])));
      return resets.statistics(0).limit[0];
    });
    // Of five, 3 is reached by one and 2 by two; of ten, 2 is still reached by two; of fifteen, 1 by three.
    expect(limits).toEqual([...[50, 50, 50, 50], ...[3, 3, 3, 3, 3], ...[2, 2, 2, 2, 2], ...[1, 1]]);
  });

  it('give a unit that has not fired 1 / eta times its patience', () => {
    const { resets, run } = network({ rejection: 0.25, patience: 5 });
    expect(run(sequence('111....'))).toEqual([]);
    expect([...resets.statistics(0).limit]).toEqual([5, 1]);
    expect(run(sequence('.'))).toEqual(['0 at 1']);
    // A newborn that never fires is drawn again and again; its past is not that of the unit before it.
    expect(run(sequence('...........'))).toEqual(['0 at 5', '0 at 10']);
    expect([...resets.statistics(0).silent]).toEqual([1, 0]);
    expect([...resets.statistics(0).firings]).toEqual([0, 19]);
  });

  it('with eta at 0 know patience alone', () => {
    const { run } = network({ rejection: 0, patience: 3 });
    expect(run(sequence('11111111..1..1...'))).toEqual(['0 at 17']);
  });

  it('tell units apart: what is long for one is usual for another', () => {
    const { run } = network({ rejection: 0.25, patience: 100 });
    // Unit 0 fires at each step, unit 1 at every fourth.
    const steps = Array.from({ length: 20 }, (_, i) => [[1, i % 4 === 3 ? 1 : 0]]);
    expect(run(steps)).toEqual([]);
    const both = Array.from({ length: 4 }, () => [[0, 0]]);
    // All silences of unit 1 are of 3 steps: 3 is reached by all of them, 4 by none.
    expect(run(both)).toEqual(['0 at 1', '1 at 4']);
  });

  it('count silences longer than 31 in sixteenths of an octave, each bound a length that silences can be counted at', () => {
    for (const [length, limit] of [
      [15, 16],
      [16, 17],
      [31, 32],
      [32, 34],
      [33, 34],
      [34, 36],
      [63, 64],
      [100, 104],
      [1000, 1024],
    ] as const) {
      const { resets, run } = network({ rejection: 0.5, patience: 100_000 });
      run(sequence(silences([length, length])));
      expect([length, resets.statistics(0).limit[0]]).toEqual([length, limit]);
    }
  });

  it('agree with shares counted anew at each step, on long random sequences', () => {
    const generator = new Generator(5);
    const rejection = 0.1;
    const { run } = network({ rejection, patience: 1000 });
    let lengths: number[] = [];
    let silent = 0;
    let reset = 0;
    for (let step = 0; step < 3000; step++) {
      // Regimes of often and seldom, so that limits rise and fall. All of them below 32, where buckets are exact.
      const fires = generator.uniform() < [0.8, 0.2, 0.5][Math.floor(step / 500) % 3]!;
      const replaced = run([[[fires ? 1 : 0, 1]]]);
      if (fires) {
        lengths.push(silent);
        silent = 0;
      } else silent++;
      const share = lengths.filter((length) => length >= silent).length / lengths.length;
      const expected = silent > 0 && lengths.length >= 1 / rejection && share <= rejection + 1e-12;
      expect([step, replaced]).toEqual([step, expected ? ['0 at 1'] : []]);
      if (!expected) continue;
      reset++;
      lengths = [];
      silent = 0;
    }
    expect(reset).toBeGreaterThan(20);
  });

  it('hear a unit that fires anywhere in the batch, above the size that counts as quiet', () => {
    const { run } = network({ rejection: 0, patience: 2, quiet: 0.5 });
    const batch = (a: number, b: number): number[][] => [
      [a, 1],
      [b, 1],
    ];
    expect(run([batch(0, 1), batch(1, 0), batch(0.5, 0.5), batch(0, 0.6), batch(0.5, 0)])).toEqual([]);
    expect(run([batch(0.5, 0.4)])).toEqual(['0 at 1']);
    // What is not a number does not fire.
    expect(run([batch(Number.NaN, Number.NaN), batch(Number.NaN, Number.NaN)])).toContain('0 at 2');
  });

  it('draw incoming weights anew, and put bias, outgoing weights and moments to 0', () => {
    const { first, last, model, resets } = network({ rejection: 0, patience: 1 });
    const sgd = new SGD(model.parameters(), { lr: 0, momentum: 0.9 });
    set(first.bias!, [0.25, 0.5]);
    const output = model.forward(tensor([[0, 1]]));
    output.square().sum().backward();
    sgd.step();
    expect(resets.step(model.forward(tensor([[-1, 1]])))).toEqual([{ layer: 0, unit: 0 }]);
    expect(read(first.weight)).toEqual([7, 8, 0, 1]);
    expect(read(first.bias!)).toEqual([0, 0.5]);
    expect(read(last.weight)).toEqual([0, 3]);
    expect(read(last.bias!)).toEqual([0.5]);
    const [weight] = sgd.stateDict().groups[0]!.slots;
    expect(read(weight!.velocity as Tensor).slice(0, 2)).toEqual([0, 0]);
  });

  it('watch channels of a convolution over the image', () => {
    const model = new Sequential(new Conv2d(1, 2, 1), new ReLU(), new Flatten(), new Linear(8, 1));
    const [conv] = [...model] as [Conv2d];
    set(conv.weight, [1, -1]);
    set(conv.bias!, [0, 0]);
    const image = (at: number): Tensor =>
      tensor(
        [0, 1, 2, 3].map((i) => (i === at ? 1 : 0)),
        [1, 1, 2, 2],
      );
    const resets = new SelfNormalisedResets(model.forward(image(0)), {
      rejection: 0,
      patience: 2,
      generator: new Generator(1),
    });
    expect([0, 3].map((at) => resets.step(model.forward(image(at))))).toEqual([[], [{ layer: 0, unit: 1 }]]);
    expect(read((model.at(3) as Linear).weight).slice(4)).toEqual([0, 0, 0, 0]);
  });

  it('go on from a state as if nothing had been between, and refuse that of other units', () => {
    const { resets, make, run } = network({ rejection: 0.25, patience: 9 });
    run(sequence('1.11..11.'));
    const other = make();
    other.loadStateDict(resets.stateDict());
    expect(other.stateDict()).toEqual(resets.stateDict());
    const rest = sequence('.1..1...1.....');
    const expected = run(rest);
    expect(expected.length).toBeGreaterThan(0);
    expect(run(rest, other)).toEqual(expected);
    expect(other.stateDict()).toEqual(resets.stateDict());

    const wide = new Sequential(new Linear(2, 3), new ReLU(), new Linear(3, 1));
    const wider = new SelfNormalisedResets(wide.forward(tensor([[1, 1]])));
    const before = wider.stateDict();
    expect(() => wider.loadStateDict(resets.stateDict())).toThrow(
      'SelfNormalisedResets.loadStateDict: the state is not one of layers of 3 units.',
    );
    expect(() => wider.loadStateDict({} as never)).toThrow(/is not one of layers of 3 units/);
    expect(wider.stateDict()).toEqual(before);
  });

  it('say before any training what is out of range', () => {
    const output = network().model.forward(tensor([[1, 1]]));
    const build = (options: SelfNormalisedResetsOptions) => () => new SelfNormalisedResets(output, options);
    expect(build({ rejection: 1 })).toThrow(/rejection is a share of silences, from 0 up and below 1, not 1\./);
    expect(build({ rejection: Number.NaN })).toThrow(/not NaN/);
    expect(build({ patience: 0 })).toThrow(/patience is a number of steps, an integer from 1 to 1073741823, not 0\./);
    expect(build({ patience: 1.5 })).toThrow(/not 1\.5/);
    expect(build({ quiet: -1 })).toThrow(/quiet is a size of activations.*not -1/);
    expect(build({ initialization: 'zeros' as 'default' })).toThrow(/SelfNormalisedResets: initialization is/);
    expect(() => new SelfNormalisedResets(new Linear(2, 1).forward(tensor([[1, 1]])))).toThrow(/no hidden units/);
    expect(() => network().resets.statistics(1)).toThrow('SelfNormalisedResets: there is no layer 1; there are 1.');
  });
});
