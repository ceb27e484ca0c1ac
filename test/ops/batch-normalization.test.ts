/** batchNorm by formulas worked by hand, its derivatives, examples that meet and that do not, running statistics, and edges. */
import { describe, expect, it } from 'vitest';
import { perExampleGradients, squaredGradients } from '../../src/autograd/per-example.ts';
import {
  checkGradients,
  Draw,
  Generator,
  gradients,
  linear,
  noGrad,
  ones,
  parameter,
  permute,
  type Tensor,
  tensor,
  zeros,
} from '../../src/index.ts';
import { batchNorm } from '../../src/ops/batch-normalization.ts';
import { expectClose, expectRefused, flat, slopes, untyped } from './numbers.ts';

const draw = () => new Draw(new Generator(9));
const statistics = (mean: number[], variance: number[]) => ({ mean: tensor(mean), variance: tensor(variance) });

/** The definition, number by number, in doubles. */
function byHand(
  x: Tensor,
  weight: number[],
  bias: number[],
  eps: number,
  given?: { mean: number[]; variance: number[] },
) {
  const [outer, channels] = x.shape as [number, number];
  const inner = x.size / (outer * channels);
  const numbers = flat(x);
  const out = new Array<number>(x.size);
  for (let c = 0; c < channels; c++) {
    const places = numbers.flatMap((_, i) => (Math.floor(i / inner) % channels === c ? [i] : []));
    const mean = given?.mean[c] ?? places.reduce((sum, i) => sum + numbers[i]!, 0) / places.length;
    const variance =
      given?.variance[c] ?? places.reduce((sum, i) => sum + (numbers[i]! - mean) ** 2, 0) / places.length;
    for (const i of places) out[i] = ((numbers[i]! - mean) / Math.sqrt(variance + eps)) * weight[c]! + bias[c]!;
  }
  return out;
}

const shapes = [
  [5, 3],
  [1, 3, 4],
  [4, 3, 1],
  [2, 3, 5],
  [2, 3, 3, 2],
  [3, 3, 1, 1],
];
const [weight, bias] = [
  [2, -0.5, 1],
  [0.1, 10, -3],
];

describe('batchNorm', () => {
  it.each(shapes.map((shape) => ({ shape })))(
    'is its formula, of a batch and of given statistics: $shape',
    ({ shape }) => {
      const x = draw().normal(shape, 3).add(2);
      const learned = { weight: tensor(weight), bias: tensor(bias), eps: 0.1 };
      expectClose(batchNorm(x, learned), byHand(x, weight, bias, 0.1), 1e-5);
      expect(batchNorm(x, learned).shape).toEqual(x.shape);
      const given = { mean: [1, 2, 3], variance: [4, 0.5, 9] };
      const running = statistics(given.mean, given.variance);
      const found = batchNorm(x, { ...learned, running, training: false });
      expectClose(found, byHand(x, weight, bias, 0.1, given), 1e-5);
    },
  );

  it('takes a weight alone, a bias alone, both, or none, and 1e-5 for eps', () => {
    const x = tensor([[0], [0.02]]);
    const unit = 0.01 / Math.sqrt(1e-4 + 1e-5);
    const [weight, bias] = [tensor([3]), tensor([10])];
    expectClose(batchNorm(x), [-unit, unit]);
    expectClose(batchNorm(x, { weight }), [-3 * unit, 3 * unit]);
    expectClose(batchNorm(x, { bias }), [10 - unit, 10 + unit]);
    expectClose(batchNorm(x, { weight, bias }), [10 - 3 * unit, 10 + 3 * unit]);
  });

  it('has derivatives of first and second order, with each choice of parameters', () => {
    const d = draw();
    for (const shape of [
      [4, 2],
      [3, 2, 2],
      [2, 2, 2, 2],
    ]) {
      const [x, w, b] = [d.normal(shape), d.normal([2]), d.normal([2])];
      checkGradients((a) => batchNorm(a), [x]);
      checkGradients((a, b) => batchNorm(a, { weight: b }), [x, w]);
      checkGradients((a, c) => batchNorm(a, { bias: c }), [x, b]);
      checkGradients((a, b, c) => batchNorm(a, { weight: b, bias: c, eps: 0.1 }), [x, w, b]);
    }
  });

  it('has derivatives of all it is given in use, the statistics too', () => {
    const d = draw();
    for (const shape of [
      [4, 2],
      [1, 2],
      [2, 2, 3],
      [2, 2, 2, 2],
    ]) {
      const inputs = [d.normal(shape), d.normal([2]), d.uniform([2], 0.5, 2), d.normal([2]), d.normal([2])];
      checkGradients(
        (x, mean, variance, weight, bias) =>
          batchNorm(x!, { running: { mean: mean!, variance: variance! }, training: false, weight, bias }),
        inputs,
      );
      checkGradients(
        (x, mean, variance) => batchNorm(x!, { running: { mean: mean!, variance: variance! }, training: false }),
        inputs.slice(0, 3),
      );
    }
  });

  it('sends by its kernels what its rules say, from views, for all sizes of batch', () => {
    const d = draw();
    const running = { mean: d.normal([5]), variance: d.uniform([5], 0.5, 2) };
    for (const shape of [
      [7, 5],
      [3, 2, 5],
      [3, 2, 3, 5],
    ]) {
      const last = shape.length - 1;
      const turn = (a: Tensor) => permute(a, [0, last, ...Array.from({ length: last - 1 }, (_, i) => i + 1)]);
      const [x, w, b] = [d.normal(shape), d.normal([5]), d.normal([5])].map((one) => one.toArray());
      const g = turn(d.normal(shape)).contiguous();
      for (const options of [{}, { running, training: false }]) {
        slopes((a, weight, bias) => batchNorm(turn(a), { ...options, weight, bias }).mul(g), x!, w!, b!);
        slopes((a, weight) => batchNorm(turn(a), { ...options, weight }).mul(g), x!, w!);
        slopes((a) => batchNorm(turn(a), options).mul(g), x!);
      }
    }
  });

  it('keeps the digits of numbers far from 0', () => {
    const x = [[1000.25], [1000.5], [999.75], [999.5]];
    expectClose(batchNorm(tensor(x)), batchNorm(tensor(x.map(([value]) => [value! - 1000]))), 1e-6);
  });

  it('gives 0 for equal numbers, sends finite gradients there, and spreads a NaN over its channel alone', () => {
    expect(
      batchNorm(
        tensor([
          [3, 1],
          [3, 1],
        ]),
      ).toArray(),
    ).toEqual([
      [0, 0],
      [0, 0],
    ]);
    const sent = slopes(
      (x) =>
        batchNorm(x).mul(
          tensor([
            [1, 2],
            [3, 5],
          ]),
        ),
      [
        [3, 1],
        [3, 1],
      ],
    );
    expect(flat(sent).every(Number.isFinite)).toBe(true);
    const found = batchNorm(
      tensor([
        [Number.NaN, 1],
        [2, 3],
      ]),
    );
    expectClose(found, [Number.NaN, -1, Number.NaN, 1], 1e-4);
  });

  it('takes batches and channels of size 0, and an empty batch moves nothing', () => {
    const running = statistics([1, 2, 3], [4, 5, 6]);
    const w = parameter(ones([3]));
    const out = batchNorm(zeros([0, 3, 2]), { weight: w, running });
    expect(out.shape).toEqual([0, 3, 2]);
    out.sum().backward();
    expect(w.grad!.toArray()).toEqual([0, 0, 0]);
    expect([running.mean, running.variance].map(flat)).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect(batchNorm(zeros([2, 0])).shape).toEqual([2, 0]);
    expect(batchNorm(zeros([0, 3]), { running, training: false }).shape).toEqual([0, 3]);
  });

  it('leaves the gradient of a slope that was infinite in use alone: it is the slope times the factor', () => {
    const x = tensor([[Number.POSITIVE_INFINITY], [1]]).requiresGrad_();
    batchNorm(x, { running: statistics([0], [3]), training: false, eps: 1 })
      .sum()
      .backward();
    expect(flat(x.grad!)).toEqual([0.5, 0.5]);
  });
});

describe('running statistics', () => {
  // Channel 0: mean 3, squares of distances 9 + 1 + 1 + 9 = 20; channel 1: mean 2, 4 * 4 = 16.
  const x = tensor([
    [
      [0, 2],
      [0, 4],
    ],
    [
      [4, 6],
      [0, 4],
    ],
  ]);

  it('move by the momentum, the variance by its unbiased value', () => {
    const running = statistics([1, 10], [1, 2]);
    batchNorm(x, { running, momentum: 0.25 });
    expectClose(running.mean, [0.75 * 1 + 0.25 * 3, 0.75 * 10 + 0.25 * 2]);
    expectClose(running.variance, [0.75 + (0.25 * 20) / 3, 1.5 + (0.25 * 16) / 3]);
  });

  it('move by a tenth unless told, and with 0 and 1 not at all or all the way', () => {
    const [tenth, none, all] = [0, 1, 2].map(() => statistics([1, 10], [1, 2])) as [
      ReturnType<typeof statistics>,
      ReturnType<typeof statistics>,
      ReturnType<typeof statistics>,
    ];
    batchNorm(x, { running: tenth });
    batchNorm(x, { running: none, momentum: 0 });
    batchNorm(x, { running: all, momentum: 1 });
    expectClose(tenth.mean, [1.2, 9.2]);
    expectClose(none.mean, [1, 10]);
    expectClose(none.variance, [1, 2]);
    expectClose(all.mean, [3, 2]);
    expectClose(all.variance, [20 / 3, 16 / 3]);
  });

  it('move the same whether a graph is recorded or not, and take no part in it', () => {
    const found = [x, x.detach().requiresGrad_()].flatMap((input) =>
      [false, true].map((recording) => {
        const running = statistics([1, 10], [1, 2]);
        const run = () => batchNorm(input, { running });
        if (recording) run();
        else noGrad(run);
        return [...flat(running.mean), ...flat(running.variance)];
      }),
    );
    for (const other of found.slice(1)) expect(other).toEqual(found[0]);
    const [input, running] = [x.detach().requiresGrad_(), statistics([5, 5], [5, 5])];
    const [g] = gradients(batchNorm(input, { running }).pow(3).sum(), [input]);
    const [alone] = gradients(batchNorm(input).pow(3).sum(), [input]);
    expect(flat(g!)).toEqual(flat(alone!));
  });

  it('stay where they are in use, and where a batch is refused', () => {
    const running = statistics([1, 10], [1, 2]);
    batchNorm(x, { running, training: false });
    expect(() => batchNorm(tensor([[1, 2]]), { running })).toThrow();
    expect([running.mean, running.variance].map(flat)).toEqual([
      [1, 10],
      [1, 2],
    ]);
  });

  it('that were written between forward and backward are a sentence, not a wrong gradient', () => {
    const [input, running] = [x.detach().requiresGrad_(), statistics([1, 10], [1, 2])];
    const loss = batchNorm(input, { running, training: false }).sum();
    batchNorm(x, { running });
    expect(() => loss.backward()).toThrow(/in place|changed/);
  });
});

describe('examples of a batch', () => {
  const make = (seed: number, shape: number[]) => parameter(new Draw(new Generator(seed)).normal(shape));
  const [a, w, b, c] = [make(1, [4, 3]), make(2, [4]), make(3, [4]), make(4, [2, 4])] as const;
  const running = { mean: make(5, [4]).detach(), variance: tensor([0.5, 1, 2, 3]) };
  const x = draw().normal([5, 3]);
  const losses = (training: boolean) => () => {
    const h = batchNorm(linear(x, a), { weight: w, bias: b, training, running: training ? null : running });
    return linear(h.tanh(), c).square().sum(1);
  };
  const images = draw().normal([3, 4, 2, 2]);
  const ofImages = (training: boolean) => () =>
    batchNorm(images.mul(1.5), { weight: w, bias: b, training, running: training ? null : running })
      .pow(3)
      .sum([1, 2, 3]);

  /** Row n by itself: the gradient of loss n. */
  const walked = (losses: () => Tensor, count: number, parameters: Tensor[]) =>
    parameters.map((_, i) =>
      Array.from({ length: count }, (_, n) => gradients(losses().slice([n]), parameters)[i]!).flatMap(flat),
    );

  it.each([
    ['meet in training', losses(true), 5, [a, w, b, c]],
    ['stay apart in use', losses(false), 5, [a, w, b, c]],
    ['meet in training, of images', ofImages(true), 3, [w, b]],
    ['stay apart in use, of images', ofImages(false), 3, [w, b]],
  ] as [string, () => Tensor, number, Tensor[]][])(
    '%s, and the gradient of each loss is its own',
    (_, f, count, all) => {
      const expected = walked(f, count, all);
      for (const [i, found] of perExampleGradients(f(), all).entries()) expectClose(found, expected[i]!, 1e-4);
      for (const [i, found] of squaredGradients(f(), all).entries()) {
        const size = all[i]!.size;
        const sums = Array.from({ length: size }, (_, k) =>
          expected[i]!.reduce((sum, g, at) => (at % size === k ? sum + g * g : sum), 0),
        );
        expectClose(found, sums, 1e-4);
      }
    },
  );

  it('send to the input of others in training, where a value before it was an example of its own', () => {
    const rows = parameter(x.detach());
    const f = (training: boolean) => () =>
      batchNorm(rows.mul(2), { training, running: statistics([1, 2, 3], [1, 2, 3]) })
        .pow(3)
        .sum(1);
    for (const training of [true, false]) {
      const [found] = perExampleGradients(f(training)(), [rows]);
      expectClose(found!, walked(f(training), 5, [rows])[0]!, 1e-4);
      // Row 0 of the gradient of loss 1.
      expect(
        flat(found!)
          .slice(15, 18)
          .some((g) => g !== 0),
      ).toBe(training);
    }
  });
});

it('batchNorm refuses what does not fit, in a sentence', () => {
  const x = zeros([2, 3]);
  const running = { mean: zeros([3]), variance: ones([3]) };
  expectRefused([
    ['batchNorm: expected a tensor, not an array. Make one with tensor(...).', () => untyped(batchNorm)([1])],
    ['batchNorm: x is [N, C], [N, C, L] or [N, C, H, W], not of shape [3].', () => batchNorm(zeros([3]))],
    [
      'batchNorm: x is [N, C], [N, C, L] or [N, C, H, W], not of shape [1, 1, 1, 1, 2].',
      () => batchNorm(zeros([1, 1, 1, 1, 2])),
    ],
    [
      'batchNorm: weight [2] must have one number for each channel of x [2, 3].',
      () => batchNorm(x, { weight: ones([2]) }),
    ],
    [
      'batchNorm: bias [3, 1] must have one number for each channel of x [2, 3].',
      () => batchNorm(x, { bias: ones([3, 1]) }),
    ],
    [
      'batchNorm: running.variance [1] must have one number for each channel of x [2, 3].',
      () => batchNorm(x, { running: { ...running, variance: ones([1]) } }),
    ],
    [
      'batchNorm: running.mean: expected a tensor, not undefined. Make one with tensor(...).',
      () => untyped(batchNorm)(x, { running: { variance: ones([3]) } }),
    ],
    ['batchNorm: eps is a number of at least 0, not -1.', () => batchNorm(x, { eps: -1 })],
    ['batchNorm: momentum is a number from 0 to 1, not 1.5.', () => batchNorm(x, { momentum: 1.5 })],
    [
      'batchNorm: without training it is running statistics that are used; give them.',
      () => batchNorm(x, { training: false }),
    ],
    [
      'batchNorm: in training running statistics are written, so they cannot require gradients or be computed.',
      () => batchNorm(x, { running: { ...running, mean: parameter(zeros([3])) } }),
    ],
    ...[
      [1, 3],
      [1, 3, 1],
      [1, 3, 1, 1],
    ].map((shape): [string, () => unknown] => [
      `batchNorm: x [${shape.join(', ')}] has a single number for each channel, and the variance of a batch takes two. Give more ` +
        'examples, or use running statistics: training: false, or eval() of a module.',
      () => batchNorm(zeros(shape)),
    ]),
  ]);
});
