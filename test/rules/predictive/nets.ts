/** Small networks, what their parameters received, and what it took. */
import { Generator, Linear, type Module, randn, Sequential, Tanh, type Tensor } from '../../../src/index.ts';
import { run, withKernels } from '../../../src/storage/dispatch.ts';

export const generatorOf = (seed: number) => new Generator(seed);

/** Linear layers of these widths with tanh between them. */
export function perceptron(widths: readonly number[], seed: number): Sequential {
  const generator = new Generator(seed);
  const layers: Module[] = [];
  for (let i = 1; i < widths.length; i++) {
    if (i > 1) layers.push(new Tanh());
    layers.push(new Linear(widths[i - 1]!, widths[i]!, { generator }));
  }
  return new Sequential(...layers);
}

/** Linear layers without bias and nothing between them. */
export function linearChain(widths: readonly number[], seed: number): Sequential {
  const generator = new Generator(seed);
  return new Sequential(...widths.slice(1).map((to, i) => new Linear(widths[i]!, to, { bias: false, generator })));
}

export const normal = (shape: number[], seed: number): Tensor => randn(shape, { generator: new Generator(seed) });

/** The gradients that lie at some leaves, which are cleared. */
export function taken(leaves: readonly Tensor[]): Float32Array[] {
  const found = leaves.map(({ grad }) => {
    if (grad === null) throw new Error('no gradient arrived');
    return grad.toFloat32Array();
  });
  for (const leaf of leaves) leaf.grad = null;
  return found;
}

/** The largest difference between two lists of arrays, relative to the largest number of the second, array by array. */
export function distance(a: readonly ArrayLike<number>[], b: readonly ArrayLike<number>[]): number {
  if (a.length !== b.length || a.length === 0) throw new Error('the lists differ in length, or are empty');
  let largest = 0;
  for (const [k, expected] of b.entries()) {
    const got = a[k]!;
    if (got.length !== expected.length || got.length === 0)
      throw new Error(`arrays ${k} differ in length, or are empty`);
    let [difference, scale] = [0, 0];
    for (let i = 0; i < expected.length; i++) {
      difference = Math.max(difference, Math.abs(got[i]! - expected[i]!));
      scale = Math.max(scale, Math.abs(expected[i]!));
      if (Number.isNaN(got[i]!) || Number.isNaN(expected[i]!)) return Number.NaN;
    }
    if (scale === 0) throw new Error(`array ${k} is all zeros: nothing is compared`);
    largest = Math.max(largest, difference / scale);
  }
  return largest;
}

export const matrix = (x: Tensor) => x.toArray() as number[][];

export type Energies = readonly number[];

/** A call that keeps what `onEnergy` was told. */
export function listener(): { told: Energies[]; onEnergy: (energies: Energies) => void } {
  const told: Energies[] = [];
  return { told, onEnergy: (energies) => void told.push(energies.slice()) };
}

/** How many products of matrices `body` computes. */
export function gemmsIn(body: () => void): number {
  let count = 0;
  const counted = new Proxy(run, {
    get: (table, name) => {
      if (name === 'gemm') count++;
      return Reflect.get(table, name) as unknown;
    },
  });
  withKernels(counted, body);
  return count;
}
