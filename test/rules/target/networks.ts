/** What the tests of target propagation share: small networks, steps in full, plain numbers. */
import {
  Generator,
  inboxOf,
  Linear,
  type Module,
  noGrad,
  ReLU,
  Sequential,
  type Tensor,
  tensor,
} from '../../../src/index.ts';

export const normal = (shape: readonly number[], seed: number, scale = 1): Tensor => {
  const generator = new Generator(seed);
  const size = shape.reduce((a, b) => a * b, 1);
  return tensor(
    Array.from({ length: size }, () => scale * generator.normal()),
    shape,
  );
};

/** Linear layers of these sizes with relus between them. */
export function network(sizes: readonly number[], seed: number, scale = 0.5): Sequential {
  const layers = sizes.slice(1).flatMap((size, k): Module[] => {
    const layer = new Linear(sizes[k]!, size);
    noGrad(() => {
      layer.weight.copy_(normal([size, sizes[k]!], 100 * seed + k, scale));
      layer.bias!.copy_(normal([size], 100 * seed + 50 + k, scale));
    });
    return k + 2 < sizes.length ? [layer, new ReLU()] : [layer];
  });
  return new Sequential(...layers);
}

/** An infinite learning rate: every parameter goes where its messages want it. */
export function stepInFull(parameters: readonly Tensor[]): void {
  noGrad(() => {
    for (const w of parameters) {
      const message = inboxOf(w);
      if (message !== null) w.add_(message.step());
      w.grad = null;
    }
  });
}

/** The change that is asked of a leaf, as plain numbers. */
export const asked = (leaf: Tensor): number[] => Array.from(inboxOf(leaf)!.step().toFloat32Array());

/** a [n, k] times b [k, m]. */
export const product = (a: number[][], b: number[][]): number[][] =>
  a.map((row) => b[0]!.map((_, j) => row.reduce((sum, x, k) => sum + x * b[k]![j]!, 0)));

export const transposed = (a: number[][]): number[][] => a[0]!.map((_, j) => a.map((row) => row[j]!));

export const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0);

/** The solution of a x = b for a small matrix, by elimination with pivots. */
export function solved(a: number[][], b: number[]): number[] {
  const n = b.length;
  const rows = a.map((row, i) => [...row, b[i]!]);
  for (let column = 0; column < n; column++) {
    let pivot = column;
    for (let i = column; i < n; i++) if (Math.abs(rows[i]![column]!) > Math.abs(rows[pivot]![column]!)) pivot = i;
    [rows[column], rows[pivot]] = [rows[pivot]!, rows[column]!];
    for (let i = 0; i < n; i++) {
      if (i === column) continue;
      const factor = rows[i]![column]! / rows[column]![column]!;
      for (let j = column; j <= n; j++) rows[i]![j]! -= factor * rows[column]![j]!;
    }
  }
  return rows.map((row, i) => row[n]! / row[i]!);
}
