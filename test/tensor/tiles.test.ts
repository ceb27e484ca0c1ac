/** Passes over large tensors, tile by tile. */
import { describe, expect, it } from 'vitest';
import { inFloat64 } from '../../src/autograd/check.ts';
import { buffer, parameter, tensor, zeros } from '../../src/index.ts';
import { run } from '../../src/storage/dispatch.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { inTiles, minus, over, plus, times } from '../../src/tensor/tiles.ts';

const ramp = (n: number): Tensor => tensor(Float32Array.from({ length: n }, (_, i) => (i % 1000) + 1));

describe('inTiles', () => {
  it.each([0, 1, 8191, 8192, 8193, 16384, 20000])('visits each of %d numbers once, in all tensors', (n) => {
    const [a, b, sum] = [ramp(n), ramp(n), buffer(zeros([n]))];
    let visited = 0;
    inTiles([a, b, sum], [sum], ([x, y, out], count, work, other) => {
      // (x + y) x / y = 2 x, through both tiles to work in.
      plus(x!, y!, work, count);
      times(work, x!, other, count);
      over(other, y!, work, count);
      minus(work, out!, out!, count);
      visited += count;
    });
    expect(visited).toBe(n);
    const wrong = [...sum.toFloat32Array()].filter((value, i) => value !== 2 * ((i % 1000) + 1));
    expect(wrong).toEqual([]);
  });

  it('reads views in their own order', () => {
    const out = buffer(zeros([3, 2]));
    const x = tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]).transpose(0, 1);
    inTiles([x, out], [out], ([from, to], n) => run.copy(from!, to!, n));
    expect([...out.toFloat32Array()]).toEqual([1, 4, 2, 5, 3, 6]);
  });

  it('counts as a write: a graph that needs the old numbers notices', () => {
    const w = parameter(tensor([1, 2]));
    const loss = w.square().sum();
    inTiles([w], [w], ([at], n) => plus(at!, at!, at!, n));
    expect(() => loss.backward()).toThrow(/in place/);
  });

  it('has room of its own in double precision', () => {
    inFloat64(() => {
      const out = buffer(zeros([2]));
      inTiles([tensor([1 / 3, 1]), out], [out], ([x, to], n, work) => {
        plus(x!, x!, work, n);
        run.copy(work, to!, n);
      });
      expect(out.toArray()).toEqual([2 / 3, 2]);
    });
  });
});
