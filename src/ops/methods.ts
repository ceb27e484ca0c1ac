/**
 * Ops as methods: `x.add(y)` is `add(x, y)`. One table gives both the methods and their types.
 */
import { contiguous } from '../tensor/access.ts';
import { Tensor } from '../tensor/tensor.ts';
import * as binary from './binary.ts';
import * as elementwise from './elementwise.ts';
import { gather, indexSelect } from './indexing.ts';
import * as inplace from './inplace.ts';
import { matmul } from './matmul.ts';
import * as reduce from './reduce.ts';
import * as shape from './shape.ts';
import * as softmax from './softmax.ts';
import { expand, sum } from './sum.ts';

const { add, sub, mul, div, maximum, minimum, eq, ne, lt, le, gt, ge } = binary;
const { neg, exp, expm1, log, log1p, sin, cos, sqrt, rsqrt, reciprocal, abs, square, sign, erf } = elementwise;
const { tanh, sigmoid, logsigmoid, softplus, relu, silu, mish, hardswish, selu, gelu, leakyRelu, elu, clamp, pow } =
  elementwise;
const { mean, variance, std, amax, amin, argmax, argmin, prod, norm } = reduce;
const { reshape, flatten, unsqueeze, squeeze, permute, transpose, flip, slice, pad, clone } = shape;
const { logsumexp, logSoftmax } = softmax;

const methods = {
  ...{ add, sub, mul, div, maximum, minimum, eq, ne, lt, le, gt, ge, pow },
  ...{ neg, exp, expm1, log, log1p, sin, cos, sqrt, rsqrt, reciprocal, abs, square, sign, erf },
  ...{ tanh, sigmoid, logsigmoid, softplus, relu, silu, mish, hardswish, selu, gelu, leakyRelu, elu, clamp },
  ...{ matmul, sum, mean, var: variance, std, amax, amin, argmax, argmin, prod, norm, logsumexp },
  ...{ softmax: softmax.softmax, logSoftmax },
  ...{ reshape, flatten, unsqueeze, squeeze, permute, transpose, flip, slice, pad, expand, clone },
  ...{ indexSelect, gather },
  ...inplace,
  /** The tensor itself if its elements stand in a row, else a copy in which they do. */
  contiguous: (x: Tensor): Tensor => (contiguous(x) === x ? x : clone(x)),
};

type Methods = {
  [Name in keyof typeof methods]: (typeof methods)[Name] extends (x: never, ...rest: infer Rest) => infer Result
    ? (...rest: Rest) => Result
    : never;
};

declare module '../tensor/tensor.ts' {
  interface Tensor extends Methods {}
}

for (const [name, op] of Object.entries(methods) as [string, (x: Tensor, ...rest: unknown[]) => unknown][])
  Object.defineProperty(Tensor.prototype, name, {
    value(this: Tensor, a: unknown, b: unknown, c: unknown) {
      return c === undefined
        ? b === undefined
          ? a === undefined
            ? op(this)
            : op(this, a)
          : op(this, a, b)
        : op(this, a, b, c);
    },
    writable: true,
    configurable: true,
  });
