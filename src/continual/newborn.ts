/**
 * Units that start anew: their incoming weights are drawn again, their outgoing weights are 0, so that at first they change
 * nothing of what the network says. All that is written goes through `reset`: whoever holds state about the old unit hears.
 */
import { calculateFans, calculateGain, type Nonlinearity, symmetricUniform } from '../nn/init.ts';
import type { Generator } from '../random/generator.ts';
import { reset } from '../state/reset.ts';
import { columnsOf, type UnitLayer } from '../state/units.ts';
import { given } from '../tensor/given.ts';

/**
 * How incoming weights are drawn: uniformly from -b to b, where b is gain sqrt(3 / fanIn) (kaiming), sqrt(3 / fanIn) (lecun),
 * gain sqrt(6 / (fanIn + fanOut)) (xavier) or 1 / sqrt(fanIn) (default, that of Linear and Conv2d). Or a function that gives the
 * numbers for a layer (counted from the input) and a unit.
 */
export type Initialization = NamedInitialization | ((layer: number, unit: number) => ArrayLike<number>);
export type NamedInitialization = 'kaiming' | 'lecun' | 'xavier' | 'default';

const tabled = new Set<string>(['sigmoid', 'tanh', 'relu', 'leakyRelu', 'selu'] satisfies Nonlinearity[]);

/** The gain for what follows a layer; of what has none of its own (elu, gelu, silu, ...), relu's, as published. */
function gainOf({ activation }: UnitLayer): number {
  if (activation === null) return 1;
  const name = tabled.has(activation.name) ? (activation.name as Nonlinearity) : 'relu';
  return calculateGain(name, activation.slope ?? undefined);
}

/** b of the distribution from which a layer's incoming weights are drawn. */
export function boundOf(layer: UnitLayer, initialization: NamedInitialization): number {
  const { fanIn, fanOut } = calculateFans(layer.weight.shape);
  // selu normalises itself only from variance 1 / fanIn.
  const kind = initialization === 'kaiming' && layer.activation?.name === 'selu' ? 'lecun' : initialization;
  switch (kind) {
    case 'kaiming':
      return gainOf(layer) * Math.sqrt(3 / fanIn);
    case 'lecun':
      return Math.sqrt(3 / fanIn);
    case 'xavier':
      return gainOf(layer) * Math.sqrt(6 / (fanIn + fanOut));
    case 'default':
      return Math.sqrt(1 / fanIn);
  }
}

/** A sentence unless it is one of them. */
export function checkInitialization(who: string, initialization: Initialization): void {
  const names: readonly unknown[] = ['kaiming', 'lecun', 'xavier', 'default'] satisfies NamedInitialization[];
  if (typeof initialization !== 'function' && !names.includes(initialization))
    throw new RangeError(
      `${who}: initialization is 'kaiming', 'lecun', 'xavier', 'default' or a function, not ${String(initialization)}.`,
    );
}

/** The incoming weights of new units, one after the other. */
export function drawRows(
  layer: UnitLayer,
  index: number,
  units: readonly number[],
  initialization: Initialization,
  generator: Generator,
): Float32Array {
  const width = layer.weight.size / layer.units;
  if (typeof initialization !== 'function')
    return symmetricUniform([units.length * width], boundOf(layer, initialization), generator).toFloat32Array();
  const rows = new Float32Array(units.length * width);
  units.forEach((unit, i) => {
    const given = initialization(index, unit);
    if (given.length !== width)
      throw new RangeError(
        `initialization gave ${given.length} numbers for unit ${unit} of layer ${index}, which has ${width} incoming weights.`,
      );
    rows.set(given, i * width);
  });
  return rows;
}

/**
 * Replaces units of a layer: incoming weights as given, one unit after the other, norms and their running statistics as at first, the
 * rest 0. Running statistics that are plain means over all batches (momentum null) go on counting those of the old unit.
 */
export function replaceUnits(layer: UnitLayer, units: readonly number[], rows: ArrayLike<number>): void {
  const call = 'replaceUnits(layer, [3], new Float32Array(784))';
  given(call, 'a layer, units and numbers', layer);
  given(call, 'units and their incoming weights', units);
  reset(layer.weight, { rows: units }, rows);
  if (layer.bias !== null) reset(layer.bias, { rows: units }, 0);
  for (const { parameter, inner, start } of layer.norms) {
    const index = units.flatMap((unit) => columnsOf(unit, layer.units, inner, parameter.size));
    reset(parameter, { index }, start);
  }
  for (const { buffer, inner, start } of layer.running) {
    const index = units.flatMap((unit) => columnsOf(unit, layer.units, inner, buffer.size));
    reset(buffer, { index }, start);
  }
  for (const { weight, inner } of layer.outgoing) {
    const columns = units.flatMap((unit) => columnsOf(unit, layer.units, inner, weight.shape[1]!));
    reset(weight, { columns }, 0);
  }
}
