import { describe, expect, it } from 'vitest';
import { parameter } from '../../src/autograd/leaf.ts';
import { noGrad } from '../../src/autograd/modes.ts';
import { rwalk } from '../../src/continual/anchoring/rwalk.ts';
import { si } from '../../src/continual/anchoring/si.ts';
import { ContinualLearner } from '../../src/continual/learner.ts';
import { measures } from '../../src/importance/measures.ts';
import { WeightMovement } from '../../src/importance/movement.ts';
import { aroundSteps } from '../../src/importance/steps.ts';
import { PathIntegral, RiemannianWalk } from '../../src/importance/trackers.ts';
import { Sequential } from '../../src/nn/container.ts';
import { Linear } from '../../src/nn/linear.ts';
import { Adam } from '../../src/optim/adam.ts';
import { SGD } from '../../src/optim/sgd.ts';
import { Generator } from '../../src/random/generator.ts';
import { reset } from '../../src/state/reset.ts';
import { tensor } from '../../src/tensor/create.ts';
import { randn } from '../../src/tensor/random.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { numbersIn, Small } from './tiny.ts';

const write = (w: Tensor, values: number[]): void => {
  noGrad(() => w.copy_(tensor(values)));
};

describe('aroundSteps', () => {
  const counting = () => {
    const said: string[] = [];
    const optimizer: { step: () => void } = { step: () => said.push('step') };
    return { said, optimizer };
  };

  it('calls hooks before and after, in their order, until they are taken off, and leaves the optimizer as it was', () => {
    const { said, optimizer } = counting();
    const original = optimizer.step;
    const [first, second] = ['a', 'b'].map((name) =>
      aroundSteps(optimizer, {
        before: () => void said.push(`${name} before`),
        after: () => void said.push(`${name} after`),
      }),
    );
    optimizer.step();
    expect(said.splice(0)).toEqual(['a before', 'b before', 'step', 'a after', 'b after']);
    first!();
    first!();
    optimizer.step();
    expect(said.splice(0)).toEqual(['b before', 'step', 'b after']);
    second!();
    expect(optimizer.step).toBe(original);
  });

  it('a hook may take itself off: the others of that step are called all the same', () => {
    const { said, optimizer } = counting();
    const once: () => void = aroundSteps(optimizer, {
      before: () => {
        said.push('once');
        once();
      },
    });
    aroundSteps(optimizer, { before: () => void said.push('always') });
    optimizer.step();
    optimizer.step();
    expect(said).toEqual(['once', 'always', 'step', 'always', 'step']);
  });

  it('leaves no property behind on an optimizer whose step is a method of its class', () => {
    const w = parameter(tensor([1]));
    const optimizer = new SGD([w], { lr: 1 });
    const detach = aroundSteps(optimizer, {});
    expect(Object.hasOwn(optimizer, 'step')).toBe(true);
    expect(Object.keys(optimizer)).not.toContain('step');
    detach();
    expect(Object.hasOwn(optimizer, 'step')).toBe(false);
  });

  it('does not undo what somebody else put over it', () => {
    const { said, optimizer } = counting();
    const detach = aroundSteps(optimizer, { after: () => void said.push('after') });
    const inner = optimizer.step;
    const theirs = () => {
      said.push('theirs');
      inner();
    };
    optimizer.step = theirs;
    detach();
    expect(optimizer.step).toBe(theirs);
    optimizer.step();
    expect(said).toEqual(['theirs', 'step']);
  });

  it('calls nothing after a step that throws, and wants something with a step', () => {
    const said: string[] = [];
    const optimizer = {
      step: () => {
        throw new Error('no');
      },
    };
    aroundSteps(optimizer, { after: () => void said.push('after') });
    expect(() => optimizer.step()).toThrow('no');
    expect(said).toEqual([]);
    expect(() => aroundSteps({} as { step(): void }, {})).toThrow(/^aroundSteps: an optimizer is needed/);
  });
});

describe('WeightMovement', () => {
  it('counts changes of sign and direction, the way, and the distance; zeros and rests change neither', () => {
    const w = parameter(tensor([1, 0, 2]));
    const movement = new WeightMovement([['w', w]]);
    for (const values of [
      [0, 1, 2],
      [-1, -1, 1],
      [-1, 0, 1],
      [2, -2, 2],
      [3, -2, 1],
    ]) {
      write(w, values);
      movement.observe();
    }
    const { flips, reversals, path, start, last } = movement.of('w');
    // w0: 1 0 -1 -1 2 3. w1: 0 1 -1 0 -2 -2. w2: 2 2 1 1 2 1.
    expect(Array.from(flips)).toEqual([2, 1, 0]);
    expect(Array.from(reversals)).toEqual([1, 3, 2]);
    expect(Array.from(path)).toEqual([6, 6, 3]);
    expect(Array.from(start)).toEqual([1, 0, 2]);
    expect(Array.from(last)).toEqual([3, -2, 1]);
    const model = new Small(w, (x, own) => x.mul(own));
    const of = (name: 'signFlips' | 'directionReversals' | 'pathLength' | 'weightChange') =>
      numbersIn(measures[name]().measure({ model, movement }), 'w').map((x) => Math.round(1e6 * (1 / x - 1)) / 1e6);
    expect(of('signFlips')).toEqual([2, 1, 0]);
    expect(of('directionReversals')).toEqual([1, 3, 2]);
    expect(of('pathLength')).toEqual([6, 6, 3]);
    expect(of('weightChange')).toEqual([2, 2, 1]);
  });

  it('watches an optimizer until it is detached', () => {
    const w = parameter(tensor([3]));
    const optimizer = new SGD([w], { lr: 1 });
    const movement = new WeightMovement([['w', w]]);
    const detach = movement.attach(optimizer);
    for (let i = 0; i < 3; i++) {
      optimizer.zeroGrad();
      w.sum().backward();
      optimizer.step();
      if (i === 1) detach();
    }
    expect(Array.from(movement.of('w').path)).toEqual([2]);
  });

  it('forgets what weights did that are drawn anew', () => {
    const w = parameter(tensor([1, 1]));
    const movement = new WeightMovement([['w', w]]);
    write(w, [-1, -1]);
    movement.observe();
    reset(w, { index: [1] }, 5);
    movement.observe();
    const { flips, path, start } = movement.of('w');
    expect(Array.from(flips)).toEqual([1, 0]);
    expect(Array.from(path)).toEqual([2, 0]);
    expect(Array.from(start)).toEqual([1, 5]);
    write(w, [-1, -5]);
    movement.observe();
    expect(Array.from(flips)).toEqual([1, 1]);
  });

  it('refuses what is no parameter, and names that it does not watch', () => {
    expect(() => new WeightMovement([])).toThrow(/^WeightMovement: there are no parameters to watch/);
    expect(() => new WeightMovement([['x', tensor([1])]])).toThrow(
      /^WeightMovement: x, of shape \[1\], is no parameter/,
    );
    expect(() => new WeightMovement([['w', parameter(tensor([1]))]]).of('v')).toThrow(
      /^WeightMovement: no parameter named v is watched; there are w\./,
    );
  });
});

describe('PathIntegral', () => {
  it('by hand: -g times the step that was made, whatever made it', () => {
    const w = parameter(tensor([1, 2]));
    const path = new PathIntegral([['w', w]]);
    path.before(new Map([['w', tensor([3, -1])]]));
    write(w, [0.5, 1]);
    path.after();
    expect(Array.from(path.of('w').path)).toEqual([1.5, -1]);
    path.before(new Map([['w', tensor([1, 1])]]));
    write(w, [0, 1]);
    path.after();
    expect(Array.from(path.of('w').path)).toEqual([2, -1]);
    expect(Array.from(path.of('w').start)).toEqual([1, 2]);
  });

  it('adds up to the fall of the loss, for small steps of any optimizer', () => {
    const generator = new Generator(2);
    const model = new Sequential(new Linear(4, 6, { generator }), new Linear(6, 2, { generator }));
    const [x, y] = [randn([16, 4], { generator }), randn([16, 2], { generator })];
    const optimizer = new Adam(model.parameters(), { lr: 1e-3 });
    const path = new PathIntegral(model.namedParameters());
    const detach = path.attach(optimizer);
    const loss = () => model.forward(x).sub(y).square().mean();
    const before = loss().item();
    for (let i = 0; i < 60; i++) {
      optimizer.zeroGrad();
      loss().backward();
      optimizer.step();
    }
    const fall = before - loss().item();
    detach();
    const sum = path.names.reduce((total, name) => path.of(name).path.reduce((so, one) => so + one, total), 0);
    expect(fall).toBeGreaterThan(0.05);
    expect(sum / fall).toBeCloseTo(1, 1);
  });

  it('a parameter without gradient brings nothing, though it moves', () => {
    const [w, v] = [parameter(tensor([1])), parameter(tensor([1]))];
    const path = new PathIntegral([
      ['w', w],
      ['v', v],
    ]);
    path.before(new Map([['w', tensor([1])]]));
    write(w, [0]);
    write(v, [0]);
    path.after();
    expect([path.of('w').path[0], path.of('v').path[0]]).toEqual([1, 0]);
  });

  it('forgets weights that are drawn anew, even between the notes of a step', () => {
    const w = parameter(tensor([1, 1]));
    const path = new PathIntegral([['w', w]]);
    const gradients = new Map([['w', tensor([1, 1])]]);
    path.before(gradients);
    write(w, [0, 0]);
    path.after();
    path.before(gradients);
    reset(w, { index: [0] }, 7);
    path.after();
    expect(Array.from(path.of('w').path)).toEqual([0, 1]);
    expect(Array.from(path.of('w').start)).toEqual([7, 1]);
  });

  it('begins anew at the present values, and does not alias them', () => {
    const w = parameter(tensor([1]));
    const path = new PathIntegral([['w', w]]);
    path.before(new Map([['w', tensor([1])]]));
    write(w, [4]);
    path.after();
    path.reset();
    write(w, [9]);
    expect([path.of('w').path[0], path.of('w').start[0]]).toEqual([0, 4]);
  });

  /** Steps of random size, and the same integral in double precision. */
  function long(steps: number) {
    const generator = new Generator(4);
    const w = parameter(tensor([1, -2, 0.5]));
    const path = new PathIntegral([['w', w]]);
    const exact = [0, 0, 0];
    const values = [1, -2, 0.5];
    for (let step = 0; step < steps; step++) {
      const gradient = values.map(() => Math.fround(1 + 0.3 * generator.normal()));
      const next = values.map((x, i) => Math.fround(x - 1e-3 * gradient[i]!));
      path.before(new Map([['w', tensor(gradient)]]));
      write(w, next);
      path.after();
      for (let i = 0; i < 3; i++) {
        exact[i]! -= gradient[i]! * (next[i]! - values[i]!);
        values[i] = next[i]!;
      }
    }
    return { w, path, exact };
  }

  it('adds steps up in double precision, piece by piece: float32 alone would be ten times off', () => {
    const { path, exact } = long(1000);
    const found = path.of('w').path;
    for (let i = 0; i < 3; i++) expect(Math.abs(found[i]! / exact[i]! - 1)).toBeLessThan(2e-7);
    expect(path.of('w').path).toEqual(found);
  });

  it('forgets of a weight that is drawn anew what it did long ago, too', () => {
    const { w, path } = long(100);
    const before = path.of('w').path;
    reset(w, { index: [1] }, 3);
    expect(Array.from(path.of('w').path)).toEqual([before[0], 0, before[2]]);
    path.reset();
    expect(Array.from(path.of('w').path)).toEqual([0, 0, 0]);
  });

  it('reads gradients and parameters that do not stand in a row', () => {
    const w = parameter(
      tensor([
        [1, 2],
        [3, 4],
      ]),
    );
    const turned = tensor([
      [1, 3],
      [2, 4],
    ]).transpose(0, 1);
    const path = new PathIntegral([['w', w]]);
    path.before(new Map([['w', turned]]));
    noGrad(() => w.sub_(1));
    path.after();
    expect(Array.from(path.of('w').path)).toEqual([1, 2, 3, 4]);
  });

  it('says so where nothing was noted before, and where a gradient has another shape', () => {
    const path = new PathIntegral([['w', parameter(tensor([1, 2]))]]);
    expect(() => path.after()).toThrow(/^PathIntegral.after: nothing was noted before this step/);
    expect(() => path.before(new Map([['w', tensor([1])]]))).toThrow(
      /the gradient of w has shape \[1\], the parameter \[2\]/,
    );
  });

  it('makes synaptic intelligence: path, never below 0, over squared distance and xi', () => {
    const w = parameter(tensor([1, 2]));
    const path = new PathIntegral([['w', w]]);
    path.before(new Map([['w', tensor([3, -1])]]));
    write(w, [0.5, 1]);
    path.after();
    const model = new Small(w, (x, own) => x.mul(own));
    const found = numbersIn(measures.synapticIntelligence({ xi: 0.5 }).measure({ model, path }), 'w');
    expect(found).toEqual([1.5 / (0.25 + 0.5), 0]);
    expect(() => measures.synapticIntelligence({ xi: 0 })).toThrow(/xi must be a number above 0, not 0/);
  });
});

describe('RiemannianWalk', () => {
  it('by hand: each stretch, over half the running information times the squared distance, plus the damping', () => {
    const w = parameter(tensor([1, 1]));
    const walk = new RiemannianWalk([['w', w]], { every: 2, alpha: 0.25, damping: 0.25 });
    const step = (gradient: number[], to: number[]) => {
      walk.before(new Map([['w', tensor(gradient)]]));
      write(w, to);
      walk.after();
    };
    step([2, -1], [0, 0]);
    expect(Array.from(walk.of('w').score)).toEqual([0, 0]);
    step([4, 1], [-1, 1]);
    // Information: 4 at first, then 0.75 * 4 + 0.25 * 16 = 7, and 1. The fall: 2 + 4 = 6, and -1 - 1 = -2.
    expect(Array.from(walk.of('w').fisher)).toEqual([7, 1]);
    expect(Array.from(walk.of('w').score)).toEqual([6 / (0.5 * 7 * 4 + 0.25), 0]);
    step([0, -1], [-1, 2]);
    step([0, 0], [-1, 2]);
    // The second stretch begins where the first ended.
    const information = 0.75 * (0.75 * 1 + 0.25 * 1);
    expect(walk.of('w').score[1]).toBeCloseTo(1 / (0.5 * information + 0.25), 12);
    const model = new Small(w, (x, own) => x.mul(own));
    expect(numbersIn(measures.riemannianWalk().measure({ model, walk }), 'w')[1]).toBeCloseTo(
      information + 1 / (0.5 * information + 0.25),
      6,
    );
  });

  it('reads .grad when attached, forgets weights drawn anew, and begins anew', () => {
    const w = parameter(tensor([1, 1]));
    const optimizer = new SGD([w], { lr: 0.5 });
    const walk = new RiemannianWalk([['w', w]], { every: 1, alpha: 1, damping: 1 });
    const detach = walk.attach(optimizer);
    w.mul(tensor([2, 4]))
      .sum()
      .backward();
    optimizer.step();
    // Steps 1 and 2, falls 2 and 8, information 4 and 16.
    expect(Array.from(walk.of('w').score)).toEqual([2 / (2 + 1), 8 / (0.5 * 16 * 4 + 1)]);
    reset(w, { index: [0] }, 1);
    expect([walk.of('w').score[0], walk.of('w').fisher[0]]).toEqual([0, 0]);
    expect(walk.of('w').fisher[1]).toBe(16);
    walk.reset();
    expect(Array.from(walk.of('w').fisher)).toEqual([0, 0]);
    detach();
    optimizer.step();
    expect(Array.from(walk.of('w').score)).toEqual([0, 0]);

    const slow = new RiemannianWalk([['w', w]], { alpha: 0.5 });
    slow.before(new Map([['w', tensor([9, 9])]]));
    slow.reset();
    slow.before(new Map([['w', tensor([2, 1])]]));
    // The first information after a new beginning is that of the first gradient, whole.
    expect(Array.from(slow.of('w').fisher)).toEqual([4, 1]);
  });

  it('and the path integral are what the methods rwalk and si measure in a learner', () => {
    const generator = new Generator(6);
    const model = new Sequential(new Linear(4, 6, { generator }), new Linear(6, 2, { generator }));
    const optimizer = new Adam(model.parameters(), { lr: 0.01 });
    const [ways, walks] = [si({ strength: 0 }), rwalk({ lambda: 0, every: 7 })];
    const learner = new ContinualLearner({ model, optimizer, methods: [ways, walks] });
    const [path, walk] = [
      new PathIntegral(model.namedParameters()),
      new RiemannianWalk(model.namedParameters(), { every: 7 }),
    ];
    for (const tracker of [path, walk]) tracker.attach(optimizer);
    for (let i = 0; i < 30; i++) {
      const labels = Int32Array.from({ length: 8 }, () => generator.integer(2));
      learner.learn({ x: randn([8, 4], { generator }), labels, head: [0, 2], context: 0 });
    }
    const near = (found: ArrayLike<number>, method: Tensor): void => {
      const expected = method.toFloat32Array();
      const size = Math.max(...expected.map(Math.abs));
      expect(size).toBeGreaterThan(0);
      for (let i = 0; i < expected.length; i++) expect(Math.abs(found[i]! - expected[i]!)).toBeLessThan(1e-6 * size);
    };
    for (const [name, w] of model.namedParameters()) {
      near(path.of(name).path, ways.way(w)!.path);
      near(walk.of(name).score, walks.walk(w)!.score);
      near(walk.of(name).fisher, walks.walk(w)!.fisher);
    }
  });

  it('refuses options out of range', () => {
    const named: [string, Tensor][] = [['w', parameter(tensor([1]))]];
    expect(() => new RiemannianWalk(named, { every: 0 })).toThrow(/every is a number of steps from 1 up, not 0/);
    expect(() => new RiemannianWalk(named, { alpha: 0 })).toThrow(/alpha must be a number above 0 and up to 1/);
    expect(() => new RiemannianWalk(named, { damping: 0 })).toThrow(/damping must be a finite number above 0/);
  });
});
