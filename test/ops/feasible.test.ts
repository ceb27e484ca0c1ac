/**
 * What ops say they can produce, driven by the registry: each states it; a projection leaves what the op produces where it is,
 * changes nothing the second time, and lands on the image: nearest, where it says exact.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type AnyOp, apply, type Projection, type Recorded } from '../../src/autograd/define.ts';
import { Draw, eye, Generator, matmul, registeredOps, type Tensor, tensor, transpose } from '../../src/index.ts';
import '../../src/ops/normalization.ts';
import '../../src/ops/solve.ts';
import { ontoSimplex } from '../../src/ops/simplex.ts';
import { expectClose, flat } from './numbers.ts';

const fixedSeed = { seed: 20261120, numRuns: 50 };
const ops = [...registeredOps().values()];
const named = (name: string): AnyOp => registeredOps().get(name)!;

type Call = { inputs: readonly Tensor[]; attributes: unknown };
const samplesOf = (op: AnyOp): readonly Call[] => op.samples(new Draw(new Generator(3)));
const numbers = (count: number, from: () => number) => Array.from({ length: count }, from);

/** A call whose inputs may all move, unless told which are fixed. */
function recorded(op: AnyOp, { inputs, attributes }: Call, fixed: readonly number[] = []) {
  const given = inputs.map((x, i) => (fixed.includes(i) ? x.detach() : x.detach().requiresGrad_()));
  return { inputs: given, attributes, output: apply(op, given, attributes), saved: null };
}

function project(op: AnyOp, wished: Tensor, node: Recorded<readonly Tensor[], unknown>): Tensor {
  const { feasible } = op;
  return feasible === undefined || feasible === 'everything' ? wished : feasible.project(wished, node);
}

const distance = (a: Tensor, b: Tensor) => Math.hypot(...flat(a).map((x, i) => x - flat(b)[i]!));

/** Inputs that the op takes, anywhere. */
function anyInputs({ name }: AnyOp, { inputs }: Call, draw: Draw, scale: number): Tensor[] {
  const drawn = inputs.map((x) => draw.normal(x.shape, scale));
  const [x] = drawn as [Tensor];
  if (name === 'cholesky') return [matmul(x, transpose(x)).add(eye(x.shape[0]!))];
  // Where the variance is far above eps.
  return name === 'layerNorm' || name === 'batchNorm' ? [x.mul(300), ...inputs.slice(1)] : drawn;
}

const projecting = ops.filter(
  (op): op is AnyOp & { feasible: Projection<readonly Tensor[], unknown> } => typeof op.feasible === 'object',
);

describe('what an op can produce', () => {
  it.each(ops.map((op) => [op.name, op] as const))('%s says it, or that it only moves numbers', (_, op) => {
    expect([op.carries === true, op.feasible !== undefined]).toContain(false);
    expect(op.carries === true || op.feasible !== undefined).toBe(true);
  });

  it('is asked of about as many ops as have a range', () => {
    expect(projecting.length).toBeGreaterThan(35);
    expect(ops.filter(({ carries }) => carries).length).toBeGreaterThan(10);
  });

  it('is told of layers with what they learn behind their data', () => {
    expect([named('linear').data, named('conv2d').data, named('layerNorm').data]).toEqual([1, 1, 1]);
  });
});

describe('an op that carries', () => {
  for (const op of ops.filter(({ carries }) => carries))
    it(`${op.name} gives elements of its inputs, or constants`, () => {
      samplesOf(op).forEach(({ inputs, attributes }) => {
        const moved = inputs.map((x) => x.mul(1.5).add(x.sign()));
        const [before, after] = [apply(op, inputs, attributes), apply(op, moved, attributes)].map(flat);
        const [from, to] = [new Set(inputs.flatMap(flat)), new Set(moved.flatMap(flat))];
        before!.forEach((x, i) => {
          expect((from.has(x) && to.has(after![i]!)) || x === after![i]!).toBe(true);
        });
      });
    });
});

describe('a projection', () => {
  for (const op of projecting) {
    const call = fc.record({
      at: fc.nat(samplesOf(op).length - 1),
      seed: fc.integer(),
      scale: fc.constantFrom(0.3, 3, 30),
    });

    it(`${op.name} leaves alone what the op produces`, () => {
      samplesOf(op).forEach((sample) => {
        const node = recorded(op, sample);
        expectClose(project(op, node.output, node), node.output, 1e-6);
      });
    });

    it(`${op.name} keeps the shape, and changes nothing the second time`, () => {
      fc.assert(
        fc.property(call, ({ at, seed, scale }) => {
          const node = recorded(op, samplesOf(op)[at]!);
          const wished = new Draw(new Generator(seed)).normal(node.output.shape, scale);
          const once = project(op, wished, node);
          expect(once.shape).toEqual(node.output.shape);
          expectClose(project(op, once, node), once, 1e-6);
        }),
        fixedSeed,
      );
    });

    it(`${op.name} is nowhere beaten by what the op produces${op.feasible.is === 'exact' ? '' : ' (of itself)'}`, () => {
      fc.assert(
        fc.property(call, ({ at, seed, scale }) => {
          const draw = new Draw(new Generator(seed));
          const sample = samplesOf(op)[at]!;
          const node = recorded(op, sample);
          const anywhere = anyInputs(op, sample, draw, scale);
          const produced = apply(op, anywhere, sample.attributes);
          // Powers of negative numbers and the like.
          if (!flat(produced).every(Number.isFinite)) return;
          if (op.feasible.is === 'exact') {
            const wished = draw.normal(node.output.shape, 3);
            const away = distance(wished, project(op, wished, node));
            expect(away).toBeLessThanOrEqual(distance(wished, produced) + 1e-5 * (1 + away));
          } else expectClose(project(op, produced, node), produced, 1e-4);
        }),
        fixedSeed,
      );
    });

    it(`${op.name} keeps a NaN where it stands`, () => {
      const node = recorded(op, samplesOf(op)[0]!);
      const { size, shape } = node.output;
      // Where an op can send nothing, nothing arrives; one entry of those it sends to.
      const isOpen = flat(
        project(
          op,
          tensor(
            numbers(size, () => 0.3),
            shape,
          ),
          node,
        ),
      );
      const place = Math.max(
        0,
        isOpen.findIndex((x) => x !== 0),
      );
      const wished = tensor(numbers(size, () => 0.3).with(place, Number.NaN), shape);
      expect(flat(project(op, wished, node))[place]).toBeNaN();
    });
  }
});

describe('an elementwise function', () => {
  // From -1e6 to 1e6, dense around 0: some number of these comes as near to the projection as the tolerance says.
  const everywhere = tensor(
    numbers(
      40001,
      (
        (i) => () =>
          Math.sinh((i++ - 20000) / 1380)
      )(0),
    ),
  );

  const otherwise = ['norm', 'softmax', 'logSoftmax', 'indexAdd', 'scatter', 'maxPool2d'];
  for (const op of projecting.filter(({ name, inputs }) => inputs.join() === 'x' && !otherwise.includes(name)))
    [...new Map(samplesOf(op).map((sample) => [JSON.stringify(sample.attributes), sample])).values()].forEach(
      ({ attributes }, i) => {
        it(`${op.name} reaches all that its projection gives (${i})`, () => {
          const produced = flat(apply(op, [everywhere], attributes)).filter(Number.isFinite);
          const wished = tensor([-5, -1.5, -0.9, -0.31, -0.29, -0.171, -0.1701, -0.01, 0, 0.4, 0.6, 1, 1.2, 6]);
          const node = recorded(op, { inputs: [wished], attributes });
          for (const x of flat(project(op, wished, node))) {
            const gap = produced.reduce((least, y) => Math.min(least, Math.abs(x - y)), Infinity);
            expect(gap, `${op.name} to ${x}`).toBeLessThan(0.03);
          }
          expect(flat(project(op, tensor([Infinity, -Infinity]), node))).not.toContain(Number.NaN);
        });
      },
    );

  it.each([
    ['relu', undefined, [-2, 3], [0, 3]],
    ['sigmoid', undefined, [-2, 0.3, 3], [0, 0.3, 1]],
    ['silu', undefined, [-1, -0.2], [-0.27846454, -0.2]],
    ['mish', undefined, [-1, -0.3], [-0.30884341, -0.3]],
    ['gelu', undefined, [-1, -0.1], [-0.16997121, -0.1]],
    ['geluTanh', undefined, [-1, -0.1], [-0.17004075, -0.1]],
    ['hardswish', undefined, [-1, -0.3], [-0.375, -0.3]],
    ['selu', undefined, [-5, -1], [-1.7580993, -1]],
    ['sign', undefined, [-9, -0.55, -0.45, 0, 0.45, 0.55, 2], [-1, -1, 0, 0, 0, 1, 1]],
    ['leakyRelu', { slope: 0.1 }, [-2, 3], [-2, 3]],
    ['leakyRelu', { slope: 0 }, [-2, 3], [0, 3]],
    ['leakyRelu', { slope: -0.1 }, [-2, 3], [0, 3]],
    ['elu', { alpha: 0.7 }, [-2, -0.5, 3], [-0.7, -0.5, 3]],
    ['elu', { alpha: 0 }, [-2, 3], [0, 3]],
    ['elu', { alpha: -1 }, [-2, 3], [0, 3]],
    ['clamp', { min: -1, max: Infinity }, [-2, 9], [-1, 9]],
    ['clamp', { min: -Infinity, max: 1 }, [-2, 9], [-2, 1]],
    ['powScalar', { exponent: 3 }, [-2, 9], [-2, 9]],
    ['powScalar', { exponent: -1 }, [-2, 9], [-2, 9]],
    ['powScalar', { exponent: 4 }, [-2, 9], [0, 9]],
    ['powScalar', { exponent: 1.5 }, [-2, 9], [0, 9]],
    ['powScalar', { exponent: 0 }, [-2, 9], [1, 1]],
    ['logsigmoid', undefined, [-2, 3], [-2, 0]],
    ['expm1', undefined, [-2, 3], [-1, 3]],
    ['softplus', undefined, [-2, 3], [0, 3]],
  ] as const)('%s %j takes %j to %j', (name, attributes, wished, expected) => {
    const x = tensor([...wished]);
    expectClose(project(named(name), x, recorded(named(name), { inputs: [x], attributes })), [...expected]);
  });
});

describe('an op that sums', () => {
  const held = (name: string, at: number, wish: number) => {
    const op = named(name);
    const node = recorded(op, samplesOf(op)[at]!);
    return flat(project(op, node.output.mul(0).add(wish), node));
  };

  it('gives no negative norm and no negative squared error', () => {
    expect(held('norm', 0, -2)).toEqual([0, 0, 0]);
    expect(held('norm', 0, 2)).toEqual([2, 2, 2]);
    expect([held('squaredError', 0, -2), held('squaredError', 0, 2)]).toEqual([[0], [2]]);
  });

  it('gives 0 where it sends nothing', () => {
    // Columns 0 and 1 of 3; the entries (0, 0), (0, 2), (1, 1); the first number of each plane.
    expect(held('indexAdd', 0, 2)).toEqual([2, 2, 0, 2, 2, 0]);
    expect(held('scatter', 0, 2)).toEqual([2, 0, 2, 0, 2, 0]);
    expect(held('maxPool2dSend', 0, 2)).toEqual(
      numbers(40, () => 0)
        .with(0, 2)
        .with(20, 2),
    );
  });
});

describe('an op of two operands', () => {
  const wished = tensor([-2, 0.3, 5]);
  const pair = (name: string, a: number[], b: number[], fixed: readonly number[]) => {
    const op = named(name);
    const node = recorded(op, { inputs: [tensor(a), tensor(b)], attributes: undefined }, fixed);
    return flat(project(op, wished, node));
  };

  it('may produce anything if both may move', () => {
    for (const name of ['add', 'sub', 'mul', 'div', 'maximum', 'minimum'])
      expectClose(pair(name, [0, 1, 2], [0, 2, 1], []), wished);
    expectClose(pair('pow', [1, 2, 3], [2, 2, 2], []), wished);
  });

  it.each([
    ['mul', [0, 1, 2], [1, 0, 0], [1], [-2, 0, 0]],
    ['mul', [0, 1, 0], [1, 0, 1], [0], [0, 0.3, 0]],
    ['div', [0, 1, 0], [1, 1, 1], [0], [0, 0.3, 0]],
    ['div', [0, 1, 2], [1, 1, 1], [1], [-2, 0.3, 5]],
    ['maximum', [1, 1, 1], [0, 0, 0], [1], [0, 0.3, 5]],
    ['maximum', [1, 1, 1], [0, 0, 0], [0], [1, 1, 5]],
    ['minimum', [1, 1, 1], [0, 0, 0], [1], [-2, 0, 0]],
    ['minimum', [1, 1, 1], [0, 0, 0], [0], [-2, 0.3, 1]],
    ['pow', [1, 1, 1], [3, 3, -1], [1], [-2, 0.3, 5]],
    ['pow', [1, 1, 1], [2, 0, 0.5], [1], [0, 1, 5]],
    ['pow', [2, 1, -1], [2, 0, 0.5], [0], [0, 1, 5]],
    ['pow', [-2, 3, 0], [2, 0, 0.5], [0], [-2, 0.3, 5]],
    ['add', [1, 1, 1], [0, 0, 0], [0], [-2, 0.3, 5]],
    ['gt', [1, 1, 1], [0, 0, 0], [], [0, 0, 1]],
  ] as const)('%s of %j and %j with %j fixed gives %j', (name, a, b, fixed, expected) => {
    expectClose(pair(name, [...a], [...b], fixed), [...expected]);
  });
});

describe('softmax', () => {
  const nearest = (row: number[]) => {
    const numbers = Float64Array.from(row);
    ontoSimplex(numbers, 0, row.length);
    return [...numbers];
  };
  const { NaN: nan, POSITIVE_INFINITY: inf } = Number;

  it.each([
    [
      [0.2, 0.3, 0.5],
      [0.2, 0.3, 0.5],
    ],
    [
      [2, 0, 0],
      [1, 0, 0],
    ],
    [
      [1, 1, -4],
      [0.5, 0.5, 0],
    ],
    [
      [0.5, 0.6, 0.1, -1],
      [0.43333333333333, 0.53333333333333, 0.0333333333333, 0],
    ],
    [
      [1e30, 1e30, 0],
      [0.5, 0.5, 0],
    ],
    [[7], [1]],
    [
      [-3, -3],
      [0.5, 0.5],
    ],
    [
      [inf, 3, inf],
      [0.5, 0, 0.5],
    ],
    [
      [-inf, 0.25, 0.75],
      [0, 0.25, 0.75],
    ],
    [
      [-inf, -inf],
      [0.5, 0.5],
    ],
    [
      [nan, 3],
      [nan, nan],
    ],
    [
      [inf, nan],
      [nan, nan],
    ],
    [[], []],
  ])('of %j is nearest to %j', (row, expected) => expectClose(nearest(row), expected, 1e-12));

  it('has the conditions of the nearest point: sum 1, what is above 0 was lowered by one amount, the rest by no more', () => {
    const row = fc.array(fc.double({ min: -3, max: 3, noNaN: true }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(row, (x) => {
        const y = nearest(x);
        expect(y.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12);
        const lowered = x.map((value, i) => value - y[i]!);
        const theta = lowered.filter((_, i) => y[i]! > 0)[0]!;
        y.forEach((value, i) => {
          expect(value).toBeGreaterThanOrEqual(0);
          if (value > 0) expect(lowered[i]).toBeCloseTo(theta, 12);
          else expect(x[i]).toBeLessThanOrEqual(theta + 1e-12);
        });
      }),
      fixedSeed,
    );
  });

  it('goes by rows, along the axis that was asked for', () => {
    const op = named('softmax');
    const x = tensor([
      [2, 0],
      [0.1, 0.5],
    ]);
    expectClose(project(op, x, recorded(op, { inputs: [x], attributes: undefined })), [1, 0, 0.3, 0.7]);
    expectClose(project(named('logSoftmax'), x.mul(0), recorded(op, { inputs: [x], attributes: undefined })), [
      ...numbers(4, () => Math.log(0.5)),
    ]);
    const none = tensor([], [2, 0]);
    expect(project(op, none, recorded(op, { inputs: [none], attributes: undefined })).shape).toEqual([2, 0]);
  });
});

describe('a loss', () => {
  const op = named('crossEntropy');
  const least = (logits: number[], smoothing: number, reduction: string) => {
    const x = tensor([...logits, ...logits], [2, logits.length]);
    const node = recorded(op, { inputs: [x], attributes: { labels: Int32Array.of(0, 0), smoothing, reduction } });
    const wished = node.output.mul(0).sub(9);
    return { lowest: flat(project(op, wished, node)), produced: flat(node.output) };
  };

  it.each(['mean', 'sum', 'none'])(
    'crossEntropy (%s) with smoothing is never below what the smoothed target costs',
    (reduction) => {
      const smoothed = [0.7 + 0.1, 0.1, 0.1].map(Math.log);
      const { lowest, produced } = least(smoothed, 0.3, reduction);
      expectClose(produced, lowest, 1e-6);
      expect(lowest[0]).toBeGreaterThan(0.5);
    },
  );

  it('crossEntropy without smoothing is at least 0, and of one class always 0', () => {
    expect(least([1, 2], 0, 'mean').lowest).toEqual([0]);
    const x = tensor([[3]]);
    const one = recorded(op, {
      inputs: [x],
      attributes: { labels: Int32Array.of(0), smoothing: 0.5, reduction: 'sum' },
    });
    expectClose(project(op, tensor(4), one), [0]);
  });
});

describe('maxPool2d', () => {
  const op = named('maxPool2d');
  const geometry = (width: number, kernel: number, stride: number, columns: number) => ({
    image: [1, 1, 1, width],
    output: [1, 1, 1, columns],
    kernel: [1, kernel],
    stride: [1, stride],
    padding: [0, 0],
  });
  const opened = (wished: number[], ...[width, kernel, stride]: [number, number, number]) => {
    const attributes = geometry(width, kernel, stride, wished.length);
    const node = recorded(op, {
      inputs: [
        tensor(
          numbers(width, () => 0),
          [1, 1, 1, width],
        ),
      ],
      attributes,
    });
    return flat(project(op, tensor(wished, [1, 1, 1, wished.length]), node));
  };

  it('may have any maxima where windows do not overlap', () => expect(opened([3, -1, 2], 6, 2, 2)).toEqual([3, -1, 2]));

  it('lowers a wish that no image can have, where windows overlap', () => {
    // The windows of 3 share their numbers with windows that wish for less.
    expect(opened([1, 3, 1], 4, 2, 1)).toEqual([1, 1, 1]);
    expect(opened([3, 3, 1], 4, 2, 1)).toEqual([3, 3, 1]);
    expect(opened([1, 3, 1], 7, 3, 2)).toEqual([1, 3, 1]);
    const [first, odd, last] = opened([1, Number.NaN, 2], 4, 2, 1);
    expect([first, last, Number.isNaN(odd)]).toEqual([1, 2, true]);
  });

  it('does so in two dimensions, past a border, by steps', () => {
    const attributes = {
      ...{ image: [1, 2, 4, 7], output: [1, 2, 5, 4], kernel: [2, 3], stride: [1, 2], padding: [1, 1] },
    };
    fc.assert(
      fc.property(fc.integer(), fc.constantFrom(0.2, 1, 5), (seed, scale) => {
        const draw = new Draw(new Generator(seed));
        const node = recorded(op, { inputs: [draw.normal(attributes.image)], attributes });
        const wished = node.output.add(draw.uniform(attributes.output, 0, scale));
        const found = project(op, wished, node);
        const [low, mid, high] = [node.output, found, wished].map(flat);
        mid!.forEach((x, i) => {
          expect(low![i]! <= x && x <= high![i]!).toBe(true);
        });
        expect(flat(project(op, found, node))).toEqual(mid);
      }),
      fixedSeed,
    );
  });

  it('gives the largest producible maxima nowhere above the wish', () => {
    const eight = (integers: number) =>
      fc.array(fc.integer({ min: -integers, max: integers }), { minLength: 8, maxLength: 8 });
    fc.assert(
      fc.property(eight(3), eight(3), (image, wish) => {
        const produced = image.slice(0, 7).map((x, i) => Math.max(x, image[i + 1]!));
        const found = opened(wish.slice(0, 7), 8, 2, 1);
        found.forEach((x, i) => {
          expect(x).toBeLessThanOrEqual(wish[i]!);
        });
        if (produced.every((x, i) => x <= wish[i]!))
          produced.forEach((x, i) => {
            expect(x).toBeLessThanOrEqual(found[i]!);
          });
      }),
      { ...fixedSeed, numRuns: 500 },
    );
  });
});

describe('layerNorm', () => {
  const op = named('layerNorm');
  const x = tensor([[1, 2, 4, 6]]);
  const projected = (wished: number[], ...parameters: number[][]) => {
    const inputs = [x, ...parameters.map((numbers) => tensor(numbers))];
    return flat(project(op, tensor([wished]), recorded(op, { inputs, attributes: { eps: 1e-5 } })));
  };

  it('moves a row to mean 0 and length 2, the root of its 4 numbers', () => {
    expectClose(projected([11, 9, 10, 10]), [Math.SQRT2, -Math.SQRT2, 0, 0], 1e-5);
    expectClose(projected([0.1, -0.1, 0, 0]), [Math.SQRT2, -Math.SQRT2, 0, 0], 1e-5);
  });

  it('does so before weight and bias', () => {
    const [weight, bias] = [
      [2, 1, -1, 0.5],
      [1, 0, 3, 0],
    ];
    expectClose(projected([3, -1, 3, 0], weight, bias), [1 + 2 * Math.SQRT2, -Math.SQRT2, 3, 0], 1e-5);
  });

  it('keeps what it has where a weight is 0, and where all wishes are one number', () => {
    const now = flat(apply(op, [x], { eps: 1e-5 }));
    expectClose(projected([7, 7, 7, 7]), now);
    const found = projected([2, -2, 9, 9], [1, 1, 0, 1], [0, 0, 5, 0]);
    expect(found[2]).toBe(5);
    expectClose(projected([now[0]!, now[1]!, 9, now[3]!], [1, 1, 0, 1], [0, 0, 5, 0]), now.with(2, 5), 1e-5);
  });
});

describe('cholesky', () => {
  it('gives any lower triangle with no negative diagonal', () => {
    const op = named('cholesky');
    const node = recorded(op, { inputs: [eye(2)], attributes: undefined });
    expect(
      flat(
        project(
          op,
          tensor([
            [-1, 5],
            [-3, 2],
          ]),
          node,
        ),
      ),
    ).toEqual([0, 0, -3, 2]);
  });
});
