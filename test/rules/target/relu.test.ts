/** The rule of relu. */
import { describe, expect, it } from 'vitest';
import { backward, inboxOf, relu, seed, sigmoid, spring, target, tensor, withRules } from '../../../src/index.ts';
import { targetRelu } from '../../../src/rules/target/relu.ts';
import { expectClose, expectRefused, untyped } from '../../ops/numbers.ts';

const values = [-2, -2, -2, 0, 0, 0, 3, 3, 3, 3];
const wanted = [-1, 0, 4, -1, 0, 4, -1, 0, 2, 5];

function ask(inactive: 'hold' | 'free' | undefined, precision?: number) {
  const x = tensor(values).requiresGrad_();
  const y = withRules({ relu: targetRelu(inactive === undefined ? {} : { inactive }) }, () => relu(x));
  backward(target(y, tensor(wanted), precision === undefined ? {} : { precision }));
  return inboxOf(x)!;
}

describe('a relu that is given a target', () => {
  const reached = [-2, -2, 4, 0, 0, 4, 0, 0, 2, 5];

  it('passes on what is above 0, goes to 0 if it is on and should be off, and stays if it is off', () => {
    const step = ask(undefined).step().toArray() as number[];
    expect(step.map((d, i) => values[i]! + d)).toEqual(reached);
    expectClose(ask('hold').step(), step, 0);
  });

  it('holds what is off as firmly as it is told', () => {
    expect(ask('hold', 0.5).precision().toArray()).toBe(0.5);
  });

  it('leaves it free if told so, and only that', () => {
    const inbox = ask('free', 0.5);
    expect(inbox.precision().toArray()).toEqual([0, 0, 0.5, 0, 0, 0.5, 0.5, 0.5, 0.5, 0.5]);
    expect((inbox.step().toArray() as number[]).map((d, i) => values[i]! + d)).toEqual(reached);
  });

  it('switches on a unit that is off for every target above 0, for those that are worth it, or for none', () => {
    const moved = (awaken: 'always' | 'worthwhile' | 'never', inactive: 'hold' | 'free') => {
      const x = tensor([-2, -2, -2, 0, 1, 1]).requiresGrad_();
      const y = withRules({ relu: targetRelu({ awaken, inactive }) }, () => relu(x));
      backward(target(y, tensor([0.5, 2, 2.5, 1, 3, -1]), { precision: 0.5 }));
      const inbox = inboxOf(x)!;
      return [inbox.step().toArray(), inbox.precision().toArray()];
    };
    expect(moved('always', 'hold')).toEqual([[2.5, 4, 4.5, 1, 2, -1], 0.5]);
    expect(moved('worthwhile', 'hold')).toEqual([[0, 0, 4.5, 1, 2, -1], 0.5]);
    expect(moved('never', 'hold')).toEqual([[0, 0, 0, 0, 2, -1], 0.5]);
    expect(moved('worthwhile', 'free')[1]).toEqual([0, 0, 0.5, 0.5, 0.5, 0.5]);
    expect(moved('never', 'free')).toEqual([
      [0, 0, 0, 0, 2, -1],
      [0, 0, 0, 0, 0.5, 0.5],
    ]);
  });

  it('sends each sample its precision', () => {
    const x = tensor([
      [1, -1],
      [2, -3],
    ]).requiresGrad_();
    const precision = tensor([[2], [5]]);
    const y = withRules({ relu: targetRelu() }, () => relu(x));
    backward(
      target(
        y,
        tensor([
          [3, 1],
          [0, 0],
        ]),
        { precision },
      ),
    );
    expect(inboxOf(x)!.step().toArray()).toEqual([
      [2, 2],
      [-2, 0],
    ]);
    expect(inboxOf(x)!.precision().toArray()).toEqual([[2], [5]]);
  });

  it('lets the displacement of a unit that is on through without rounding', () => {
    const x = tensor([1e6]).requiresGrad_();
    const y = withRules({ relu: targetRelu() }, () => relu(x));
    backward(seed(y, spring(tensor([0.3]), 1)));
    expectClose(inboxOf(x)!.step(), [0.3], 1e-6);
  });

  it('refuses other words, and other ops', () => {
    expectRefused([
      ["targetRelu: inactive is 'hold' or 'free', not off.", () => untyped(targetRelu)({ inactive: 'off' })],
      [
        "targetRelu: awaken is 'always', 'worthwhile' or 'never', not maybe.",
        () => untyped(targetRelu)({ awaken: 'maybe' }),
      ],
      [
        'targetRelu: this is a rule for the op relu, and it was put at sigmoid.',
        () =>
          backward(
            target(
              withRules({ '*': targetRelu() }, () => sigmoid(tensor([1]).requiresGrad_())),
              tensor([1]),
            ),
          ),
      ],
    ]);
  });
});
