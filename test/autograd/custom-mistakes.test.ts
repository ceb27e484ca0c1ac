/** What can be wrong in a customGradient, and what is said then. */
import { describe, expect, it } from 'vitest';
import { type CustomGradient, customGradient } from '../../src/autograd/custom.ts';
import { gradients, noGrad, parameter, square, type Tensor, tensor } from '../../src/index.ts';

const leaf = (data: Parameters<typeof tensor>[0]): Tensor => tensor(data).requiresGrad_();

/** x^3, with x^2 saved: a value that is neither input nor output. */
const cube = customGradient({
  name: 'cube of mine',
  surrogate: false,
  forward([x], save) {
    const squared = square(x);
    save(squared);
    return squared.mul(x);
  },
  gradient: ({ saved: [squared] }, g) => g.mul(squared!).mul(3),
});

describe('mistakes', () => {
  type Definition = CustomGradient<[Tensor]>;
  const good: Definition = { name: 'mine', surrogate: false, forward: ([x]) => x.clone(), gradient: (_, g) => g };
  const run = (change: object, x = leaf([1, 2])): void => {
    customGradient({ ...good, ...change } as Definition)(x)
      .sum()
      .backward();
  };

  it('the honest word is missing', () => {
    const { surrogate, ...silent } = good;
    expect(() => customGradient(silent as Definition)).toThrow(
      /mine does not say whether its gradient is the derivative/,
    );
  });

  it('no name, a taken name, no functions', () => {
    expect(() => customGradient({ ...good, name: '' })).toThrow(/give it a name/);
    expect(() => customGradient({ ...good, name: 'relu' })).toThrow(/an op named relu exists/);
    expect(() => customGradient({ name: 'mine', surrogate: true } as Definition)).toThrow(/mine needs two functions/);
  });

  it('a gradient of the wrong shape, one that was broadcast for example', () => {
    expect(() => run({ gradient: (_: unknown, g: Tensor) => g.sum() })).toThrow(
      /^mine: its gradient returned shape \[\] for input 0, which has shape \[2\].*sum over the axes/,
    );
    const add = customGradient<[Tensor, Tensor]>({
      name: 'my add',
      surrogate: false,
      forward: ([a, b]) => a.add(b),
      gradient: (_, g) => [g, g],
    });
    expect(() =>
      add(leaf([[1], [2]]), leaf([1, 2]))
        .sum()
        .backward(),
    ).toThrow(/^my add: its gradient returned shape \[2, 2\] for input 0, which has shape \[2, 1\]/);
  });

  it('the wrong number of gradients', () => {
    expect(() => run({ gradient: (_: unknown, g: Tensor) => [g, g] })).toThrow(
      /^mine: its gradient returned 2 entries for one input \(\[2\]\)/,
    );
    expect(() =>
      customGradient<[Tensor, Tensor]>({
        name: 'pair',
        surrogate: false,
        forward: ([a, b]) => a.add(b),
        gradient: (_, g) => g,
      })(leaf([1]), leaf([2])).backward(),
    ).toThrow(/^pair: its gradient returned one entry for 2 inputs \(\[1\], \[1\]\)/);
  });

  it('no tensor where one belongs', () => {
    expect(() => run({ gradient: () => 3 })).toThrow(/^mine: its gradient returned number for input 0/);
    expect(() => run({ gradient: () => undefined })).toThrow(/^mine: its gradient returned undefined for input 0/);
    expect(() => run({ forward: () => [1, 2] })).toThrow(/^mine: its forward returned an array/);
    expect(() => run({ forward: ([x]: [Tensor], save: (x: unknown) => void) => [save(3), x.clone()][1] })).toThrow(
      /^mine: save takes tensors, not number/,
    );
    expect(() => customGradient(good)('x' as unknown as Tensor)).toThrow(/^mine: expected a tensor or a number/);
    expect(() => (customGradient(good) as () => Tensor)()).toThrow(/^mine: it was called without operands/);
  });

  it('forward returns its input, or what has a history of its own', () => {
    for (const x of [leaf([1, 2]), tensor([1, 2])])
      expect(() => customGradient({ ...good, forward: (inputs) => inputs[0] })(x)).toThrow(
        /^mine: its forward returned its input 0, of shape \[2\].*clone\(\)/,
      );
    const other = leaf([1, 2]);
    expect(() => run({ forward: () => other })).toThrow(/^mine: its forward returned a tensor .* history of its own/);
  });

  it('leaves a tensor alone that forward returns and somebody else holds', () => {
    const table = tensor([5, 6]);
    const y = customGradient({ ...good, surrogate: true, forward: () => table })(leaf([1, 2]));
    expect(y.toArray()).toEqual([5, 6]);
    expect([y.requiresGrad, table.requiresGrad]).toEqual([true, false]);
  });

  it('changes in place: of what was read, and of what was saved', () => {
    const w = parameter(tensor([2]));
    const y = cube(w);
    noGrad(() => w.mul_(2));
    expect(() => y.backward()).toThrow(/cube of mine.*changed in place/);
    const table = tensor([3]);
    const looked = customGradient({
      ...good,
      name: 'looked up',
      reads: 'nothing',
      forward: ([x], save) => {
        save(table);
        return x.mul(table);
      },
    });
    const z = looked(w);
    noGrad(() => w.mul_(2));
    z.backward();
    const again = looked(w);
    noGrad(() => table.mul_(2));
    expect(() => again.backward()).toThrow(/^looked up: a tensor that its forward saved was changed in place since/);
  });

  it('forward that draws other numbers when it runs again for a second derivative', () => {
    let count = 0;
    const moody = customGradient({
      name: 'moody',
      surrogate: false,
      forward([x], save) {
        const factor = tensor([++count]);
        save(factor);
        return x.mul(factor);
      },
      gradient: ({ saved: [factor] }, g) => g.mul(factor!),
    });
    const x = leaf([1]);
    moody(x).backward();
    expect(x.grad!.toArray()).toEqual([1]);
    expect(() => gradients(moody(x), [x], { createGraph: true })).toThrow(/^moody: its forward saved other values/);
  });
});
