/**
 * Leaves and what people do with them: requiresGrad, grad, backward, detach, as methods of Tensor.
 */
import { hostStorage } from '../storage/storage.ts';
import { buffer } from '../tensor/create.ts';
import { contiguousLayout, sameShape, showShape } from '../tensor/layout.ts';
import { setHistoryPrinter } from '../tensor/print.ts';
import { numbersOf, Tensor } from '../tensor/tensor.ts';
import { endWalk, walk } from './backward.ts';
import { asGradient } from './message.ts';
import { makeLeaf } from './node.ts';
import { start } from './transforms.ts';

declare module '../tensor/tensor.ts' {
  interface Tensor {
    /** Whether derivatives may be asked for: a leaf that wants them, or computed from one. */
    readonly requiresGrad: boolean;
    /**
     * The gradient that backward calls added up at this leaf, or null. Set it to null to start anew; its numbers may be
     * changed in place (clipping).
     */
    grad: Tensor | null;
    /** Makes this tensor a leaf that collects gradients (or no longer one). Returns it. */
    requiresGrad_(on?: boolean): this;
    /**
     * Sends gradients to every leaf that this tensor was computed from; they add to `.grad`. The tensor must hold one
     * number, unless the gradient to start with is given.
     */
    backward(gradient?: Tensor): void;
    /** The same numbers without history, copied to an ordinary array: readable for as long as you keep it. */
    detach(): Tensor;
  }
}

/** A copy of x in kernel memory for good, as a leaf that collects gradients: what layers train. */
export function parameter(x: Tensor): Tensor {
  return buffer(x).requiresGrad_();
}

Object.defineProperties(Tensor.prototype, {
  requiresGrad: {
    get(this: Tensor) {
      return this.node !== null;
    },
  },
  grad: {
    get(this: Tensor) {
      return this.node === null || this.node.op !== null ? null : asGradient(this.node, 'grad');
    },
    set(this: Tensor, value: Tensor | null) {
      // Clearing what is not there is no error: an optimizer clears frozen parameters too.
      if (value === null && this.node?.op !== null) return;
      if (this.node === null || this.node.op !== null)
        throw new Error('grad: only leaves that require a gradient have one; call requiresGrad_() on the leaf.');
      if (value !== null && !sameShape(value.shape, this.shape))
        throw new Error(
          `grad: a gradient of shape ${showShape(value.shape)} does not fit shape ${showShape(this.shape)}.`,
        );
      this.node.slope = value === null ? null : value.detach();
      this.node.ownsSlope = true;
      this.node.springs = null;
    },
  },
});

Tensor.prototype.requiresGrad_ = function (on = true) {
  if (this.node !== null && this.node.op !== null)
    throw new Error(
      `requiresGrad_: this tensor was computed by ${this.node.op.name}; only leaves can be switched. Take detach() of it.`,
    );
  if (on && this.node === null) makeLeaf(this);
  if (!on) this.node = null;
  return this;
};

Tensor.prototype.backward = function (gradient) {
  endWalk(walk([start(this, gradient)], null));
};

Tensor.prototype.detach = function () {
  return new Tensor(hostStorage(numbersOf(this)), contiguousLayout(this.shape), 0);
};

setHistoryPrinter(({ node }) => {
  if (node === null) return '';
  return node.op === null ? ', requiresGrad' : `, from ${node.op.name}`;
});
