/** Targets through sums: halves that together reach the target. */
import { expect, it } from 'vitest';
import { add, backward, inboxOf, sub, target, tensor, withRules } from '../../../src/index.ts';
import { targetAdd } from '../../../src/rules/target/add.ts';
import { drawer, expectNear, leaf } from '../springs/laws.ts';

it('targetAdd: both operands make up for half each, with twice the precision; one alone for all', () => {
  const [a, b] = [leaf(tensor([1, 2])), leaf(tensor([5, 5]))];
  const rules = { add: targetAdd(), sub: targetAdd() };
  backward(
    target(
      withRules(rules, () => sub(a, b)),
      tensor([0, 1]),
      { precision: 3 },
    ),
  );
  expect([inboxOf(a)!.step().toArray(), inboxOf(b)!.step().toArray()]).toEqual([
    [2, 2],
    [-2, -2],
  ]);
  expect(inboxOf(a)!.precision().item()).toBe(6);
  const c = leaf(tensor([1, 2]));
  backward(
    target(
      withRules(rules, () => add(c, 1)),
      tensor([0, 1]),
      { precision: 3 },
    ),
  );
  expect([inboxOf(c)!.step().toArray(), inboxOf(c)!.precision().item()]).toEqual([[-2, -2], 3]);
});

it('targetAdd: a broadcast operand sums over its repeats, and is no surrogate', () => {
  const [rows, bias] = [leaf(drawer(1)([4, 3])), leaf(drawer(2)([3]))];
  const y = withRules({ add: targetAdd() }, () => add(rows, bias));
  const d = drawer(3)([4, 3]);
  backward(target(y, y.detach().add(d), { precision: 1 }));
  expectNear(inboxOf(bias)!.step(), d.mean(0).mul(0.5), 1e-6);
  expect(inboxOf(bias)!.precision().item()).toBe(8);
  expect([targetAdd().name, targetAdd().surrogate]).toEqual(['targetAdd', false]);
});
