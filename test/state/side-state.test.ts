/** What a parameter carries besides its value: kept, read out, put back, and gone when it is taken off. */
import { describe, expect, it } from 'vitest';
import { parameter } from '../../src/autograd/leaf.ts';
import '../../src/ops/methods.ts';
import { anchor } from '../../src/state/anchor.ts';
import { plasticity } from '../../src/state/gate.ts';
import { forget, guided, keep, kept, loadSideState, sideState, stateOf } from '../../src/state/side-state.ts';
import { buffer, ones, tensor, zeros } from '../../src/tensor/create.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

const plainly = (state: Record<string, Tensor>) =>
  Object.fromEntries(Object.entries(state).map(([name, value]) => [name, value.toArray()]));

function furnished(): Tensor {
  const w = parameter(tensor([1, 2]));
  anchor(w, { precision: tensor([3, 4]) });
  anchor(w, { at: zeros([2]), precision: 5, step: 'explicit' });
  plasticity(w, () => 1);
  plasticity(w, buffer(tensor([0.5, 1])));
  plasticity(w, 0.5);
  keep(w, 'confidence', tensor([0.25, 0.75]));
  return w;
}

describe('side state', () => {
  it('is read out by name, tensors only, in copies', () => {
    const w = furnished();
    const state = sideState(w);
    expect(plainly(state)).toEqual({
      'anchor.0.at': [1, 2],
      'anchor.0.precision': [3, 4],
      'anchor.1.at': [0, 0],
      'anchor.1.precision': 5,
      'plasticity.1': [0.5, 1],
      confidence: [0.25, 0.75],
    });
    state.confidence!.fill_(9);
    expect(kept(w, 'confidence')!.toArray()).toEqual([0.25, 0.75]);
  });

  it('goes back into a parameter that carries the same things', () => {
    const [from, to] = [furnished(), furnished()];
    kept(from, 'confidence')!.fill_(0.125);
    stateOf(from)!.anchors[0]!.at.fill_(7);
    (stateOf(from)!.plasticities[1]!.gate as Tensor).fill_(0);
    loadSideState(to, sideState(from));
    expect(plainly(sideState(to))).toEqual(plainly(sideState(from)));
    expect(stateOf(to)!.anchors[0]!.at.toArray()).toEqual([7, 7]);
  });

  it('refuses what does not fit, and then nothing has been written', () => {
    const w = furnished();
    const before = plainly(sideState(w));
    const saved = sideState(w);
    const { confidence, ...less } = saved;
    expect(() => loadSideState(w, less)).toThrow(/confidence is only in the parameter's state/);
    expect(() => loadSideState(w, { ...saved, age: ones([2]) })).toThrow(/age is only in what was saved/);
    expect(() => loadSideState(w, { ...saved, 'anchor.0.at': ones([2]), confidence: ones([3]) })).toThrow(
      /confidence has shape \[3\] where the parameter's has \[2\]/,
    );
    expect(plainly(sideState(w))).toEqual(before);
    expect(confidence!.size).toBe(2);
  });

  it('is empty for a parameter that carries nothing', () => {
    const w = parameter(ones([1]));
    expect(sideState(w)).toEqual({});
    loadSideState(w, {});
    expect(stateOf(w)).toBeNull();
  });

  it('keeps a copy under a name, once', () => {
    const w = parameter(ones([1]));
    const given = tensor([1]);
    const held = keep(w, 'age', given);
    given.fill_(2);
    expect(held.item()).toBe(1);
    expect(kept(w, 'age')).toBe(held);
    expect(() => keep(w, 'age', given)).toThrow(/keeps a tensor named age already/);
    forget(w, 'age');
    expect(kept(w, 'age')).toBeNull();
    keep(w, 'age', given);
    expect(() => keep(ones([1]), 'age', given)).toThrow(/is no parameter/);
  });

  it('is not asked for by optimizers while no parameter has an anchor or a plasticity', () => {
    const before = guided.count;
    const [w, v] = [parameter(ones([1])), parameter(ones([1]))];
    keep(w, 'age', ones([1]));
    expect(guided.count).toBe(before);
    const removals = [plasticity(w, 1), plasticity(w, 1), anchor(w, { precision: 1 }).remove, plasticity(v, 1)];
    expect(guided.count).toBe(before + 2);
    removals[3]!();
    removals[3]!();
    expect(guided.count).toBe(before + 1);
    removals[0]!();
    removals[1]!();
    expect(guided.count).toBe(before + 1);
    removals[2]!();
    expect(guided.count).toBe(before);
  });
});
