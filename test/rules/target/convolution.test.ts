/**
 * Targets through convolutions: the linear layer's rule on unfolded patches is the oracle; sharing, empty patches, background.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { inFloat64 } from '../../../src/autograd/check.ts';
import {
  backward,
  type ConvolutionOptions,
  conv2d,
  inboxOf,
  linear,
  relu,
  seed,
  setRule,
  spring,
  type Tensor,
  target,
  tensor,
  withRules,
  zeros,
} from '../../../src/index.ts';
import { type TargetConvolutionOptions, targetConvolution } from '../../../src/rules/target/convolution.ts';
import { targetLinear } from '../../../src/rules/target/linear.ts';
import { targetRelu } from '../../../src/rules/target/relu.ts';
import { numbersOf } from '../../../src/tensor/tensor.ts';
import {
  anyForm,
  anySeed,
  drawer,
  expectConsistent,
  expectNear,
  fixedSeed,
  forms,
  leaf,
  precisions,
} from '../springs/laws.ts';

/** Where each number of each patch stands in the image: [N H' W'] lists of C kh kw places. */
function places(image: readonly number[], kernel: [number, number], stride: number): number[][] {
  const [n, c, h, w] = image as [number, number, number, number];
  const found: number[][] = [];
  for (let i = 0; i < n; i++)
    for (let y = 0; y + kernel[0] <= h; y += stride)
      for (let x = 0; x + kernel[1] <= w; x += stride) {
        const patch: number[] = [];
        for (let k = 0; k < c; k++)
          for (let dy = 0; dy < kernel[0]; dy++)
            for (let dx = 0; dx < kernel[1]; dx++) patch.push(((i * c + k) * h + y + dy) * w + x + dx);
        found.push(patch);
      }
  return found;
}

/** conv2d as a linear layer on unfolded patches; the output comes as [N, O, H', W'] too. */
function unfolded(x: Tensor, weight: Tensor, bias: Tensor | null, stride: number): Tensor {
  const [o, , kh, kw] = weight.shape as [number, number, number, number];
  const where = places(x.shape, [kh, kw], stride);
  const flat = x.reshape([x.size]);
  const patches = flat.indexSelect(0, where.flat()).reshape([where.length, where[0]!.length]);
  const y = linear(patches, weight.reshape([o, where[0]!.length]), bias);
  const [rows, columns] = [x.shape[2]!, x.shape[3]!].map((size, axis) =>
    Math.floor((size - [kh, kw][axis]!) / stride + 1),
  ) as [number, number];
  return y.reshape([x.shape[0]!, rows, columns, o]).permute([0, 3, 1, 2]);
}

const anyOptions: fc.Arbitrary<TargetConvolutionOptions> = fc.record({
  signal: fc.constantFrom('mean' as const, 'sum' as const, 'perNeuronNorm' as const, 'safe' as const),
  weighting: fc.constantFrom('equal' as const, 'natural' as const),
  relaxation: fc.constantFrom(1, 0.3),
  cap: fc.constantFrom(
    null,
    { form: 'PA-I' as const, aggressiveness: 0.2 },
    { form: 'PA-II' as const, aggressiveness: 0.7 },
  ),
  input: fc.constantFrom('settled' as const, 'forward' as const),
});

/** targetLinear's options, with caps left out instead of null. */
const forLinear = ({ cap, ...rest }: TargetConvolutionOptions) =>
  targetLinear({ ...rest, ...(cap === null || cap === undefined ? {} : { cap }) });

/** What leaves are asked for. */
function messages(build: (...leaves: Tensor[]) => Tensor, inputs: readonly Tensor[], d: Tensor, p: Tensor | number) {
  const leaves = inputs.map(leaf);
  backward(seed(build(...leaves), spring(d, p)));
  return leaves.map((x) => {
    const { pull, precision } = inboxOf(x)!.springs!;
    return { pull, precision: precision.add(zeros(x.shape)) };
  });
}

describe('targetConvolution is targetLinear on patches', () => {
  const compare = (
    start: number,
    form: (typeof forms)[number],
    options: TargetConvolutionOptions,
    overlap: boolean,
    withBias: boolean,
  ) =>
    inFloat64(() => {
      const draw = drawer(start);
      const inputs = [draw([2, 2, 4, 6]), draw([3, 2, 2, 2]), ...(withBias ? [draw([3])] : [])];
      const stride = overlap ? 1 : 2;
      const shape = overlap ? [2, 3, 3, 5] : [2, 3, 2, 3];
      const [d, p] = [draw(shape), precisions(draw, form, shape)];
      const conv = messages(
        (x, w, b) => withRules({ conv2d: targetConvolution(options) }, () => conv2d(x!, w!, b, { stride })),
        inputs,
        d,
        p,
      );
      const patches = messages(
        (x, w, b) => withRules({ linear: forLinear(options) }, () => unfolded(x!, w!, b ?? null, stride)),
        inputs,
        d,
        p,
      );
      // A pixel of patches that overlap is averaged over all that read it, not in each patch for itself.
      for (const [i, { pull, precision }] of conv.entries())
        if (!(overlap && i === 0)) {
          expectNear(pull, patches[i]!.pull, 1e-9);
          expectNear(precision, patches[i]!.precision, 1e-9);
        }
    });

  it('for images and filters, where patches do not overlap', () => {
    fc.assert(
      fc.property(anySeed, anyForm, anyOptions, fc.boolean(), (start, form, options, bias) =>
        compare(start, form, options, false, bias),
      ),
      fixedSeed,
    );
  });

  it('for filters, where they do', () => {
    fc.assert(
      fc.property(anySeed, anyForm, anyOptions, fc.boolean(), (start, form, options, bias) =>
        compare(start, form, { ...options, input: 'forward' }, true, bias),
      ),
      fixedSeed,
    );
  });
});

describe('targetConvolution', () => {
  const rules = (options: TargetConvolutionOptions = {}) => ({
    conv2d: targetConvolution(options),
    relu: targetRelu(),
  });
  const step = (x: Tensor) => numbersOf(inboxOf(x)!.step());

  it('averages what a pixel hears over all neurons and positions that read it', () => {
    const x = leaf(zeros([1, 1, 1, 3]));
    const w = tensor([[[[1, 1]]], [[[1, 1]]]]);
    const ask = (options: TargetConvolutionOptions) => {
      x.grad = null;
      const y = withRules(rules(options), () => conv2d(x, w));
      backward(seed(y, spring(tensor([[[[1, 3]], [[1, 3]]]]), 1)));
      return [...step(x), ...numbersOf(inboxOf(x)!.precision())];
    };
    expect(ask({})).toEqual([1, 2, 3, 2, 4, 2]);
    expect(ask({ signal: 'sum' })).toEqual([2, 8, 6, 1, 1, 1]);
    expect(ask({ signal: 'perNeuronNorm' })).toEqual([0.5, 1, 1.5, 2, 4, 2]);
  });

  it('makes one filter right for one patch at once, at the settled input', () => {
    const [x, w] = [drawer(1)([1, 2, 2, 2]), leaf(drawer(2)([3, 2, 2, 2]))];
    const d = drawer(3)([1, 3, 1, 1]);
    const v = leaf(drawer(4)([1, 2, 2, 2]));
    const net = () => conv2d(relu(v), w);
    const y = withRules(rules({ cap: null }), net);
    backward(seed(y, spring(d)));
    const [dv, dw] = [inboxOf(v)!.step(), inboxOf(w)!.step()];
    expectNear(conv2d(relu(v.detach().add(dv)), w.detach().add(dw)), y.detach().add(d), 1e-5);
    // Alone, with an image that stays, too.
    const u = leaf(drawer(2)([3, 2, 2, 2]));
    const z = withRules(rules({ cap: null }), () => conv2d(x, u));
    backward(seed(z, spring(d)));
    expectNear(conv2d(x, u.detach().add(inboxOf(u)!.step())), z.detach().add(d), 1e-5);
  });

  it('patches of zeros count nothing; without a cap, patches of almost nothing move filters far', () => {
    const image = tensor([[[[0, 0, 2, 0, 1e-3, 0]]]]);
    const ask = (options: TargetConvolutionOptions) => {
      const w = leaf(tensor([[[[0, 0]]]]));
      const y = withRules(rules(options), () => conv2d(image, w, null, { stride: 2 }));
      backward(target(y, tensor([[[[9, 4, 1]]]])));
      return { step: step(w), precision: inboxOf(w)!.precision().toArray() };
    };
    const plain = ask({ cap: null });
    expect(plain.step[0]).toBeCloseTo((2 + 1000) / 2, 1);
    expect(plain.precision).toEqual([[[[2]]]]);
    const capped = ask({});
    expect(capped.step[0]).toBeCloseTo((8 / 4.5 + 1e-3 / 0.5) / 2, 4);
  });

  it('groups, strides, padding and dilation: a filter that is asked nothing stays, a layer that is right asks nothing', () => {
    const options: ConvolutionOptions = { groups: 2, stride: 2, padding: 1, dilation: 2 };
    const inputs = [drawer(1)([2, 4, 7, 6]), drawer(2)([4, 2, 2, 2]), drawer(3)([4])];
    const shape = conv2d(inputs[0]!, inputs[1]!, inputs[2]!, options).shape;
    const only = zeros([1, 4, 1, 1]).add(tensor([1, 0, 0, 0], [1, 4, 1, 1]));
    const leaves = inputs.map(leaf);
    const y = withRules(rules(), () => conv2d(leaves[0]!, leaves[1]!, leaves[2]!, options));
    backward(seed(y, spring(drawer(4)(shape), only.add(zeros(shape)))));
    const asked = step(leaves[1]!);
    expect(asked.slice(0, 8).every((d) => d !== 0)).toBe(true);
    expect(asked.slice(8).every((d) => d === 0)).toBe(true);
    // Channels 2 and 3 belong to the other group.
    const image = inboxOf(leaves[0]!)!
      .step()
      .slice([null, [2, 4]]);
    expect(numbersOf(image).every((d) => d === 0)).toBe(true);
    for (const one of leaves) one.grad = null;
    const right = withRules(rules(), () => conv2d(leaves[0]!, leaves[1]!, leaves[2]!, options));
    backward(target(right, right.detach(), { precision: 1 }));
    for (const one of leaves) expect(step(one).every((d) => d === 0)).toBe(true);
  });

  it("'safe' cannot overshoot, and with 'natural' and no cap it is consistent", () => {
    const options = { signal: 'safe', weighting: 'natural', input: 'forward', cap: null } as const;
    expect(targetConvolution(options).surrogate).toBe(false);
    for (const signal of ['mean', 'sum', 'safe'] as const)
      for (const form of forms)
        inFloat64(() => {
          const draw = drawer(forms.indexOf(form));
          expectConsistent(
            (x, w, b) => conv2d(x!, w!, b, { padding: 1 }),
            [draw([2, 2, 3, 3]), draw([3, 2, 2, 2]), draw([3])],
            targetConvolution({ ...options, signal }),
            (shape) => spring(draw(shape), precisions(draw, form, shape)),
            1e-10,
          );
        });
    inFloat64(() => {
      const [w, x, d] = [drawer(1)([3, 2, 2, 2], -3, 3), leaf(drawer(2)([2, 2, 4, 4])), drawer(3)([2, 3, 3, 3])];
      backward(seed(setRule(conv2d(x, w), targetConvolution(options)), spring(d)));
      const movement = conv2d(inboxOf(x)!.step(), w);
      const overshoot = movement.mul(d.sub(movement)).sum().item();
      expect(overshoot).toBeGreaterThan(0);
    });
  });

  it('no images', () => {
    const [x, w] = [leaf(zeros([0, 1, 3, 3])), leaf(drawer(1)([2, 1, 2, 2]))];
    backward(
      target(
        withRules(rules(), () => conv2d(x, w)),
        zeros([0, 2, 2, 2]),
        { precision: 1 },
      ),
    );
    expect(inboxOf(x)!.step().shape).toEqual([0, 1, 3, 3]);
    expect(step(w).every((d) => d === 0)).toBe(true);
  });

  it('every other choice is marked as a surrogate; what makes no sense is refused in a sentence', () => {
    const consistent = { signal: 'safe', weighting: 'natural', input: 'forward', cap: null } as const;
    for (const change of [
      { signal: 'perNeuronNorm' },
      { weighting: 'equal' },
      { input: 'settled' },
      { relaxation: 0.5 },
      { cap: { form: 'PA-II', aggressiveness: 1 } },
    ] as TargetConvolutionOptions[])
      expect(targetConvolution({ ...consistent, ...change }).surrogate).toBe(true);
    expect(targetConvolution().surrogate).toBe(true);
    expect(() => targetConvolution({ signal: 'ridge' as 'mean' })).toThrow(
      'signal is one of mean, sum, perNeuronNorm, safe, not ridge',
    );
    expect(() => targetConvolution({ relaxation: 3 })).toThrow('relaxation is a number from 0 to 2');
    expect(() => targetConvolution({ cap: { form: 'PA-II', aggressiveness: 0 } })).toThrow('a number above 0, not 0');
    const w = leaf(zeros([1, 1]));
    const y = withRules({ linear: targetConvolution() }, () => linear(zeros([1, 1]), w));
    expect(() => backward(target(y, zeros([1, 1]), { precision: 1 }))).toThrow('it was put at linear');
    const f = leaf(zeros([1, 1, 1, 1]));
    const z = setRule(conv2d(zeros([1, 1, 1, 1]), f), targetConvolution());
    expect(() => backward(target(z, zeros([1, 1, 1, 1]), { precision: Infinity }))).toThrow(
      'a hard target (of target) arrived',
    );
  });
});
