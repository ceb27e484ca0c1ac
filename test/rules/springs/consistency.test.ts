/**
 * Consistency of the spring rules: what is sent, read as gradients, is the gradient of what was received, on every op that has a
 * rule, in every form of precision, on strided and broadcast operands.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { inFloat64 } from '../../../src/autograd/check.ts';
import { apply } from '../../../src/autograd/define.ts';
import type { NodeRule } from '../../../src/autograd/rule.ts';
import {
  add,
  backward,
  conv2d,
  Draw,
  div,
  Generator,
  Linear,
  linear,
  maxPool2d,
  mul,
  registeredOps,
  Sequential,
  sub,
  sum,
  Tanh,
  target,
  withRules,
} from '../../../src/index.ts';
import { springAdd, springMul } from '../../../src/rules/springs/elementwise.ts';
import { type SpringProductOptions, springConvolution, springLinear } from '../../../src/rules/springs/products.ts';
import { springMaxPool, springSum } from '../../../src/rules/springs/reductions.ts';
import { springs } from '../../../src/rules/springs/springs.ts';
import { anyForm, anySeed, drawer, expectConsistent, expectNear, fixedSeed, forms, message, size } from './laws.ts';

const productOptions: SpringProductOptions[] = (['safe', 'mean'] as const).flatMap((precision) =>
  (['norm', 'safe', 'diagonal'] as const).map((weights) => ({ precision, weights })),
);
const anyOptions = fc.constantFrom(...productOptions);
const rules = springs() as Record<string, NodeRule>;

describe('consistency: what is sent, read as gradients, is the gradient of what was received', () => {
  for (const [name, rule] of Object.entries(rules))
    it(`${name}, on the samples of the op`, () => {
      const op = registeredOps().get(name)!;
      inFloat64(() => {
        for (const [which, { inputs, attributes }] of op.samples(new Draw(new Generator(3))).entries())
          for (const form of forms)
            for (const mixed of [false, true])
              expectConsistent(
                (...xs) => apply(op, xs, attributes),
                inputs,
                rule,
                (shape) => message(drawer(which + 10), shape, form, mixed),
                1e-10,
              );
      });
    });

  it('is claimed of all of them', () => {
    for (const rule of Object.values(rules)) expect([rule.name, rule.surrogate]).toEqual([rule.name, false]);
  });

  it('linear, any sizes and options, weights and data that are views', () => {
    fc.assert(
      fc.property(
        anySeed,
        size,
        size,
        size,
        anyForm,
        anyOptions,
        fc.boolean(),
        (start, b, i, o, form, options, bias) => {
          inFloat64(() => {
            const draw = drawer(start);
            expectConsistent(
              // Transposed weights, and data that take every second column of what the leaf holds.
              (x, w, c) => linear(x!.slice([null, [0, null, 2]]), w!.transpose(), bias ? c : null),
              [draw([b, 2 * i]), draw([i, o]), ...(bias ? [draw([o])] : [])],
              springLinear(options),
              (shape) => message(draw, shape, form, start % 2 === 0),
              1e-10,
            );
          });
        },
      ),
      fixedSeed,
    );
  });

  it('conv2d, any geometry and options', () => {
    fc.assert(
      fc.property(anySeed, anyForm, anyOptions, fc.constantFrom(1, 2), size, (start, form, options, groups, n) => {
        inFloat64(() => {
          const draw = drawer(start);
          const geometry = {
            groups,
            stride: [1 + (start % 2), 1 + (start % 3)] as const,
            padding: [start % 3, (start >> 2) % 2] as const,
            dilation: [1 + ((start >> 3) % 2), 1] as const,
          };
          expectConsistent(
            (x, w, c) => conv2d(x!.transpose(), w!, (start >> 4) % 2 === 0 ? null : c!, geometry),
            [draw([n, 2 * groups, 5, 6]), draw([3 * groups, 2, 2, 3]), draw([3 * groups])].slice(
              0,
              (start >> 4) % 2 === 0 ? 2 : 3,
            ),
            springConvolution(options),
            (shape) => message(draw, shape, form),
            1e-10,
          );
        });
      }),
      fixedSeed,
    );
  });

  const pairs: [number[], number[]][] = [
    [
      [3, 4],
      [3, 4],
    ],
    [[2, 3, 4], [4]],
    [
      [2, 1, 4],
      [3, 1],
    ],
    [[4], [2, 3, 1]],
    [[], [3]],
    [
      [1, 1],
      [2, 3],
    ],
    [[0, 3], [3]],
  ];
  for (const [name, op, rule] of [
    ['add', add, springAdd],
    ['sub', sub, springAdd],
    ['mul', mul, springMul],
    ['div', div, springMul],
  ] as const)
    it(`${name}, operands broadcast to each other, one of them perhaps fixed, or both the same`, () => {
      inFloat64(() => {
        for (const [which, [a, b]] of pairs.entries())
          for (const form of forms) {
            const draw = drawer(which);
            const [x, y] = [draw(a), draw(b, 0.5, 2)];
            const sent = (shape: readonly number[]) => message(draw, shape, form);
            expectConsistent((l, m) => op(l!, m!), [x, y], rule(), sent, 1e-10);
            expectConsistent((l) => op(l!, y), [x], rule(), sent, 1e-10);
            expectConsistent((m) => op(x, m!), [y], rule(), sent, 1e-10);
            expectConsistent((m) => op(m!, m!), [y], rule(), sent, 1e-10);
          }
      });
    });

  it('sum over any axes, kept or not, of a strided operand', () => {
    inFloat64(() => {
      for (const axes of [[], [0], [1], [2], [0, 2], [0, 1, 2]])
        for (const keepdim of [true, false])
          for (const form of forms) {
            const draw = drawer(axes.length);
            expectConsistent(
              (x) => sum(x!.transpose(0, 2), axes, keepdim),
              [draw([2, 3, 4])],
              springSum(),
              (shape) => message(draw, shape, form),
              1e-10,
            );
          }
    });
  });

  it('max pools whose windows overlap', () => {
    inFloat64(() => {
      for (const form of forms)
        expectConsistent(
          (x) => maxPool2d(x!, { kernelSize: 3, stride: 1, padding: 1 }),
          [drawer(5)([2, 2, 5, 4])],
          springMaxPool(),
          (shape) => message(drawer(6), shape, form),
          1e-10,
        );
    });
  });

  it('a whole network: every parameter is asked for the gradient of backpropagation', () => {
    const generator = new Generator(4);
    for (const options of productOptions) {
      const net = new Sequential(new Linear(3, 5, { generator }), new Tanh(), new Linear(5, 2, { generator }));
      const [x, t] = [drawer(1)([6, 3]), drawer(2)([6, 2])];
      backward(
        target(
          withRules(springs(options), () => net.forward(x)),
          t,
          { precision: 1 / 6 },
        ),
      );
      const found = net.parameters().map((w) => w.grad!.detach());
      net.zeroGrad();
      backward(target(net.forward(x), t, { precision: 1 / 6 }));
      for (const [i, w] of net.parameters().entries()) expectNear(found[i]!, w.grad, 1e-6);
    }
  });
});
