/** The rule that ops which only move numbers have by themselves: they carry springs as they carry slopes. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  add,
  backward,
  cat,
  clone,
  expand,
  flip,
  gather,
  inboxOf,
  indexSelect,
  type NodeRule,
  pad,
  permute,
  reshape,
  setRule,
  slice,
  stack,
  type Tensor,
  target,
  tensor,
  where,
  zeros,
} from '../../src/index.ts';
import { numbersOf } from '../../src/tensor/tensor.ts';

const leaf = (data: Parameters<typeof tensor>[0]): Tensor => tensor(data).requiresGrad_();
const numbers = (x: Tensor): number[] => Array.from(numbersOf(x));

/** Ops that only move numbers, on a value of shape [2, 3]. */
const movers: Record<string, (x: Tensor) => Tensor> = {
  reshape: (x) => reshape(x, [3, 2]),
  'reshape to a line': (x) => reshape(x, [6]),
  permute: (x) => permute(x, [1, 0]),
  flip: (x) => flip(x, [0, 1]),
  clone,
  slice: (x) =>
    slice(x, [
      [0, 2],
      [2, 0, -1],
    ]),
  'slice of one': (x) => slice(x, [1]),
  expand: (x) => expand(reshape(x, [2, 3, 1]), [2, 3, 4]),
  'expand in front': (x) => expand(x, [3, 2, 3]),
  indexSelect: (x) => indexSelect(x, 1, [2, 0, 2, 2]),
  gather: (x) =>
    gather(x, 1, [
      [0, 0],
      [2, 1],
    ]),
  cat: (x) => cat([x, tensor([[9, 9, 9]]), x], 0),
  stack: (x) => stack([x, x, x], 1),
  pad: (x) => pad(x, [0, 2, 1, 0]),
  where: (x) =>
    where(
      tensor([
        [1, 0, 1],
        [0, 0, 1],
      ]),
      x,
      tensor([7, 8, 9]),
    ),
  'where on both sides': (x) =>
    where(
      tensor([
        [1, 0, 1],
        [0, 0, 1],
      ]),
      x,
      flip(x, 1),
    ),
  'a chain of them': (x) => cat([permute(x, [1, 0]), reshape(slice(x, [null, [1, 3]]), [2, 2])], 0),
};

describe('ops that only move numbers carry springs', () => {
  /** For each element of y, which element of x stands there; -1: none. */
  function sourcesOf(move: (x: Tensor) => Tensor): { sources: number[]; shape: readonly number[] } {
    const codes = tensor([100, 101, 102, 103, 104, 105], [2, 3]);
    const y = move(codes);
    return { sources: numbers(y).map((code) => (code >= 100 ? code - 100 : -1)), shape: y.shape };
  }
  const runs = { seed: 7, numRuns: 8 };
  const eighths = (low: number) => fc.integer({ min: low, max: 64 }).map((k) => k / 8);

  for (const [name, move] of Object.entries(movers)) {
    const { sources, shape } = sourcesOf(move);
    const count = sources.length;
    const last = shape.at(-1)!;

    it(`${name}: g, p and r as the dense sums say`, () => {
      fc.assert(
        fc.property(
          fc.array(eighths(-64), { minLength: count, maxLength: count }),
          fc.array(eighths(0), { minLength: count, maxLength: count }),
          fc.constantFrom('number', 'size 1', 'row', 'element'),
          fc.boolean(),
          (d, raw, form, mixed) => {
            const p = raw.map((_, i) => raw[form === 'element' ? i : form === 'row' ? i % last : 0]!);
            const precision = {
              number: () => p[0]!,
              'size 1': () =>
                tensor(
                  [p[0]!],
                  shape.map(() => 1),
                ),
              row: () => tensor(p.slice(0, last), [last]),
              element: () => tensor(p, shape),
            }[form]();
            const x = tensor([1, 2, 3, 4, 5, 6], [2, 3]).requiresGrad_();
            const y = move(x);
            const wanted = tensor(d, shape).add(y.detach());
            backward([target(y, wanted, { precision }), ...(mixed ? [y.sum()] : [])]);
            const inbox = inboxOf(x)!;
            const sums = Array.from({ length: 6 }, () => ({ g: 0, p: 0, r: 0 }));
            for (const [i, source] of sources.entries()) {
              if (source < 0) continue;
              const sum = sums[source]!;
              sum.g += mixed ? 1 : 0;
              sum.p += p[i]!;
              sum.r += p[i]! * d[i]!;
            }
            expect(inbox.kind).toBe(mixed ? 'mixed' : 'target');
            const found = {
              g: inbox.slope === null ? [0, 0, 0, 0, 0, 0] : numbers(inbox.slope),
              p: numbers(expand(inbox.springs!.precision, [2, 3])),
              r: numbers(inbox.springs!.pull),
            };
            for (const [i, sum] of sums.entries())
              for (const part of ['g', 'p', 'r'] as const)
                expect(Math.abs(found[part][i]! - sum[part]), `${part} of entry ${i}`).toBeLessThan(1e-3);
          },
        ),
        runs,
      );
    });

    it(`${name}: hard targets as masks, over soft ones`, () => {
      const x = tensor([1, 2, 3, 4, 5, 6], [2, 3]).requiresGrad_();
      const y = move(x);
      // Every other element of x is wished for, with one wish for all its copies.
      const isHard = (source: number) => source >= 0 && source % 2 === 0;
      const wished = sources.map((source) => 10 * source);
      const precision = tensor(
        sources.map((source) => (isHard(source) ? Infinity : 2)),
        shape,
      );
      backward(target(y, tensor(wished, shape), { precision }));
      const step = numbers(inboxOf(x)!.step(1));
      for (let k = 0; k < 6; k++) {
        const copies = sources.filter((source) => source === k).length;
        const d = 10 * k - (k + 1);
        const expected = copies === 0 ? 0 : isHard(k) ? d : (2 * copies * d) / (1 + 2 * copies);
        expect(Math.abs(step[k]! - expected), `entry ${k}`).toBeLessThan(1e-4);
      }
    });
  }

  it('one precision for all stays one number where nothing is repeated or left out', () => {
    for (const name of ['reshape', 'permute', 'flip', 'clone']) {
      const x = tensor([1, 2, 3, 4, 5, 6], [2, 3]).requiresGrad_();
      const y = movers[name]!(x);
      backward(target(y, zeros(y.shape), { precision: 2 }));
      expect(inboxOf(x)!.springs!.precision.shape, name).toEqual([]);
    }
  });

  it('hard targets that differ for copies of one element are an error that says where', () => {
    const x = leaf([1, 2]);
    const twice = (...wished: number[]) =>
      backward(
        target(
          expand(x, [2, 2]),
          tensor([
            [5, wished[0]!],
            [5, wished[1]!],
          ]),
          { precision: Infinity },
        ),
      );
    for (const [a, b] of [
      [6, 7],
      [1000, 1001],
      [0, 1e-3],
    ] as const)
      expect(() => twice(a, b)).toThrow(
        /target sends hard targets that differ to copies of one element \(entry 1 of the output of expand \(\[2\] to \[2, 2\]\)\)/,
      );
    twice(0.1, 0.1);
    expect(inboxOf(x)!.step().toArray()).toEqual([4, Math.fround(Math.fround(0.1) - 2)]);
    expect(() => backward(target(add(x, 0), tensor([5, 6]), { precision: Infinity }))).toThrow(/no form as a gradient/);
  });

  it('what nobody stated stays so', () => {
    const x = leaf([1, 2]);
    backward(target(reshape(x, [2, 1]), tensor([[3], [3]])));
    expect(inboxOf(x)!.step().toArray()).toEqual([2, 1]);
    expect(() => x.grad).toThrow(/precision nobody stated/);
  });

  it('energies are split among the inputs', () => {
    const [a, b] = [leaf([1, 2]), leaf([3])];
    backward(target(pad(cat([a, b], 0), [1, 0]), tensor([5, 2, 4, 6]), { precision: tensor([1, 2, 3, 4]) }), {
      energy: true,
    });
    const energies = [a, b].map((x) => inboxOf(x)!.springs!.energy);
    expect(energies[0]).toBeCloseTo(0.5 * (2 * 1 + 3 * 4), 5);
    expect(energies[1]).toBeCloseTo(0.5 * 4 * 9, 5);
  });

  it('notice that what they read was changed in place', () => {
    const [x, mask] = [leaf([1, 2]), tensor([1, 0])];
    const y = where(mask, x, 0);
    mask.copy_(tensor([0, 1]));
    expect(() => backward(target(y, tensor([3, 3]), { precision: 1 }))).toThrow(/changed in place after where read it/);
  });

  it('answer by another rule where one is in force', () => {
    const heard: unknown[] = [];
    const rule: NodeRule = {
      ...{ name: 'mine', accepts: 'any', surrogate: true },
      propagate(visit) {
        heard.push(visit);
        return [null];
      },
    };
    const x = leaf([1, 2]);
    backward(target(setRule(reshape(x, [2, 1]), rule), tensor([[3], [3]]), { precision: 1 }));
    expect(heard).toHaveLength(1);
    expect(inboxOf(x)).toBeNull();
  });
});
