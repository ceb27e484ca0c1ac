/** Checkpoints: a run that was resumed computes the same bits, and what does not fit changes nothing. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  Adam,
  batches,
  CosineAnnealingLR,
  crossEntropy,
  Dropout,
  Generator,
  Linear,
  type Module,
  manualSeed,
  noGrad,
  ones,
  ReLU,
  randn,
  Sequential,
  SGD,
  type Tensor,
  tensor,
  zeros,
} from '../../src/index.ts';
import {
  type CheckpointParts,
  formatCheckpoint,
  loadCheckpoint,
  restoreCheckpoint,
  saveCheckpoint,
} from '../../src/io/checkpoint.ts';
import { loadSafetensors, saveSafetensors } from '../../src/io/files.ts';
import { formatSafetensors, parseSafetensors } from '../../src/io/safetensors.ts';
import type { State } from '../../src/io/state.ts';
import { anchor } from '../../src/state/anchor.ts';
import { keep, kept } from '../../src/state/side-state.ts';
import { withHeap } from '../../src/storage/dispatch.ts';
import { Heap } from '../../src/storage/heap.ts';

const folder = mkdtempSync(join(tmpdir(), 'palimpsest-checkpoint-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const bitsOf = (x: Tensor): number[] => [...new Uint32Array(x.toFloat32Array().buffer)];
const bitsOfModel = (model: Module) => Object.entries(model.stateDict()).map(([name, x]) => [name, bitsOf(x)]);

/** An algorithm with a memory of its own: a mean of all inputs, in doubles, and a counter of 64 bits. */
class Watcher {
  mean = new Float64Array(6);
  seen = 0n;
  last: Tensor | null = null;
  see(x: Tensor): void {
    this.seen += 2n ** 40n + 1n;
    x.toFloat32Array().forEach((value, i) => {
      this.mean[i % 6] = 0.9 * this.mean[i % 6]! + 0.1 * value;
    });
    this.last = x.detach();
  }
  stateDict() {
    return { mean: this.mean, seen: this.seen, last: this.last };
  }
  loadStateDict(state: { mean: Float64Array; seen: bigint; last: Tensor | null }): void {
    if (!(state.mean instanceof Float64Array) || state.mean.length !== 6)
      throw new Error('Watcher: a mean has 6 numbers.');
    Object.assign(this, state);
  }
}

/** Everything of a training: Adam, dropout, shuffling, a schedule, an anchor, a kept tensor, an algorithm. */
function training(seed: number) {
  const model = new Sequential(
    ...[new Linear(6, 16, { generator: new Generator(seed) }), new ReLU()],
    new Dropout(0.5, { generator: new Generator(seed + 1) }),
    new Linear(16, 3, { generator: new Generator(seed + 2) }),
  );
  const optimizer = new Adam(model.parameters(), { lr: 0.01, amsgrad: true });
  const weight = model.parameters()[0]!;
  anchor(weight, { precision: randn(weight.shape, { generator: new Generator(seed + 4) }).abs() });
  keep(weight, 'importance', zeros(weight.shape));
  return {
    ...{ model, optimizer, generator: new Generator(seed + 3), weight },
    ...{ algorithm: { schedule: new CosineAnnealingLR(optimizer, { tMax: 50 }), watcher: new Watcher() } },
  };
}

const data = randn([40, 6], { generator: new Generator(100) });
const labels = Int32Array.from({ length: 40 }, (_, i) => i % 3);

/** Epochs of 5 steps each. Gives the losses. */
function train(
  { model, optimizer, generator, algorithm, weight }: ReturnType<typeof training>,
  epochs: number,
): number[] {
  const losses: number[] = [];
  for (let epoch = 0; epoch < epochs; epoch++)
    for (const rows of batches(40, 8, { generator })) {
      const x = data.indexSelect(0, rows);
      const loss = crossEntropy(
        model.forward(x),
        Int32Array.from(rows, (row) => labels[row]!),
      );
      optimizer.zeroGrad();
      loss.backward();
      const importance = kept(weight, 'importance')!;
      noGrad(() => importance.add_(weight.grad!.square()));
      losses.push(loss.item());
      optimizer.step();
      algorithm.schedule.step();
      algorithm.watcher.see(x);
    }
  return losses;
}

const partsOf = ({ weight: _, ...parts }: ReturnType<typeof training>) => parts;
const everything = (of: ReturnType<typeof training>): Uint8Array => formatCheckpoint(partsOf(of));

describe('resuming', () => {
  it('after 25 of 50 steps gives the bits of 50 steps in one go', async () => {
    const whole = training(1);
    const losses = train(whole, 10);

    const first = training(1);
    const before = train(first, 5);
    const path = join(folder, 'run.safetensors');
    await saveCheckpoint(path, { ...partsOf(first), step: 25, extra: { losses: before } });

    const second = training(77);
    const { step, extra } = await loadCheckpoint(path, partsOf(second));
    expect(step).toBe(25);
    expect((extra as { losses: number[] }).losses).toEqual(before);
    expect([...before, ...train(second, 5)]).toEqual(losses);
    expect(losses).toHaveLength(50);
    expect(bitsOfModel(second.model)).toEqual(bitsOfModel(whole.model));
    // And all the rest: moments, anchors, kept tensors, generators, schedule, memory.
    expect(Buffer.compare(everything(second), everything(whole))).toBe(0);
  });

  it('is exact only because each part is in it', () => {
    const whole = training(1);
    const losses = train(whole, 4);
    const first = training(1);
    train(first, 2);
    const parts = partsOf(first);
    const others: CheckpointParts[] = [
      { ...parts, model: undefined },
      { ...parts, optimizer: undefined },
      { ...parts, generator: undefined },
    ];
    for (const some of others) {
      const second = training(77);
      const targets = Object.fromEntries(
        Object.entries(partsOf(second)).filter(([name]) => some[name as keyof CheckpointParts] !== undefined),
      );
      restoreCheckpoint(formatCheckpoint(some), targets);
      expect(train(second, 2)).not.toEqual(losses.slice(10));
    }
  });

  it('continues SGD with an infinite rate, and numbers that JSON cannot say', () => {
    const extra: State = {
      rate: Infinity,
      zero: -0,
      nan: NaN,
      counter: 2n ** 64n - 1n,
      bytes: Uint8Array.of(1),
      $: ['$tensor'],
    };
    const make = () => new SGD(new Linear(2, 2).parameters(), { lr: Infinity });
    const optimizer = make();
    const bytes = formatCheckpoint({ optimizer: make(), extra });
    optimizer.lr = 1;
    const resumed = restoreCheckpoint(bytes, { optimizer });
    expect(optimizer.lr).toBe(Infinity);
    expect(resumed).toStrictEqual({ step: null, extra });
  });

  it('brings generators of layers back, the default one too', () => {
    const model = new Sequential(new Dropout(0.5));
    manualSeed(5).uniform();
    const bytes = formatCheckpoint({ model });
    const drawn = model.forward(ones([20])).toArray();
    manualSeed(9);
    restoreCheckpoint(bytes, { model });
    expect(model.forward(ones([20])).toArray()).toEqual(drawn);
  });

  it('takes several of a kind by name, whatever the names', () => {
    const make = (seed: number) => {
      const actor = new Linear(2, 3, { generator: new Generator(seed) });
      const critic = new Linear(2, 1, { generator: new Generator(seed) });
      return {
        model: { actor, $critic: critic },
        optimizer: { 'a/b': new Adam(actor.parameters()), other: new SGD(critic.parameters(), { lr: seed }) },
        generator: { one: new Generator(seed), two: new Generator(-seed) },
      };
    };
    const [saved, other] = [make(1), make(2)];
    restoreCheckpoint(formatCheckpoint(saved), other);
    expect(bitsOfModel(other.model.actor)).toEqual(bitsOfModel(saved.model.actor));
    expect(bitsOfModel(other.model.$critic)).toEqual(bitsOfModel(saved.model.$critic));
    expect(other.optimizer.other.lr).toBe(1);
    expect(other.generator.two.state).toEqual({ seed: -1, counter: 0 });
  });

  it('stands in a file in which any reader finds the parameters', async () => {
    const path = join(folder, 'model.safetensors');
    const model = new Linear(2, 3);
    await saveCheckpoint(path, { model });
    const { tensors } = await loadSafetensors(path);
    expect([...tensors.keys()]).toEqual(['model/bias', 'model/weight']);
    expect(bitsOf(tensors.get('model/weight')!.tensor)).toEqual(bitsOf(model.weight));
  });

  it('saves the moment of the call, not what is trained while the file is written', async () => {
    const path = join(folder, 'moment.safetensors');
    const model = new Linear(2, 2);
    const bits = bitsOfModel(model);
    const saving = saveCheckpoint(path, { model });
    noGrad(() => model.weight.fill_(7));
    await saving;
    await loadCheckpoint(path, { model });
    expect(bitsOfModel(model)).toEqual(bits);
  });
});

describe('what does not fit changes nothing', () => {
  const saved = training(1);
  train(saved, 1);
  const bytes = everything(saved);

  /** Restoring fails with this sentence, and every bit of the targets is as before. */
  function expectRefused(targets: ReturnType<typeof training>, expected: RegExp, from = bytes): void {
    train(targets, 1);
    const before = everything(targets);
    expect(() => restoreCheckpoint(from, partsOf(targets))).toThrow(expected);
    expect(Buffer.compare(everything(targets), before)).toBe(0);
  }

  it('a model of other shapes or names', () => {
    const other = training(2);
    const wide = new Sequential(new Linear(6, 17), new ReLU(), new Dropout(0.5), new Linear(17, 3));
    expect(() => restoreCheckpoint(bytes, { ...partsOf(other), model: wide })).toThrow(
      /model cannot take what the checkpoint holds\. loadStateDict: 0\.weight has shape \[17, 6\] in the module but \[16, 6\].*Nothing has been changed/s,
    );
    const more = new Sequential(
      ...[new Linear(6, 16), new ReLU(), new Dropout(0.5), new Linear(16, 3), new Linear(3, 3)],
    );
    expect(() => restoreCheckpoint(bytes, { ...partsOf(other), model: more })).toThrow(
      /the state lacks 4\.weight, 4\.bias/,
    );
  });

  it('side state that is not attached, or on one side only', () => {
    const bare = training(2);
    const model = new Sequential(
      new Linear(6, 16),
      new ReLU(),
      new Dropout(0.5, { generator: new Generator(1) }),
      new Linear(16, 3),
    );
    const before = bitsOfModel(model);
    expect(() => restoreCheckpoint(bytes, { ...partsOf(bare), model })).toThrow(
      /side cannot take .* 0\.weight: loadSideState: anchor\.0\.at is only in what was saved/s,
    );
    expect(bitsOfModel(model)).toEqual(before);
    const more = training(2);
    keep(more.model.parameters()[1]!, 'age', tensor(1));
    expectRefused(more, /side cannot take .* 0\.bias: loadSideState: age is only in the parameter's state/s);
  });

  it('an optimizer of another kind or over other parameters', () => {
    const other = training(2);
    const part = Object.assign(training(2), { optimizer: new SGD(other.model.parameters(), { lr: 1 }) });
    expect(() => restoreCheckpoint(bytes, partsOf(part as never))).toThrow(
      /optimizer cannot take what the checkpoint holds\. SGD\.loadStateDict: the options of group 0 are dampening, lr, momentum, nesterov, weightDecay, and those/,
    );
    const few = training(2);
    Object.assign(few, { optimizer: new Adam([few.weight]) });
    expectRefused(few, /optimizer cannot take .*has 4 parameters, the optimizer's has 1\. Nothing has been changed/s);
  });

  it('an optimizer whose options are not those of the file, even ones that nobody knows', () => {
    const { tensors, metadata } = parseSafetensors(bytes);
    for (const text of ['"amsgrad"', '"slots":0,"amsgrad"', '"ams"']) {
      const state = metadata.state!.replace('"amsgrad"', text);
      const damaged = formatSafetensors(tensors, { ...metadata, state });
      if (state === metadata.state) restoreCheckpoint(damaged, partsOf(training(2)));
      else expectRefused(training(2), /optimizer cannot take .* the options of group 0 are amsgrad, betas/s, damaged);
    }
  });

  it('an algorithm that refuses, even one that stops half-way: everything is put back', () => {
    class Strict extends Watcher {
      strict = true;
      override loadStateDict(state: Parameters<Watcher['loadStateDict']>[0]): void {
        this.seen = state.seen;
        if (this.strict && state.seen === saved.algorithm.watcher.seen) throw new Error('Not this one.');
        super.loadStateDict(state);
      }
    }
    const other = training(2);
    other.algorithm.watcher = new Strict();
    train(other, 1);
    expectRefused(
      other,
      /algorithm watcher cannot take what the checkpoint holds\. Not this one\. Nothing has been changed\.$/,
    );
    other.algorithm.watcher.loadStateDict = () => {
      throw new Error('Never.');
    };
    expect(() => restoreCheckpoint(bytes, partsOf(other))).toThrow(
      /What algorithm watcher held before could not be put back\.$/,
    );
  });

  it('one generator where the checkpoint has two that are not in step', () => {
    const shared = training(2);
    Object.assign(shared, {
      generator: shared.model
        .namedModules()
        .map(([, layer]) => layer)
        .find((layer) => layer instanceof Dropout)!.generator,
    });
    expectRefused(shared, /generator cannot take .* One generator stands where the checkpoint has two/s);
  });

  it('a layer with a generator where the other has none', () => {
    const model = new Sequential(new Linear(2, 2));
    const withDropout = new Sequential(new Linear(2, 2), new Dropout(0.5));
    expect(() => restoreCheckpoint(formatCheckpoint({ model }), { model: withDropout })).toThrow(
      /layers cannot take .* Only one side has a generator at 1\.generator/s,
    );
  });

  it('a part that is missing, or one that was not asked for', () => {
    const model = new Linear(2, 2);
    const optimizer = new Adam(model.parameters());
    const both = formatCheckpoint({ model, optimizer });
    const other = new Linear(2, 2);
    const before = bitsOfModel(other);
    expect(() => restoreCheckpoint(both, { model: other })).toThrow(
      'restoreCheckpoint: the checkpoint also holds optimizer. Give an object to load it into, or pass { ignoreOthers: true }',
    );
    expect(() => restoreCheckpoint(both, { model: other, generator: new Generator(1) })).toThrow(
      /the checkpoint has no generator; it holds model, optimizer\. Nothing has been changed/,
    );
    expect(() => restoreCheckpoint(both, { model: { actor: other } }, { ignoreOthers: true })).toThrow(
      /has no model actor; it holds model,/,
    );
    expect(bitsOfModel(other)).toEqual(before);
    restoreCheckpoint(both, { model: other }, { ignoreOthers: true });
    expect(bitsOfModel(other)).toEqual(bitsOfModel(model));
  });

  it('another set of kernels', () => {
    const generator = new Generator(1);
    const elsewhere = formatCheckpoint({ generator });
    withHeap(new Heap('reference'), () =>
      expect(() => restoreCheckpoint(elsewhere, { generator: new Generator(2) })).toThrow(
        /was computed by the "wasm-simd" kernels, and reference kernels run here/,
      ),
    );
    const other = new Generator(2);
    withHeap(new Heap('reference'), () => restoreCheckpoint(elsewhere, { generator: other }, { otherKernels: true }));
    expect(other.state).toEqual(generator.state);
  });

  it('a file that is no checkpoint, or of another version', async () => {
    const path = join(folder, 'plain.safetensors');
    await saveSafetensors(path, { x: tensor(1) });
    await expect(loadCheckpoint(path, {})).rejects.toThrow(
      `loadCheckpoint: ${path}: this is a safetensors file, but no checkpoint`,
    );
    const { tensors, metadata } = parseSafetensors(formatCheckpoint({}));
    expect(() => restoreCheckpoint(formatSafetensors(tensors, { ...metadata, version: '2' }), {})).toThrow(
      /of version "2"; this library/,
    );
  });

  it('damaged text: any one character of it, a sentence or a state that was taken', () => {
    const { tensors, metadata } = parseSafetensors(bytes);
    const text = metadata.state!;
    const [generator, targets] = [new Generator(4), training(3)];
    const reference = everything(targets);
    let refused = 0;
    for (let i = 0; i < 150; i++) {
      const at = generator.integer(text.length);
      const state = text.slice(0, at) + '"{[0a,:'[generator.integer(7)] + text.slice(at + 1);
      const damaged = formatSafetensors(tensors, { ...metadata, state });
      try {
        restoreCheckpoint(damaged, partsOf(targets));
        restoreCheckpoint(reference, partsOf(targets));
      } catch (error) {
        refused++;
        expect((error as Error).constructor).toBe(Error);
        expect((error as Error).message).toMatch(/^restoreCheckpoint: /);
      }
      expect(Buffer.compare(everything(targets), reference)).toBe(0);
    }
    expect(refused).toBeGreaterThan(100);
  });
});

describe('parts that are none', () => {
  it('are refused by name when saving', () => {
    const cases: [unknown, RegExp][] = [
      [
        { optimiser: 1 },
        /there is no part 'optimiser'; there are model, optimizer, generator, algorithm, step, extra\./,
      ],
      [{ model: 1 }, /model must be a Module, or several of them by name, but it is number/],
      [{ model: { a: 1 } }, /model must be a Module/],
      [{ model: null }, /but it is null/],
      [{ optimizer: [new Generator(1)] }, /optimizer must be an object with stateDict\(\) and loadStateDict\(\)/],
      [{ generator: { a: {} } }, /generator must be a Generator/],
      [{ step: 0.5 }, /step must be a whole number from 0 to 2\^53 - 1, but it is 0\.5/],
      [{ step: -1 }, /step must be a whole number/],
      [{ extra: { f: () => 1 } }, /the state at "extra\/f" is function/],
      [null, /expected an object of parts/],
    ];
    for (const [parts, expected] of cases) expect(() => formatCheckpoint(parts as CheckpointParts)).toThrow(expected);
  });

  it('step and extra are what loading returns, not what it takes', () => {
    const given = { step: 1 } as CheckpointParts;
    expect(() => restoreCheckpoint(formatCheckpoint(given), given)).toThrow(
      /no part 'step'.*Step and extra data are what it returns/,
    );
  });
});
