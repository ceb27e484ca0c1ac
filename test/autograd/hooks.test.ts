/** Hooks at their three points: on an edge, on a value, on a leaf. What they see, what they change, and how they go. */
import { describe, expect, it } from 'vitest';
import {
  add,
  backward,
  gradientRule,
  gradients,
  inboxOf,
  type Message,
  mul,
  onEdge,
  onValue,
  parameter,
  relu,
  reshape,
  setRule,
  slope,
  spring,
  sum,
  type Tensor,
  target,
  tensor,
} from '../../src/index.ts';

const leaf = (data: Parameters<typeof tensor>[0]): Tensor => tensor(data).requiresGrad_();

/** A hook that writes down what it sees. */
function noting(list: unknown[]) {
  return (message: Message): void => void list.push(message.gradient().toArray());
}

describe('a hook on an edge', () => {
  it('sees each message by itself, before it is merged', () => {
    const x = leaf([1, 2]);
    const y = mul(x, x);
    const z = mul(x, 10);
    const seen: unknown[][] = [[], [], []];
    onEdge(y, 0, noting(seen[0]!));
    onEdge(y, 1, noting(seen[1]!));
    onEdge(z, 0, noting(seen[2]!));
    sum(add(y, z)).backward();
    expect(seen).toEqual([[[1, 2]], [[1, 2]], [[10, 10]]]);
    expect(x.grad!.toArray()).toEqual([12, 14]);
  });

  it('changes its own message only, replaces it by another kind, or stops it', () => {
    const run = (hook: (message: Message) => Message | null) => {
      const x = leaf([1, 2]);
      const y = mul(x, x);
      onEdge(y, 0, hook);
      sum(y).backward();
      return inboxOf(x)!;
    };
    expect(
      run((message) => message.scale(3))
        .gradient()
        .toArray(),
    ).toEqual([4, 8]);
    expect(
      run(() => null)
        .gradient()
        .toArray(),
    ).toEqual([1, 2]);
    const mixed = run(() => spring(tensor([5, 6]), 2));
    expect([mixed.kind, mixed.slope!.toArray(), mixed.springs!.pull.toArray()]).toEqual(['mixed', [1, 2], [10, 12]]);
  });

  it('stops all that comes from there if nothing else does', () => {
    const x = leaf([1, 2]);
    const hidden = relu(x);
    const y = mul(hidden, 2);
    onEdge(y, 0, () => null);
    sum(y).backward();
    expect(x.grad).toBeNull();
  });

  it('sees what rules send, targets that are carried, and nothing where nothing is sent', () => {
    const [x, w] = [leaf([1, 2]), tensor([3, 4])];
    const seen: unknown[] = [];
    const y = setRule(
      mul(x, w),
      gradientRule('sevenfold', (_, g) => mul(g, 7), { surrogate: true }),
    );
    onEdge(y, 0, noting(seen));
    onEdge(y, 1, () => expect.unreachable('a message to a constant'));
    const view = reshape(x, [2, 1]);
    onEdge(view, 0, (message) => void seen.push(message.kind, message.step().toArray()));
    backward([sum(y), target(view, tensor([[2], [2]]), { precision: 1 })]);
    // The newer node answers first.
    expect(seen).toEqual(['target', [1, 0], [7, 7]]);
  });
});

describe('a hook on a value', () => {
  it('sees the sum, once a walk, whoever sends', () => {
    const x = leaf([1, 2]);
    const hidden = mul(x, 2);
    const seen: unknown[] = [];
    onValue(hidden, noting(seen));
    backward([sum(hidden), sum(mul(hidden, 5)), target(hidden, tensor([3, 4]), { precision: 2 })]);
    expect(seen).toEqual([[6 - 2, 6]]);
    backward(sum(hidden));
    expect(seen).toEqual([
      [4, 6],
      [1, 1],
    ]);
  });

  it('changes what goes on, replaces it, or stops it', () => {
    const run = (hook: (message: Message) => Message | null) => {
      const x = leaf([1, 2]);
      const hidden = mul(x, 2);
      onValue(hidden, hook);
      sum(add(hidden, hidden)).backward();
      return x.grad?.toArray() ?? null;
    };
    expect(run((message) => message.scale(10))).toEqual([40, 40]);
    expect(run(() => slope(tensor([1, 3])))).toEqual([2, 6]);
    expect(run(() => spring(tensor([1, 3]), 2))).toEqual([-4, -12]);
    expect(run(() => null)).toBeNull();
  });

  it('also where it is an output, and the walk starts', () => {
    const x = leaf([1, 2]);
    const y = sum(x);
    onValue(y, (message) => message.scale(4));
    y.backward();
    expect(x.grad!.toArray()).toEqual([4, 4]);
  });

  it('works under createGraph: what it makes of a message is differentiated', () => {
    const x = leaf(3);
    const hidden = mul(x, x);
    onValue(hidden, (message) => message.scale(x));
    const [slopes] = gradients(hidden, [x], { createGraph: true });
    expect(slopes!.item()).toBe(18);
    expect(gradients(slopes!, [x])[0]!.item()).toBe(12);
  });
});

describe('a hook on a leaf', () => {
  it('sees what one walk brings, before it is added to what earlier walks left', () => {
    const w = leaf([1, 2]);
    const seen: unknown[] = [];
    onValue(w, noting(seen));
    for (const k of [1, 2, 3]) backward([sum(mul(w, k)), sum(mul(w, w))]);
    expect(seen).toEqual([
      [3, 5],
      [4, 6],
      [5, 7],
    ]);
    expect(w.grad!.toArray()).toEqual([12, 18]);
  });

  it('changes that and leaves .grad of earlier walks untouched', () => {
    const w = leaf([1, 2]);
    sum(mul(w, 7)).backward();
    const remove = onValue(w, (message) => message.scale(0.5));
    sum(mul(w, 2)).backward();
    expect(w.grad!.toArray()).toEqual([8, 8]);
    remove();
    const stop = onValue(w, () => null);
    sum(mul(w, 100)).backward();
    expect(w.grad!.toArray()).toEqual([8, 8]);
    stop();
    onValue(w, () => spring(tensor([1, 1]), 3));
    sum(mul(w, 100)).backward();
    expect(inboxOf(w)!.slope!.toArray()).toEqual([8, 8]);
    expect(inboxOf(w)!.step().toArray()).toEqual([(3 - 8) / 3, (3 - 8) / 3].map(Math.fround));
  });

  it('keeps earlier targets too', () => {
    const w = leaf([1, 2]);
    backward(target(w, tensor([2, 2]), { precision: 1 }));
    onValue(w, (message) => message.scale(2));
    backward(target(w, tensor([3, 3]), { precision: 1 }));
    const { springs } = inboxOf(w)!;
    expect([springs!.precision.item(), springs!.pull.toArray()]).toEqual([3, [1 + 4, 0 + 2]]);
  });

  it('is asked by gradients() as well, which leaves .grad alone', () => {
    const w = leaf([1, 2]);
    w.grad = tensor([5, 5]);
    onValue(w, (message) => message.scale(3));
    expect(gradients(sum(w), [w])[0]!.toArray()).toEqual([3, 3]);
    expect(w.grad!.toArray()).toEqual([5, 5]);
  });

  it('is not called when nothing comes', () => {
    const [w, other] = [leaf([1, 2]), leaf([1, 2])];
    onValue(w, () => expect.unreachable('called'));
    sum(mul(relu(w).detach(), other)).backward();
    const y = mul(w, other);
    onEdge(y, 0, () => null);
    sum(y).backward();
    expect(w.grad).toBeNull();
  });

  it('that throws leaves .grad as it was before, and that of other hooked leaves', () => {
    const [w, v] = [leaf([1, 2]), leaf([3, 4])];
    for (const x of [w, v]) x.grad = tensor([5, 5]);
    for (const x of [w, v])
      onValue(x, () => {
        throw new Error('no');
      });
    expect(() => sum(mul(w, v)).backward()).toThrow('no');
    expect([w.grad!.toArray(), v.grad!.toArray()]).toEqual([
      [5, 5],
      [5, 5],
    ]);
  });
});

describe('hooks of one place', () => {
  for (const [place, hooked] of [
    ['edge', (y: Tensor, _: Tensor) => (hook: Parameters<typeof onEdge>[2]) => onEdge(y, 0, hook)],
    ['value', (y: Tensor, _: Tensor) => (hook: Parameters<typeof onEdge>[2]) => onValue(y, hook)],
    ['leaf', (_: Tensor, x: Tensor) => (hook: Parameters<typeof onEdge>[2]) => onValue(x, hook)],
  ] as const)
    describe(`(${place})`, () => {
      function build() {
        const x = leaf([1, 2]);
        const y = mul(x, 1);
        return { x, put: hooked(y, x), run: () => sum(y).backward() };
      }

      it('go in the order in which they were put there, each seeing what the one before made of the message', () => {
        const { x, put, run } = build();
        const seen: unknown[] = [];
        put((message) => {
          noting(seen)(message);
          return message.scale(2);
        });
        put(noting(seen));
        put((message) => message.plus(slope(tensor([1, 1]))));
        put(noting(seen));
        run();
        expect(seen).toEqual([
          [1, 1],
          [2, 2],
          [3, 3],
        ]);
        expect(x.grad!.toArray()).toEqual([3, 3]);
      });

      it('end with null: later ones are not asked', () => {
        const { x, put, run } = build();
        put(() => null);
        put(() => expect.unreachable('asked'));
        run();
        expect(x.grad).toBeNull();
      });

      it('can be removed, once, from inside too; one put twice is removed once', () => {
        const { put, run } = build();
        let [first, last] = [0, 0];
        const removeFirst = put(() => {
          first++;
          removeFirst();
        });
        const count = () => void last++;
        const remove = put(count);
        put(count);
        run();
        run();
        expect([first, last]).toEqual([1, 4]);
        remove();
        remove();
        run();
        expect([first, last]).toEqual([1, 5]);
      });

      it('return messages of the shape of the value, or nothing', () => {
        const wide = build();
        wide.put(() => slope(tensor([[1, 2]])));
        expect(wide.run).toThrow(
          /on(Edge|Value) of .*: a hook returned a message of shape \[1, 2\] for a value of shape \[2\]/,
        );
        for (const wrong of [tensor([1, 2]), 3, {}]) {
          const { put, run } = build();
          put(() => wrong as unknown as Message);
          expect(run).toThrow(/on(Edge|Value) of .*: a hook return/);
        }
      });
    });

  it('refuse places where no message comes by', () => {
    const x = leaf([1]);
    expect(() => onValue(tensor([1]), () => null)).toThrow(
      /onValue: no message reaches a tensor of shape \[1\] without history/,
    );
    expect(() => onEdge(tensor([1]), 0, () => null)).toThrow(/onEdge: no message reaches/);
    expect(() => onEdge(x, 0, () => null)).toThrow(/onEdge: this tensor is a leaf/);
    for (const index of [-1, 2, 0.5])
      expect(() => onEdge(mul(x, 2), index, () => null)).toThrow(
        /onEdge: mul has 2 inputs; number .* is none of 0 to 1/,
      );
  });

  it('change no bits while they only look', () => {
    const build = (): [Tensor, Tensor, Tensor] => {
      const [x, w] = [
        parameter(
          tensor([
            [0.1, 0.7],
            [1.3, -0.2],
          ]),
        ),
        parameter(
          tensor([
            [0.3, 0.9],
            [0.11, 0.5],
          ]),
        ),
      ];
      return [x, w, x.matmul(w).tanh().matmul(w)];
    };
    const [x, w, y] = build();
    sum(y.square()).backward();
    const [x2, w2, y2] = build();
    for (const value of [x2, w2, y2]) onValue(value, () => undefined);
    onEdge(y2, 0, () => undefined);
    onEdge(y2, 1, () => undefined);
    sum(y2.square()).backward();
    expect([x2.grad!.toArray(), w2.grad!.toArray()]).toEqual([x.grad!.toArray(), w.grad!.toArray()]);
  });
});
