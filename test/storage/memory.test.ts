/**
 * Memory nobody has to think about: what is given back, what stays readable, and what is said when something is gone.
 */
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  createContext,
  crossEntropy,
  Linear,
  manualSeed,
  memoryInUse,
  noGrad,
  parameter,
  ReLU,
  randn,
  Sequential,
  SGD,
  scope,
  setMemoryLimit,
  softmax,
  type Tensor,
  tensor,
  zeros,
} from '../../src/index.ts';

const gc = globalThis.gc as () => void;

function classifier(): Sequential {
  manualSeed(1);
  return new Sequential(new Linear(32, 64), new ReLU(), new Linear(64, 10));
}
const labels = Int32Array.from({ length: 16 }, (_, i) => i % 10);

/** Lets finalizers run: they wait for the end of the job. */
const settle = async (): Promise<void> => {
  for (let i = 0; i < 4; i++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};

describe('a training loop without any scope', () => {
  it('holds the memory of two steps at most', () => {
    const model = classifier();
    const optimizer = new SGD(model.parameters(), { lr: 0.1 });
    const step = (): void => {
      const loss = crossEntropy(model.forward(randn([16, 32])), labels);
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
    };
    for (let i = 0; i < 100; i++) step();
    const before = memoryInUse();
    for (let i = 0; i < 2000; i++) step();
    expect(memoryInUse()).toBeLessThanOrEqual(before + 2 ** 20);
  });

  it('lets loss and logits be read after backward', () => {
    const model = classifier();
    const logits = model.forward(randn([16, 32]));
    const loss = crossEntropy(logits, labels);
    const [value, row] = [loss.item(), logits.toArray()];
    loss.backward();
    expect(loss.item()).toBe(value);
    expect(logits.toArray()).toEqual(row);
  });

  it('takes three losses, then three backward calls', () => {
    const w = parameter(tensor([2, 3]));
    const losses = [1, 2, 3].map((k) => w.mul(k).square().sum());
    for (const loss of losses) loss.backward();
    expect(w.grad!.toArray()).toEqual([2 * 2 * 14, 2 * 3 * 14]);
  });

  it('walks a live graph a second time, and adds up', () => {
    const w = parameter(tensor(3));
    const loss = w.square();
    loss.backward();
    loss.backward();
    expect(w.grad!.item()).toBe(12);
  });

  it('keeps gradients that are still wanted when their region goes', () => {
    const w = parameter(zeros([1000]));
    for (let i = 0; i < 5; i++) w.mul(2).sum().backward();
    expect(w.grad!.toFloat32Array()).toEqual(new Float32Array(1000).fill(10));
    const other = parameter(tensor(1));
    for (let i = 0; i < 5; i++) other.square().backward();
    expect(w.grad!.toFloat32Array()).toEqual(new Float32Array(1000).fill(10));
  });
});

describe('what is kept', () => {
  const trainSome = (steps: number): void => {
    const w = parameter(tensor(1));
    for (let i = 0; i < steps; i++) w.square().backward();
  };

  it('losses of a whole epoch', () => {
    const w = parameter(tensor(1));
    const losses: Tensor[] = [];
    for (let i = 0; i < 300; i++) {
      const loss = w.mul(i).sum();
      losses.push(loss);
      loss.backward();
    }
    expect(losses.map((loss) => loss.item())).toEqual(Array.from({ length: 300 }, (_, i) => i));
  });

  it('a small tensor is still an operand after its region went', () => {
    const kept = parameter(tensor([1, 2])).mul(10);
    trainSome(5);
    expect(kept.add(1).toArray()).toEqual([11, 21]);
  });

  it('a detached recurrent state, and logits stored for replay', () => {
    const w = parameter(randn([300, 300]).mul(0.05));
    let state = randn([1, 300]);
    const states: { kept: Tensor; expected: Float32Array }[] = [];
    for (let i = 0; i < 10; i++) {
      const next = state.matmul(w).tanh();
      next.square().sum().backward();
      state = next.detach();
      states.push({ kept: state, expected: next.toFloat32Array() });
    }
    trainSome(5);
    for (const { kept, expected } of states) expect(kept.toFloat32Array()).toEqual(expected);
  });

  it('anything else says how to keep it, and never shows wrong numbers', () => {
    const gone = parameter(zeros([10_000])).add(1);
    trainSome(5);
    expect(() => gone.toArray()).toThrow(/given back.*detach\(\)/);
    expect(() => gone.add(1)).toThrow(/given back/);
  });

  it('a graph that was given back says so', () => {
    const w = parameter(zeros([10_000]));
    const loss = w.add(1).square().sum();
    trainSome(5);
    expect(() => loss.backward()).toThrow(/graph .* was given back/);
    expect(w.grad).toBeNull();
  });
});

describe('scope and noGrad', () => {
  it('give back all but what they return', () => {
    const x = randn([64, 1000]);
    noGrad(() => x.add(1)); // stages x, and fetches chunks, once
    const before = memoryInUse();
    for (let i = 0; i < 50; i++) {
      const kept = noGrad(() => x.add(1).mul(2).sum(1));
      expect(kept.shape).toEqual([64]);
    }
    expect(memoryInUse()).toBeLessThanOrEqual(before + 2 ** 20);
  });

  it('return tensors within arrays, maps and objects, with their numbers', () => {
    const { a, list, map } = scope(() => {
      const a = zeros([1000]).add(1);
      return { a, list: [zeros([500]).add(2)], map: new Map([['m', zeros([400]).add(3)]]) };
    });
    expect(a.toArray()).toEqual(new Array(1000).fill(1));
    expect(list[0]!.toArray()).toEqual(new Array(500).fill(2));
    expect(map.get('m')!.toArray()).toEqual(new Array(400).fill(3));
  });

  it('say what happened to a large tensor that slipped out', () => {
    let slipped: Tensor | undefined;
    scope(() => {
      slipped = zeros([1000]).add(1);
    });
    expect(() => slipped!.toArray()).toThrow(/given back.*return it from the scope/);
  });

  it('refuse a callback that returns a promise', () => {
    expect(() => noGrad(async () => 1)).toThrow(/noGrad: .*promise.*synchronous/);
    expect(() => scope(async () => 1)).toThrow(/scope: .*promise/);
  });

  it('keep gradients that a backward call inside made', () => {
    const w = parameter(zeros([1000]));
    scope(() => w.mul(3).sum().backward());
    expect(w.grad!.toFloat32Array()).toEqual(new Float32Array(1000).fill(3));
  });

  it('give back after an error, and pass it on', () => {
    const before = memoryInUse();
    for (let i = 0; i < 20; i++)
      expect(() =>
        scope(() => {
          zeros([2 ** 19]).add(1);
          throw new Error('mine');
        }),
      ).toThrow('mine');
    expect(memoryInUse()).toBeLessThanOrEqual(before + 2 ** 24);
  });
});

describe('nothing stays for ever', () => {
  const step = (model: Sequential, x: Tensor): Tensor => {
    const loss = crossEntropy(model.forward(x), labels);
    loss.backward();
    model.zeroGrad();
    return loss;
  };

  it.each<[string, (x: Tensor, logits: Tensor) => void]>([
    ['an unused head', (x) => parameter(zeros([512, 32])).matmul(x.transpose(0, 1))],
    ['a softmax that is logged', (_, logits) => softmax(logits).toArray()],
    ['evaluation without noGrad', (x) => classifier().forward(x)],
    [
      'an exception before backward',
      (x) => {
        try {
          x.add(1).matmul(zeros([7, 7]));
        } catch {
          // Somebody's loop goes on after an error.
        }
      },
    ],
  ])('%s', (_, extra) => {
    const model = classifier();
    const x = randn([16, 32]);
    const once = (): void => {
      extra(x, model.forward(x));
      step(model, x);
    };
    for (let i = 0; i < 20; i++) once();
    const before = memoryInUse();
    for (let i = 0; i < 300; i++) once();
    // Parameters made on the way wait for the garbage collector; regions do not.
    expect(memoryInUse()).toBeLessThanOrEqual(before + 2 ** 25);
  });

  it('forward passes alone are found by the garbage collector', async () => {
    const x = randn([256, 1024]);
    const w = parameter(randn([8, 1024]));
    let peak = 0;
    const before = memoryInUse();
    for (let i = 0; i < 200; i++) {
      for (let j = 0; j < 8; j++) x.mul(w.slice([[j, j + 1]])).relu();
      if (i % 10 === 9) await settle();
      peak = Math.max(peak, memoryInUse() - before);
    }
    // 200 rounds make 3.3 GB of results.
    expect(peak).toBeLessThan(8e8);
  });
});

describe('trainers that take turns', () => {
  const trainer = (seed: number) => {
    const w = parameter(zeros([10_000]));
    return {
      forward: (): Tensor => w.sub(seed).square().sum(),
      finish: (loss: Tensor): number => {
        w.grad = null;
        loss.backward();
        noGrad(() => w.sub_(w.grad!.mul(0.1)));
        return loss.item();
      },
    };
  };

  it('get right numbers or the sentence in one context', () => {
    const [a, b] = [trainer(1), trainer(2)];
    const late = a.forward();
    for (let i = 0; i < 5; i++) b.finish(b.forward());
    expect(() => a.finish(late)).toThrow(/given back/);
  });

  it('always get right numbers with a context each', () => {
    const [a, b] = [trainer(1), trainer(2)];
    const mine = createContext();
    const late = mine.run(() => a.forward());
    for (let i = 0; i < 5; i++) b.finish(b.forward());
    expect(mine.run(() => a.finish(late))).toBe(10_000);
  });
});

describe('a full memory', () => {
  afterEach(() => setMemoryLimit(2 ** 40));

  const train = (): number[] => {
    const model = classifier();
    const optimizer = new SGD(model.parameters(), { lr: 0.1, momentum: 0.9 });
    manualSeed(3);
    const losses: number[] = [];
    for (let i = 0; i < 10; i++) {
      const loss = crossEntropy(model.forward(randn([16, 32])), labels);
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
      losses.push(loss.item());
    }
    const last = model.parameters().flatMap((p) => Array.from(p.toFloat32Array()));
    return [...losses, ...last];
  };

  it('costs speed and one warning, not a bit of the results', () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    const expected = train();
    setMemoryLimit(0);
    expect(createContext().run(train)).toEqual(expected);
    expect(createContext().run(train)).toEqual(expected);
    expect(warn.mock.calls.map(String)).toEqual([expect.stringContaining('kernel memory is full')]);
  });

  it('keeps results readable as ordinary arrays', () => {
    setMemoryLimit(0);
    createContext().run(() => {
      const before = memoryInUse();
      const x = zeros([3000]).add(2);
      for (let i = 0; i < 3; i++) parameter(tensor(1)).square().backward();
      expect(x.mul(2).sum().item()).toBe(12000);
      expect(memoryInUse()).toBe(before);
    });
  });
});
