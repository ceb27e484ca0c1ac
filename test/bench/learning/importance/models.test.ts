import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { NETWORKS } from '../../../../bench/learning/importance/models.ts';
import { convolutional, dense, MODELS } from '../../../../bench/learning/models.ts';
import { Generator, type Module, zeros } from '../../../../src/index.ts';
import { numbersOf } from '../../../../src/tensor/tensor.ts';

/** A hash of names and bits of all parameters. */
function bitsOf(model: Module): string {
  const hash = createHash('sha256');
  for (const [name, parameter] of model.namedParameters())
    hash.update(name).update(new Uint8Array(Float32Array.from(numbersOf(parameter)).buffer));
  return hash.digest('hex').slice(0, 12);
}

describe('networks', () => {
  it('of a seed have the same bits in the training job and among those that are put in order', () => {
    for (const name of ['mlp', 'cnn'] as const)
      expect(bitsOf(MODELS[name].build(8, 12, new Generator(7)))).toBe(
        bitsOf(NETWORKS[name].build([1, 8, 12], 10, new Generator(7))),
      );
  });

  it('of a seed have the bits that they always had: results of jobs outlive programs', () => {
    const of = (name: keyof typeof NETWORKS) => [
      bitsOf(NETWORKS[name].build([1, 8, 12], 10, new Generator(7))),
      bitsOf(NETWORKS[name].build([3, 8, 8], 4, new Generator(7))),
    ];
    expect(of('mlp')).toEqual(['5ebf0b6356c9', 'f86fe1596235']);
    expect(of('cnn')).toEqual(['304917ba92be', 'd5186272c66e']);
    expect(of('tiny')).toEqual(['8d22773eb6b7', 'e52c25f69188']);
    expect(bitsOf(MODELS.linear.build(8, 12, new Generator(7)))).toBe('3594f9b574e6');
  });

  it('take images or features of any shape', () => {
    const generator = new Generator(1);
    expect(dense([5, 3])([4], 2, generator).forward(zeros([6, 4])).shape).toEqual([6, 2]);
    expect(dense([])([2, 3, 4], 2, generator).forward(zeros([6, 2, 3, 4])).shape).toEqual([6, 2]);
    expect(convolutional([3, 9, 6], 4, generator).forward(zeros([2, 3, 9, 6])).shape).toEqual([2, 4]);
  });
});
