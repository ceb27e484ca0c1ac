/** Several heaps, contexts and regions side by side: none takes the numbers of another for its own, and all end. */
import { describe, expect, it } from 'vitest';
import { inFloat64 } from '../../src/autograd/check.ts';
import {
  checkGradients,
  createContext,
  kernelSet,
  manualSeed,
  memoryInUse,
  parameter,
  randn,
  type Tensor,
  tensor,
  zeros,
} from '../../src/index.ts';
import { withHeap } from '../../src/storage/dispatch.ts';
import { Heap } from '../../src/storage/heap.ts';

const gc = globalThis.gc as () => void;

describe('another heap', () => {
  it('computes the same, in turns with the usual one, within one frame', () => {
    manualSeed(2);
    const [a, b] = [randn([20, 30]), randn([30, 10])];
    const product = (): Float32Array => a.matmul(b).tanh().toFloat32Array();
    const reference = new Heap('reference');
    const expected = product();
    for (let i = 0; i < 3; i++) {
      const found = withHeap(reference, () => {
        expect(kernelSet()).toBe('reference');
        const numbers = product();
        expect(memoryInUse()).toBeGreaterThanOrEqual(2 ** 20); // its own: a region is of one heap
        return numbers;
      });
      found.forEach((x, j) => {
        if (!(Math.abs(x - expected[j]!) < 1e-5)) throw new Error(`entry ${j}: ${x}, not ${expected[j]}`);
      });
      expect(product()).toEqual(expected);
    }
  });

  it('takes ordinary tensors, staged elsewhere or not; what lives in the memory of the other is refused in words', () => {
    const data = tensor([1, 2, 3]);
    data.add(1); // staged
    const w = parameter(tensor([4, 5, 6]));
    const computed = w.mul(1);
    expect(() => checkGradients((x) => x.mul(data).square(), [tensor([1, 2, 3])])).not.toThrow();
    for (const resident of [w, computed])
      expect(() => checkGradients((x) => x.mul(resident), [tensor([1, 2, 3])])).toThrow(
        /live in the memory of the wasm-simd kernels.*reference-float64.*as an input, or take detach\(\)/,
      );
    const copy = w.detach();
    expect(() => checkGradients((x) => x.mul(copy), [tensor([1, 2, 3])])).not.toThrow();
    expect(() => checkGradients((x, y) => x.mul(y), [tensor([1, 2, 3]), w])).not.toThrow();
    expect(data.mul(w).toArray()).toEqual([4, 10, 18]);
  });

  it('can be read from outside: reading goes where the numbers are', () => {
    const heap = new Heap('reference');
    const foreign = withHeap(heap, () => parameter(tensor([1, 2, 3])));
    expect(foreign.toArray()).toEqual([1, 2, 3]);
    const own = parameter(tensor([7, 8, 9]));
    expect(withHeap(heap, () => own.toArray())).toEqual([7, 8, 9]);
  });

  it('in double precision gives back all it took, every time', () => {
    const used = (): number => inFloat64(memoryInUse);
    const work = (): void => checkGradients((x) => x.tanh().mul(x), [tensor([1, 2, 3])]);
    work();
    const before = used();
    for (let i = 0; i < 30; i++) work();
    expect(used()).toBeLessThanOrEqual(before + 2 ** 20);
  });
});

describe('contexts', () => {
  it('that nobody holds any more give their memory back', async () => {
    const before = memoryInUse();
    for (let i = 0; i < 100; i++)
      createContext().run(() =>
        parameter(zeros([1000]))
          .mul(2)
          .sum(),
      );
    expect(memoryInUse() - before).toBeGreaterThan(90 * 2 ** 20);
    for (let i = 0; i < 6; i++) {
      gc();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(memoryInUse() - before).toBeLessThan(16 * 2 ** 20);
  });

  it('that are gone leave what somebody still holds', async () => {
    const kept = createContext().run(() => parameter(zeros([1000])).add(2));
    for (let i = 0; i < 6; i++) {
      gc();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const others = Array.from({ length: 5 }, () => zeros([1000]).add(9));
    expect(kept.toFloat32Array()).toEqual(new Float32Array(1000).fill(2));
    expect(others.length).toBe(5);
    kept.sum().backward(); // its graph is there, too
  });
});

describe('graphs of more than one region', () => {
  it('are walked whole: 150,000 ops', () => {
    const x = tensor(1).requiresGrad_();
    let y: Tensor = x;
    for (let i = 0; i < 150_000; i++) y = y.neg();
    y.backward();
    expect(x.grad!.item()).toBe(1);
  });

  it('end like others: after the second backward elsewhere, the sentence', () => {
    const x = tensor(1).requiresGrad_();
    let y: Tensor = x;
    for (let i = 0; i < 150_000; i++) y = y.neg();
    for (let i = 0; i < 3; i++)
      parameter(zeros([10_000]))
        .square()
        .sum()
        .backward();
    expect(() => y.backward()).toThrow(/graph .* was given back/);
    expect(x.grad).toBeNull();
    expect(y.item()).toBe(1);
  });
});
