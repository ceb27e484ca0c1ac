/**
 * Predictive coding of a multilayer perceptron in plain arrays, one sample at a time: what the rule must give, written down
 * anew from the equations. Values are the outputs of the layers, tanh stands between them.
 */
export interface Layer {
  weight: number[][];
  bias: number[];
}

export interface Asked {
  /** Target of the last layer, and how firmly; Infinity holds it there. */
  target?: { at: number[]; precision: number };
  /** A gradient that arrives at the last layer. */
  gradient?: number[];
}

export interface Learned {
  layers: Layer[];
  input: number[];
  /** Before the first sweep, and after each. */
  energies: number[];
}

const derivative = (x: number) => 1 - Math.tanh(x) ** 2;

export function relaxed(
  layers: readonly Layer[],
  input: readonly number[],
  { target, gradient }: Asked,
  { steps, rate, precisions }: { steps: number; rate: number; precisions: readonly number[] },
): Learned {
  const depth = layers.length;
  const predicted = ({ weight, bias }: Layer, from: readonly number[]) =>
    weight.map((row, o) => row.reduce((sum, w, i) => sum + w * from[i]!, bias[o]!));
  const x: number[][] = [];
  for (const [l, layer] of layers.entries()) x.push(predicted(layer, l === 0 ? input : x[l - 1]!.map(Math.tanh)));
  const rest = x[depth - 1]!.slice();
  const held = target?.precision === Infinity;
  if (held) x[depth - 1] = target!.at.slice();
  const errors = () =>
    layers.map((layer, l) => {
      const mu = predicted(layer, l === 0 ? input : x[l - 1]!.map(Math.tanh));
      return x[l]!.map((value, i) => value - mu[i]!);
    });
  const energy = () => {
    const last = x[depth - 1]!;
    let sum = 0;
    for (const [l, e] of errors().entries()) for (const one of e) sum += 0.5 * precisions[l]! * one * one;
    if (target !== undefined && !held)
      for (const [i, t] of target.at.entries()) sum += 0.5 * target.precision * (last[i]! - t) ** 2;
    if (gradient !== undefined) for (const [i, g] of gradient.entries()) sum += g * (last[i]! - rest[i]!);
    return sum;
  };
  const energies = [energy()];
  for (let step = 0; step < steps; step++) {
    const e = errors();
    for (let l = 0; l < depth; l++) {
      if (l === depth - 1 && held) continue;
      const before = x[l]!.slice();
      for (let i = 0; i < before.length; i++) {
        let slope = precisions[l]! * e[l]![i]!;
        if (l < depth - 1)
          for (const [o, row] of layers[l + 1]!.weight.entries())
            slope -= precisions[l + 1]! * e[l + 1]![o]! * row[i]! * derivative(before[i]!);
        else {
          if (target !== undefined) slope += target.precision * (before[i]! - target.at[i]!);
          slope += gradient?.[i] ?? 0;
        }
        x[l]![i] = before[i]! - rate * slope;
      }
    }
    energies.push(energy());
  }
  const e = errors();
  return {
    energies,
    input: input.map(
      (_, i) => -precisions[0]! * layers[0]!.weight.reduce((sum, row, o) => sum + row[i]! * e[0]![o]!, 0),
    ),
    layers: layers.map((_, l) => {
      const from = l === 0 ? input : x[l - 1]!.map(Math.tanh);
      return {
        weight: e[l]!.map((one) => from.map((value) => -precisions[l]! * one * value)),
        bias: e[l]!.map((one) => -precisions[l]! * one),
      };
    }),
  };
}
