/** The seam: every kernel call of a training step passes through `run`, where it can be watched or replaced. */
import { describe, expect, it } from 'vitest';
import { Linear, mseLoss, ReLU, Sequential, SGD, tensor } from '../../src/index.ts';
import type { Kernels } from '../../src/kernels/table.ts';
import { heap, run, withKernels } from '../../src/storage/dispatch.ts';

/** A table that notes each call's name and passes it on. */
function recorder(names: string[]): Kernels {
  const entries = Object.entries(heap.run).map(([name, kernel]) => [
    name,
    (...args: number[]) => {
      names.push(name);
      (kernel as (...args: number[]) => void)(...args);
    },
  ]);
  return Object.fromEntries(entries) as Kernels;
}

describe('dispatch', () => {
  const model = new Sequential(new Linear(3, 4), new ReLU(), new Linear(4, 1));
  const optimizer = new SGD(model.parameters(), { lr: 0.1 });
  const [x, y] = [tensor([[1, 2, 3]]), tensor([[1]])];
  const step = (): number => {
    const loss = mseLoss(model.forward(x), y);
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step();
    return loss.item();
  };

  it('shows every kernel call of a step, in order, and changes nothing', () => {
    const names: string[] = [];
    const before = step();
    const recorded = withKernels(recorder(names), step);
    expect(recorded).toBeLessThan(before);
    expect(names).toEqual([
      ...['gemm', 'relu', 'gemm', 'squaredError'],
      ...['squaredErrorSlope', 'gemm', 'gemm', 'sum', 'reluSlope', 'gemm', 'sum'],
      ...['sgd', 'sgd', 'sgd', 'sgd'],
    ]);
  });

  it('puts the old table back, after an error too', () => {
    const own = run;
    expect(() =>
      withKernels(recorder([]), () => {
        throw new Error('mine');
      }),
    ).toThrow('mine');
    expect(run).toBe(own);
  });
});
