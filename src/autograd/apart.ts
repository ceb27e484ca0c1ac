/** How most ops keep examples apart: see OpDefinition.perExample. */
import type { Tensor } from '../tensor/tensor.ts';
import type { PerExample, Recorded } from './define.ts';

/** Each number of the output depends on the number of the input in its place in row-major order. */
export const everywhere: PerExample<readonly Tensor[], unknown> = { apart: () => true };

/**
 * Entry i of the output's first axis depends on entry i of the input's first axis alone.
 *
 * @param exceptFor whether these attributes make the op work along the first axis
 */
export const rowwise = <Attributes>(
  exceptFor: (attributes: Attributes, node: Recorded<readonly Tensor[], Attributes>) => boolean = () => false,
): PerExample<readonly Tensor[], Attributes> => ({
  apart: (node, index, count) => sameRows(node, index, count) && !exceptFor(node.attributes, node),
});

/** Whether input and output have a first axis of one size, and it holds `count` examples. */
export function sameRows(
  { inputs, output }: { readonly inputs: readonly Tensor[]; readonly output: Tensor },
  index: number,
  count: number,
): boolean {
  const [rows, input] = [output.shape[0], inputs[index]!];
  return rows !== undefined && rows === input.shape[0] && rows % count === 0;
}
