/** Edge gates: errors go down through gated weights; what the layer itself learns from stays its gradient. */
import { describe, expect, it } from 'vitest';
import {
  attachRules,
  backward,
  Conv2d,
  conv2d,
  Flatten,
  Generator,
  Linear,
  linear,
  parameter,
  ReLU,
  relu,
  Sequential,
  setRule,
  type Tensor,
  target,
  tensor,
  withRules,
} from '../../src/index.ts';
import { edgeGate } from '../../src/rules/edge-gate.ts';
import { leafGate } from '../../src/state/gate.ts';
import { ones, zeros } from '../../src/tensor/create.ts';
import { randn } from '../../src/tensor/random.ts';

const generator = new Generator(11);
const draw = (...shape: number[]): Tensor => parameter(randn(shape, { generator }));
const share = (...shape: number[]): Tensor => {
  const size = shape.reduce((a, b) => a * b, 1);
  return tensor(
    Array.from({ length: size }, () => generator.uniform()),
    shape,
  );
};
const read = (x: Tensor | null): number[] => [...x!.toFloat32Array()];
const close = (found: Tensor | null, expected: Tensor | null): void => {
  expect(found!.shape).toEqual(expected!.shape);
  const other = read(expected);
  read(found).forEach((x, i) => {
    expect(x).toBeCloseTo(other[i]!, 5);
  });
};

/** Gradients of these leaves, anew. */
function gradientsOf(leaves: readonly Tensor[], loss: () => Tensor): (Tensor | null)[] {
  for (const leaf of leaves) leaf.grad = null;
  loss().backward();
  return leaves.map((leaf) => leaf.grad?.detach() ?? null);
}

describe('the edge gate of linear', () => {
  const [x, w, b] = [draw(3, 4), draw(2, 4), draw(2)];
  const g = randn([3, 2], { generator });

  it('sends dY (W . c) down, and to weight and bias their gradient', () => {
    const c = share(2, 4);
    const gated = gradientsOf([x, w, b], () =>
      setRule(linear(x, w, b), edgeGate(c).linear)
        .mul(g)
        .sum(),
    );
    const plain = gradientsOf([x, w, b], () => linear(x, w, b).mul(g).sum());
    close(gated[0]!, g.matmul(w.detach().mul(c)));
    close(gated[1]!, plain[1]!);
    close(gated[2]!, plain[2]!);
  });

  it('is the gradient rule where all gates are open, and silent below where all are shut', () => {
    const plain = gradientsOf([x, w, b], () => linear(x, w, b).mul(g).sum());
    const open = gradientsOf([x, w, b], () =>
      setRule(linear(x, w, b), edgeGate(1).linear)
        .mul(g)
        .sum(),
    );
    open.forEach((one, i) => {
      close(one, plain[i]!);
    });
    const shut = gradientsOf([x, w, b], () =>
      setRule(linear(x, w, b), edgeGate(0).linear)
        .mul(g)
        .sum(),
    );
    close(shut[0]!, zeros([3, 4]));
    close(shut[1]!, plain[1]!);
  });

  it('broadcasts: one gate a unit, or one an input', () => {
    for (const c of [tensor([[0.5], [0]]), tensor([1, 0, 0.25, 1])]) {
      const [dx] = gradientsOf([x], () => setRule(linear(x, w), edgeGate(c).linear).mul(g).sum());
      close(dx!, g.matmul(w.detach().mul(c)));
    }
  });

  it('takes inputs of more axes, and no bias', () => {
    const stack = draw(2, 3, 4);
    const c = share(2, 4);
    const [dx] = gradientsOf([stack], () => withRules(edgeGate(c), () => linear(stack, w)).sum());
    close(dx!, ones([2, 3, 2]).matmul(w.detach().mul(c)));
  });
});

describe('the edge gate of conv2d', () => {
  it.each([
    { stride: 1, padding: 0, groups: 1 },
    { stride: 2, padding: 1, groups: 2 },
  ])('sends what a convolution with gated weights would send: $stride $padding $groups', (options) => {
    const [x, w, b] = [draw(2, 4, 5, 5), draw(6, 4 / options.groups, 3, 3), draw(6)];
    const c = share(6, 4 / options.groups, 3, 3);
    const loss = (y: Tensor) => y.square().sum();
    const gated = gradientsOf([x, w, b], () => loss(setRule(conv2d(x, w, b, options), edgeGate(c).conv2d)));
    const plain = gradientsOf([x, w, b], () => loss(conv2d(x, w, b, options)));
    // The error 2 y is that of the ungated forward pass.
    const error = conv2d(x, w, b, options).detach().mul(2);
    const [expected] = gradientsOf([x], () => conv2d(x, w.detach().mul(c), b, options).mul(error).sum());
    close(gated[0]!, expected!);
    close(gated[1]!, plain[1]!);
    close(gated[2]!, plain[2]!);
  });
});

describe('edge gates in a model', () => {
  it('lead errors away from protected weights: the layers below learn something else', () => {
    const [x, w1, w2] = [randn([5, 3], { generator }), draw(4, 3), draw(2, 4)];
    const c = share(2, 4);
    const loss = () => {
      const hidden = relu(linear(x, w1));
      return setRule(linear(hidden, w2), edgeGate(c).linear).sum();
    };
    const [below, own] = gradientsOf([w1, w2], loss);
    const active = linear(x, w1)
      .detach()
      .toFloat32Array()
      .map((h) => (h > 0 ? 1 : 0));
    const error = ones([5, 2])
      .matmul(w2.detach().mul(c))
      .mul(tensor(active, [5, 4]));
    close(below!, error.transpose(0, 1).matmul(x));
    // A gate on the leaf leaves the layer below as it is, and gates the layer's own.
    const remove = leafGate(w2, c);
    const [unmoved, gatedOwn] = gradientsOf([w1, w2], () => linear(relu(linear(x, w1)), w2).sum());
    remove();
    close(gatedOwn!, own!.mul(c));
    expect(read(unmoved!)).not.toEqual(read(below!));
  });

  it('convert a whole model in one call, each layer by its own weight', () => {
    const model = new Sequential(
      new Conv2d(1, 2, 3, { generator }),
      new ReLU(),
      new Flatten(),
      new Linear(8, 3, { generator }),
    );
    const asked: Tensor[] = [];
    const remove = attachRules(
      model,
      edgeGate((weight) => {
        asked.push(weight);
        return weight.ndim === 2 ? 0 : 1;
      }),
    );
    const images = parameter(ones([2, 1, 4, 4]));
    const [dImages] = gradientsOf([images], () => model.forward(images).sum());
    const weights = model.parameters().filter((one) => one.ndim > 1);
    expect(new Set(asked)).toEqual(new Set(weights));
    expect(read(dImages!).every((v) => v === 0)).toBe(true);
    remove();
    expect(read(gradientsOf([images], () => model.forward(images).sum())[0]!).some((v) => v !== 0)).toBe(true);
  });

  it('do not ask for gates where nothing below wants a message', () => {
    const rule = edgeGate(() => {
      throw new Error('asked');
    });
    const w = draw(2, 3);
    withRules(rule, () => linear(ones([1, 3]), w))
      .sum()
      .backward();
    expect(read(w.grad)).toEqual([1, 1, 1, 1, 1, 1]);
  });

  it('are read in the backward walk', () => {
    const [x, w] = [draw(1, 2), draw(1, 2)];
    const c = zeros([1, 2]);
    const y = setRule(linear(x, w), edgeGate(c).linear);
    c.fill_(0.5);
    y.sum().backward();
    close(x.grad, w.detach().mul(0.5));
  });

  it('read targets with a stated precision as gradients', () => {
    const [x, w] = [parameter(tensor([[1, 1]])), parameter(tensor([[2, 3]]))];
    backward(target(setRule(linear(x, w), edgeGate(tensor([[1, 0]])).linear), tensor([[7]]), { precision: 2 }));
    expect(x.grad!.toArray()).toEqual([[2 * -2 * 2, 0]]);
  });

  it('are surrogates: derivatives of them are refused', () => {
    const [x, w] = [draw(1, 2), draw(1, 2)];
    const loss = () => setRule(linear(x, w), edgeGate(0.5).linear).sum();
    expect(() => backward(loss(), { createGraph: true })).toThrow(/edge gate .* is a surrogate/);
    backward(loss(), { createGraph: true, allowSurrogate: true });
    x.grad!.sum().backward();
    // Through W . c to the weight: the gate, beside the gradient of the loss itself.
    close(w.grad, x.detach().add(0.5));
  });

  it('refuse what is no gate', () => {
    const [x, w] = [draw(1, 2), draw(1, 2)];
    const send = (c: Parameters<typeof edgeGate>[0]) => () =>
      setRule(linear(x, w), edgeGate(c).linear).sum().backward();
    expect(send(-1)).toThrow(/edgeGate: a gate is a finite number from 0/);
    expect(send(ones([3]))).toThrow(/\[3\]/);
  });
});
