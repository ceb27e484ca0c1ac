/** Projections of gradients: the quadratic program against brute force, and A-GEM and GEM against formulas. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { spring } from '../../../src/autograd/message.ts';
import { backward, seed } from '../../../src/autograd/seeds.ts';
import { gradients } from '../../../src/autograd/transforms.ts';
import type { Batch, Learning } from '../../../src/continual/method.ts';
import { agem } from '../../../src/continual/replay/agem.ts';
import { multipliers } from '../../../src/continual/replay/cone.ts';
import { gem } from '../../../src/continual/replay/gem.ts';
import type { Context, Head } from '../../../src/data/scenarios.ts';
import { formatCheckpoint, restoreCheckpoint } from '../../../src/io/checkpoint.ts';
import { Generator } from '../../../src/random/generator.ts';
import { ones, tensor } from '../../../src/tensor/create.ts';
import type { Tensor } from '../../../src/tensor/tensor.ts';
import { dot, lengthOf, nearest } from './brute-force.ts';
import { batchOf, context, examples, learningOf, network, read, stepOf } from './toy.ts';

/** g + sum v_k m_k with the v that the solver finds. */
function solved(g: readonly number[], vectors: readonly (readonly number[])[], margin = 0): number[] {
  const v = multipliers({
    gram: Float64Array.from(vectors.flatMap((a) => vectors.map((b) => dot(a, b)))),
    products: Float64Array.from(vectors, (one) => dot(g, one)),
    squaredLength: dot(g, g),
    margin,
  });
  expect(v).toHaveLength(vectors.length);
  for (const one of v) expect(one).toBeGreaterThanOrEqual(margin);
  return g.map((x, i) => vectors.reduce((sum, one, k) => sum + v[k]! * one[i]!, x));
}

const expectClose = (found: readonly number[], expected: readonly number[], scale: number): void => {
  expect(found).toHaveLength(expected.length);
  expected.forEach((x, i) => {
    expect(Math.abs(found[i]! - x), `entry ${i}: ${found[i]}, not ${x}`).toBeLessThanOrEqual(scale);
  });
};

describe('the quadratic program', () => {
  const problems = fc.integer({ min: 1, max: 5 }).chain((size) => {
    const vector = fc.array(fc.integer({ min: -3, max: 3 }), { minLength: size, maxLength: size });
    return fc.tuple(vector, fc.array(vector, { maxLength: 4 }));
  });

  it('finds the nearest vector that has no negative product: ties, zeros, opposite and dependent vectors too', () => {
    fc.assert(
      fc.property(problems, fc.constantFrom(1, 1e-6, 1e6), ([g, vectors], scale) => {
        const scaled = vectors.map((one, k) => one.map((x) => x * (k % 2 === 0 ? scale : 1)));
        const found = solved(g, scaled);
        for (const one of scaled) expect(dot(found, one)).toBeGreaterThanOrEqual(-1e-9 * lengthOf(one) * lengthOf(g));
        expectClose(found, [...nearest(g, scaled)], 1e-8 * lengthOf(g));
      }),
      { seed: 20261207, numRuns: 800 },
    );
  });

  it('with a margin finds the nearest to g + margin sum m_k', () => {
    fc.assert(
      fc.property(problems, ([g, vectors]) => {
        const shifted = g.map((x, i) => vectors.reduce((sum, one) => sum + 0.5 * one[i]!, x));
        expectClose(solved(g, vectors, 0.5), [...nearest(shifted, vectors)], 1e-7);
      }),
      { seed: 20261208, numRuns: 300 },
    );
  });

  it('serves many constraints, near parallel ones too', () => {
    const draw = new Generator(3);
    for (let trial = 0; trial < 20; trial++) {
      const common = Array.from({ length: 30 }, () => draw.normal());
      const spread = 10 ** -(trial % 5);
      const vectors = Array.from({ length: 20 }, () => common.map((x) => x + spread * draw.normal()));
      const g = Array.from({ length: 30 }, () => draw.normal()).map((x, i) => x - 0.5 * common[i]!);
      const found = solved(g, vectors);
      const size = lengthOf(g);
      const products = vectors.map((one) => dot(found, one) / lengthOf(one));
      for (const one of products) expect(one).toBeGreaterThanOrEqual(-1e-9 * size);
      // By complementarity, what was added is orthogonal to what came out: so it is the nearest.
      const added = found.map((x, i) => x - g[i]!);
      expect(Math.abs(dot(added, found))).toBeLessThan(1e-7 * size * size);
    }
  });

  it('leaves no constraint out for another that is its double but for rounding, nor because it is hardly broken', () => {
    const g = [-3, -2, -1, 5];
    const vectors = [
      [1, 0, 0, 0],
      [1, 1e-9, 0, 0],
      [1, 0, 1e-9, 0],
      [0.5, 1, 0, 0],
      [0, 0, 1, 0],
    ];
    for (const order of [vectors, vectors.toReversed()]) {
      const found = solved(g, order);
      for (const one of order) expect(dot(found, one)).toBeGreaterThanOrEqual(-1e-8);
      expectClose(found, [0, 0, 0, 5], 1e-8);
    }
    expectClose(solved([-1e-7, 1], [[2, 0]]), [0, 1], 1e-15);
  });
});

const draw = new Generator(12);
const inputs = Array.from({ length: 6 }, () => Array.from({ length: 4 }, () => draw.normal()));
/** The same inputs in every context, with labels that begin elsewhere. */
const made = (index: number, first: number, head: Head = [0, 2]): Context =>
  context(
    index,
    examples(
      inputs.map((row, i) => row.map((x, j) => x + 0.3 * index * Math.cos(3 * i + j))),
      inputs.map((_, i) => head[0] + ((i + first) % (head[1] - head[0]))),
    ),
    head,
  );
const rows = [0, 1, 2, 3, 4, 5];

const lossOf = (learning: Learning, { x, labels, head }: Batch) => learning.lossOf(learning.output(x), labels, head);
/** The gradient of the loss of a batch, all parameters as one vector. */
function gradientOf(learning: Learning, batch: Batch): number[] {
  const parameters = [...learning.parameters.values()];
  return gradients(lossOf(learning, batch), parameters).flatMap((one, i) =>
    one === null ? Array(parameters[i]!.size).fill(0) : read(one),
  );
}
/** Gives every weight a gradient: its number, over all parameters, decides. */
function setGradients(learning: Learning, value: (i: number) => number): void {
  let at = 0;
  for (const parameter of learning.parameters.values()) {
    const { size, shape } = parameter;
    const first = at;
    parameter.grad = tensor(
      Array.from({ length: size }, (_, i) => value(first + i)),
      shape,
    );
    at += size;
  }
}
const flat = (learning: Learning): number[] => [...learning.parameters.values()].flatMap(({ grad }) => read(grad));

describe('A-GEM', () => {
  const make = () => agem({ perClass: 9, batchSize: 99, generator: new Generator(1) });
  const setUp = (present: Context, method = make(), outputs = 2, earlier: readonly Context[] = [made(0, 0)]) => {
    const learning = learningOf(network(outputs));
    for (const one of earlier) method.end!(one, learning);
    const step = stepOf(learning, batchOf(present, rows));
    const walkBack = () => learning.lossOf(step.output, step.batch.labels, step.batch.head).backward();
    return { learning, step, walkBack, method };
  };

  it('takes away the part that points against the gradient of what is remembered, and no other', () => {
    // The same inputs with the other labels.
    const { learning, step, walkBack, method } = setUp(made(1, 1));
    walkBack();
    const g = flat(learning);
    const reference = gradientOf(learning, batchOf(made(0, 0), rows));
    const along = dot(g, reference);
    expect(along).toBeLessThan(0);
    method.gradients!(step);
    const expected = g.map((x, i) => x - (along / (dot(reference, reference) + 1e-7)) * reference[i]!);
    expectClose(flat(learning), expected, 1e-6);
    expect(Math.abs(dot(flat(learning), reference))).toBeLessThan(1e-6);
    expect(lengthOf(flat(learning))).toBeGreaterThan(0.01);
  });

  it('changes no bit where the angle is acute, where nothing is remembered, and in the remembered context', () => {
    for (const [present, method] of [
      [made(1, 0), make()],
      [made(0, 1), make()],
    ] as const) {
      const { learning, step, walkBack } = setUp(present, method);
      walkBack();
      const g = flat(learning);
      method.gradients!(step);
      expect(flat(learning)).toEqual(g);
    }
    const { learning, step, walkBack, method } = setUp(made(1, 1), make(), 2, []);
    walkBack();
    const g = flat(learning);
    method.gradients!(step);
    expect(flat(learning)).toEqual(g);
  });

  it('takes the mean over heads for its reference where contexts have heads of their own', () => {
    const earlier = [made(0, 0, [0, 2]), made(1, 1, [2, 4])];
    const { learning, step, method } = setUp(made(2, 0, [4, 6]), make(), 6, earlier);
    const [a, b] = earlier.map((one) => gradientOf(learning, batchOf(one, rows))) as [number[], number[]];
    const reference = a.map((x, i) => (x + b[i]!) / 2);
    setGradients(learning, (i) => 0.02 * Math.cos(i) - reference[i]!);
    const g = flat(learning);
    const along = dot(g, reference);
    expect(along).toBeLessThan(0);
    method.gradients!(step);
    const expected = g.map((x, i) => x - (along / (dot(reference, reference) + 1e-7)) * reference[i]!);
    expectClose(flat(learning), expected, 1e-6);
  });

  it('serves parameters that no gradient reached, and those that are frozen', () => {
    const { learning, step, method } = setUp(made(1, 1));
    const reference = gradientOf(learning, batchOf(made(0, 0), rows));
    const [first, second, third, fourth] = [...learning.parameters.values()] as [Tensor, Tensor, Tensor, Tensor];
    setGradients(learning, (i) => -reference[i]!);
    second.grad = null;
    fourth.requiresGrad_(false);
    method.gradients!(step);
    // Without the fourth: a g of -ref, but 0 at the second.
    const [own, gap] = [first.size, second.size];
    const known = reference.slice(0, own + gap + third.size);
    const g = known.map((x, i) => (i >= own && i < own + gap ? 0 : -x));
    const factor = -dot(g, known) / (dot(known, known) + 1e-7);
    const expected = g.map((x, i) => x + factor * known[i]!);
    expectClose(
      [first, second, third].flatMap(({ grad }) => read(grad)),
      expected,
      1e-6,
    );
    expect(second.grad).not.toBeNull();
    expect(fourth.grad).toBeNull();
  });

  it('leaves the graph of the step as it was: what comes after it may read the output and walk back again', () => {
    const { learning, step, walkBack, method } = setUp(made(1, 1));
    const loss = learning.lossOf(step.output, step.batch.labels, step.batch.head);
    walkBack();
    const values = read(step.output);
    method.gradients!(step);
    for (const parameter of learning.parameters.values()) parameter.grad = null;
    loss.backward();
    expect(read(step.output)).toEqual(values);
    expectClose(flat(learning), gradientOf(learning, step.batch), 0);
  });

  it('refuses targets, which it cannot project', () => {
    const { learning, step, method } = setUp(made(1, 1));
    const [weight] = [...learning.parameters.values()] as [Tensor];
    backward(seed(weight, spring(ones(weight.shape), 1)));
    expect(() => method.gradients!(step)).toThrow(
      /agem: targets arrived at a parameter.*Use rules that send gradients/,
    );
  });

  it('goes on from a checkpoint as it would have gone on', () => {
    const [here, there] = [1, 2].map((seed) => agem({ perClass: 2, batchSize: 2, generator: new Generator(seed) })) as [
      ReturnType<typeof agem>,
      ReturnType<typeof agem>,
    ];
    const { learning, step, walkBack } = setUp(made(1, 1), here);
    walkBack();
    here.gradients!(step);
    restoreCheckpoint(formatCheckpoint({ algorithm: here }), { algorithm: there });
    const after = [here, there].map((method) => {
      setGradients(learning, (i) => Math.sin(i));
      for (let i = 0; i < 3; i++) method.gradients!(step);
      return flat(learning);
    });
    expect(after[1]).toEqual(after[0]);
  });

  it('says what is out of range when it is made', () => {
    expect(() => agem({} as never)).toThrow(/agem: .*generator, but none was given/);
    expect(() => agem({ perClass: -1, generator: draw })).toThrow(/agem: perClass/);
    expect(() => agem({ buffer: 'reservoir', capacity: 9, batchSize: 10, generator: draw })).toThrow(
      /agem: 10 examples cannot be drawn from a reservoir of 9/,
    );
  });
});

describe('GEM', () => {
  const contexts = [made(0, 0), made(1, 1), made(2, 0), made(3, 1)] as const;
  /** After all but the last were seen. */
  const setUp = (options: Parameters<typeof gem>[0], last = 3) => {
    const learning = learningOf(network(2));
    const method = gem(options);
    for (const one of contexts.slice(0, last)) method.stepped!(stepOf(learning, batchOf(one, rows)));
    const step = stepOf(learning, batchOf(contexts[last]!, rows));
    const memories = contexts.slice(0, last).map((one) => gradientOf(learning, batchOf(one, rows)));
    return { learning, method, step, memories };
  };
  /** Gradients against which several of the memories stand. */
  const against = (memories: readonly number[][]) => (i: number) =>
    0.05 * Math.cos(i) - memories[0]![i]! - 0.8 * (memories[1]?.[i] ?? 0) + 0.1 * (memories[2]?.[i] ?? 0);

  it.each([1, 2, 3])('moves to the nearest vector that is against none of %d earlier contexts', (last) => {
    const { learning, method, step, memories } = setUp({ margin: 0 }, last);
    setGradients(learning, against(memories));
    const g = flat(learning);
    expect(memories.some((one) => dot(one, g) < 0)).toBe(true);
    method.gradients!(step);
    const found = flat(learning);
    for (const one of memories) expect(dot(found, one)).toBeGreaterThan(-1e-6 * lengthOf(one) * lengthOf(g));
    expectClose(found, [...nearest(g, memories, 1e-6)], 1e-5 * lengthOf(g));
  });

  it('with a margin moves to the nearest of what all multipliers of the margin make of it', () => {
    const { learning, method, step, memories } = setUp({});
    setGradients(learning, against(memories));
    const g = flat(learning);
    method.gradients!(step);
    const shifted = g.map((x, i) => memories.reduce((sum, one) => sum + 0.5 * one[i]!, x));
    expectClose(flat(learning), [...nearest(shifted, memories, 1e-6)], 1e-5 * lengthOf(shifted));
  });

  it('changes no bit where no constraint is broken, whatever the margin, nor in the only context', () => {
    const { learning, method, step, memories } = setUp({ margin: 2 }, 1);
    setGradients(learning, (i) => memories[0]![i]! + 1e-3 * Math.cos(i));
    const g = flat(learning);
    method.gradients!(step);
    expect(flat(learning)).toEqual(g);
    setGradients(learning, (i) => -memories[0]![i]!);
    const other = flat(learning);
    method.gradients!(stepOf(learning, batchOf(contexts[0], rows)));
    expect(flat(learning)).toEqual(other);
  });

  it('remembers the last examples of each context', () => {
    const method = gem({ perContext: 4 });
    const learning = learningOf(network(2));
    for (const some of [[0, 1, 2], [3, 4], [5]]) method.stepped!(stepOf(learning, batchOf(contexts[0], some)));
    method.stepped!(stepOf(learning, batchOf(contexts[1], rows)));
    const { contexts: kept } = method.stateDict();
    const firsts = kept.map(({ store }) => [...store.inputs].filter((_, i) => i % 4 === 0).sort());
    const expected = [0, 1].map((index) =>
      [2, 3, 4, 5]
        .map((row) => Math.fround((contexts[index]!.train.inputs([row]).toArray() as number[][])[0]![0]!))
        .sort(),
    );
    expect(firsts).toEqual(expected);
    expect(kept.map(({ context: index, next }) => [index, next])).toEqual([
      [0, 2],
      [1, 0],
    ]);
  });

  it('goes on from a checkpoint as it would have gone on', () => {
    const { learning, method, step, memories } = setUp({ perContext: 6 });
    const other = gem({ perContext: 6 });
    restoreCheckpoint(formatCheckpoint({ algorithm: method }), { algorithm: other });
    const after = [method, other].map((one) => {
      setGradients(learning, against(memories));
      one.gradients!(step);
      one.stepped!(step);
      return flat(learning);
    });
    expect(after[1]).toEqual(after[0]);
    expect(other.stateDict()).toEqual(method.stateDict());
    expect(() => gem({ perContext: 3 }).loadStateDict(method.stateDict())).toThrow(/buffer of 3/);
  });

  it('says what is out of range when it is made', () => {
    expect(() => gem({ perContext: 0 })).toThrow(/gem: perContext is a number of examples.*not 0/);
    expect(() => gem({ margin: -0.1 })).toThrow(/gem: margin is a finite number from 0 up, not -0.1/);
  });
});
