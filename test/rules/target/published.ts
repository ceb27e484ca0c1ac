/**
 * Target propagation as published, in plain loops over doubles: what the rules are compared with. Layers are matrices
 * [out, in + 1] whose last column meets a constant 1; relu stands between them. All weights step at once, in full.
 */
export type Matrix = number[][];

const times = (w: Matrix, x: readonly number[]): number[] =>
  w.map((row) => row.reduce((sum, weight, i) => sum + weight * x[i]!, 0));

/** One step: the changed matrices. `targetOf` gives a sample's target from its output. */
export function publishedStep(
  layers: readonly Matrix[],
  inputs: Matrix,
  targetOf: (output: number[], sample: number) => number[],
): Matrix[] {
  const changed = layers.map((layer) => layer.map((row) => row.slice()));
  inputs.forEach((input, sample) => {
    // With the 1: what each layer reads. Without relu: what it gives.
    const read: number[][] = [[...input, 1]];
    const given: number[][] = [];
    layers.forEach((layer, k) => {
      const y = times(layer, read[k]!);
      given.push(y);
      read.push([...y.map((v) => Math.max(v, 0)), 1]);
    });
    let wanted = targetOf(given.at(-1)!, sample);
    for (let k = layers.length - 1; k >= 0; k--) {
      const layer = layers[k]!;
      const dy = wanted.map((t, o) => t - given[k]![o]!);
      const x = read[k]!;
      const moved = x.map((v, i) => v + layer.reduce((sum, row, o) => sum + dy[o]! * row[i]!, 0) / layer.length);
      // The input layer cannot move; relu gives nothing below 0; the 1 stays 1.
      const feasible = k === 0 ? x : [...moved.slice(0, -1).map((v) => Math.max(v, 0)), 1];
      const now = times(layer, feasible);
      const squares = feasible.reduce((sum, v) => sum + v * v, 0);
      layer.forEach((row, o) => {
        const r = wanted[o]! - now[o]!;
        row.forEach((_, i) => {
          changed[k]![o]![i]! += (r * feasible[i]!) / squares / inputs.length;
        });
      });
      if (k > 0) wanted = feasible.slice(0, -1).map((t, i) => (t > 0 ? t : Math.min(given[k - 1]![i]!, 0)));
    }
  });
  return changed;
}

/** What the network gives for one input. */
export function outputOf(layers: readonly Matrix[], input: readonly number[]): number[] {
  let x = input.slice();
  layers.forEach((layer, k) => {
    const y = times(layer, [...x, 1]);
    x = k === layers.length - 1 ? y : y.map((v) => Math.max(v, 0));
  });
  return x;
}
