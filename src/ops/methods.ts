/**
 * Ops as methods: `x.add(y)` is `add(x, y)`. The lists below say which functions of which file become methods; both the
 * methods and their types follow from them.
 */
import { contiguous } from '../tensor/access.ts';
import { Tensor } from '../tensor/tensor.ts';
import * as binary from './binary.ts';
import * as elementwise from './elementwise.ts';
import * as indexing from './indexing.ts';
import * as inplace from './inplace.ts';
import * as matmul from './matmul.ts';
import * as reduce from './reduce.ts';
import * as shape from './shape.ts';
import * as softmax from './softmax.ts';
import * as sum from './sum.ts';

const ofBinary = ['add', 'sub', 'mul', 'div', 'maximum', 'minimum', 'eq', 'ne', 'lt', 'le', 'gt', 'ge'] as const;
const ofElementwise = [
  ...(['neg', 'exp', 'expm1', 'log', 'log1p', 'sin', 'cos', 'sqrt', 'rsqrt', 'reciprocal', 'abs', 'square'] as const),
  ...([
    'sign',
    'erf',
    'tanh',
    'sigmoid',
    'logsigmoid',
    'softplus',
    'relu',
    'silu',
    'mish',
    'hardswish',
    'selu',
  ] as const),
  ...(['gelu', 'leakyRelu', 'elu', 'clamp', 'pow'] as const),
] as const;
const ofReduce = ['mean', 'std', 'amax', 'amin', 'argmax', 'argmin', 'prod', 'norm'] as const;
const ofShape = [
  ...(['reshape', 'flatten', 'unsqueeze', 'squeeze', 'permute', 'transpose', 'flip', 'slice', 'pad', 'clone'] as const),
] as const;
const ofSoftmax = ['softmax', 'logSoftmax', 'logsumexp'] as const;
const ofSum = ['sum', 'expand'] as const;
const ofIndexing = ['indexSelect', 'gather'] as const;
const ofMatmul = ['matmul'] as const;
const ofInplace = ['copy_', 'add_', 'sub_', 'mul_', 'div_', 'zero_', 'fill_'] as const;

/** A function of a tensor and more, as a method of the tensor. */
type Method<F> = F extends (x: never, ...rest: infer Rest) => infer Result ? (...rest: Rest) => Result : never;
type MethodsOf<File, Names extends readonly (keyof File)[]> = { [Name in Names[number]]: Method<File[Name]> };

export interface Methods
  extends MethodsOf<typeof binary, typeof ofBinary>,
    MethodsOf<typeof elementwise, typeof ofElementwise>,
    MethodsOf<typeof reduce, typeof ofReduce>,
    MethodsOf<typeof shape, typeof ofShape>,
    MethodsOf<typeof softmax, typeof ofSoftmax>,
    MethodsOf<typeof sum, typeof ofSum>,
    MethodsOf<typeof indexing, typeof ofIndexing>,
    MethodsOf<typeof matmul, typeof ofMatmul>,
    MethodsOf<typeof inplace, typeof ofInplace> {
  /** The variance over some axes (all, if dim is left out). */
  var: Method<typeof reduce.variance>;
  /** The tensor itself if its elements stand in a row, else a copy in which they do. */
  contiguous(): Tensor;
}

declare module '../tensor/tensor.ts' {
  interface Tensor extends Methods {}
}

type AnyOp = (x: Tensor, ...rest: unknown[]) => unknown;

function addMethod(name: string, op: AnyOp): void {
  Object.defineProperty(Tensor.prototype, name, {
    value(this: Tensor, a: unknown, b: unknown, c: unknown) {
      // An argument that was left out stays left out: ops tell by it which default to take.
      if (c !== undefined) return op(this, a, b, c);
      if (b !== undefined) return op(this, a, b);
      return a === undefined ? op(this) : op(this, a);
    },
    writable: true,
    configurable: true,
  });
}

const files: readonly [Record<string, unknown>, readonly string[]][] = [
  [binary, ofBinary],
  [elementwise, ofElementwise],
  [reduce, ofReduce],
  [shape, ofShape],
  [softmax, ofSoftmax],
  [sum, ofSum],
  [indexing, ofIndexing],
  [matmul, ofMatmul],
  [inplace, ofInplace],
];
for (const [file, names] of files) for (const name of names) addMethod(name, file[name] as AnyOp);
addMethod('var', reduce.variance as AnyOp);
addMethod('contiguous', (x) => (contiguous(x) === x ? x : shape.clone(x)));
