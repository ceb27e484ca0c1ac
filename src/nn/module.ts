/**
 * Module: what all layers and networks are made of.
 *
 * There is no registration. A module's members are its public properties: a leaf tensor that requires a gradient is a
 * parameter, any other tensor without a history is a buffer (a statistic, a frozen weight), a module is a child, and
 * arrays may hold any of them. What is not to be found (a cached activation, say) belongs in a #private field.
 */

import { noGrad } from '../autograd/modes.ts';
import { copy_ } from '../ops/inplace.ts';
import { tensor } from '../tensor/create.ts';
import { sameShape, showShape } from '../tensor/layout.ts';
import { numbersOf, Tensor } from '../tensor/tensor.ts';

/** The tensors of a module by name, as copies that nothing else writes to. */
export type StateDict = Record<string, Tensor>;

type Member = readonly [name: string, value: Tensor | Module];

function* membersIn(name: string, value: unknown): Generator<Member> {
  if (value instanceof Tensor || value instanceof Module) yield [name, value];
  else if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) yield* membersIn(`${name}.${i}`, value[i]);
  }
}

/**
 * The base class of layers. A subclass sets its tensors and layers as properties and says what it computes.
 *
 *     class Residual extends Module {
 *       inner = new Linear(8, 8);
 *       override forward(x: Tensor): Tensor {
 *         return add(x, relu(this.inner.forward(x)));
 *       }
 *     }
 *     new Residual().namedParameters(); // [['inner.weight', ...], ['inner.bias', ...]]
 */
export abstract class Module {
  /** Whether layers behave as in training (dropout drops) or as in use. Set by train() and eval(). */
  training = true;

  abstract forward(x: Tensor): Tensor;

  /** Tensors and modules of this module itself, in the order of their properties. Containers may name them anew. */
  protected *members(): Generator<Member> {
    for (const [name, value] of Object.entries(this)) yield* membersIn(name, value);
  }

  /** This module and all below it, each once, with their paths ('' for this one); a module before its children. */
  namedModules(): [name: string, module: Module][] {
    const found = new Map<Module, string>();
    const visit = (module: Module, path: string): void => {
      if (found.has(module)) return;
      found.set(module, path);
      for (const [name, value] of module.members()) {
        if (value instanceof Module) visit(value, path === '' ? name : `${path}.${name}`);
      }
    };
    visit(this, '');
    return Array.from(found, ([module, name]) => [name, module]);
  }

  /** Parameters and buffers, each once, under the first name it is found by. */
  #namedTensors(): [name: string, tensor: Tensor][] {
    const found = new Map<Tensor, string>();
    for (const [path, module] of this.namedModules()) {
      for (const [name, value] of module.members()) {
        if (!(value instanceof Tensor) || found.has(value) || (value.node !== null && value.node.op !== null)) continue;
        found.set(value, path === '' ? name : `${path}.${name}`);
      }
    }
    return Array.from(found, ([value, name]) => [name, value]);
  }

  /** The parameters with their names, such as '0.weight': a module's own before its children's, each once. */
  namedParameters(): [name: string, parameter: Tensor][] {
    return this.#namedTensors().filter(([, value]) => value.requiresGrad);
  }

  /** The parameters, in the order of namedParameters(): what an optimizer is given. */
  parameters(): Tensor[] {
    return this.namedParameters().map(([, value]) => value);
  }

  /** The tensors that belong to the module and do not learn. */
  namedBuffers(): [name: string, buffer: Tensor][] {
    return this.#namedTensors().filter(([, value]) => !value.requiresGrad);
  }

  /** Puts this module and all below it into training mode (or out of it). */
  train(mode = true): this {
    for (const [, module] of this.namedModules()) module.training = mode;
    return this;
  }

  /** Puts this module and all below it into the mode of use: dropout passes everything on. Beside it stands noGrad. */
  eval(): this {
    return this.train(false);
  }

  /** Forgets the gradients of all parameters. */
  zeroGrad(): void {
    for (const parameter of this.parameters()) parameter.grad = null;
  }

  /** Copies of all parameters and buffers by name. */
  stateDict(): StateDict {
    const state: StateDict = {};
    for (const [name, value] of this.#namedTensors()) state[name] = tensor(numbersOf(value), value.shape);
    return state;
  }

  /**
   * Writes values of the same names and shapes into the parameters and buffers. Names that are missing or too many and
   * shapes that differ are an error, and then nothing has been written.
   *
   *     model.loadStateDict(trained.stateDict());
   */
  loadStateDict(state: StateDict): void {
    const pairs = this.#matched('loadStateDict', state);
    noGrad(() => {
      for (const [value, source] of pairs) copy_(value, source);
    });
  }

  /**
   * What the module gives for x with the values of `state` (see stateDict) in the place of its own, in the mode of use (see
   * eval): the model of an earlier time, asked beside the present one. Nothing is recorded and nothing is written: a graph that
   * was recorded before is as good as it was. The state must have the module's names and shapes.
   *
   *     const earlier = model.stateDict();
   *     optimizer.step();
   *     model.forwardWith(earlier, x); // as before the step
   */
  forwardWith(state: StateDict, x: Tensor): Tensor {
    const pairs = this.#matched('forwardWith', state);
    const before = pairs.map(([{ storage, layout, offset }]) => ({ storage, layout, offset }));
    const modes = this.namedModules().map(([, module]) => ({ module, training: module.training }));
    try {
      // The tensors stay who they are, and for a moment look at other numbers: no copies, no versions counted.
      for (const [value, { storage, layout, offset }] of pairs) Object.assign(value, { storage, layout, offset });
      this.eval();
      return noGrad(() => this.forward(x));
    } finally {
      for (const [i, [value]] of pairs.entries()) Object.assign(value, before[i]);
      for (const { module, training } of modes) module.training = training;
    }
  }

  /** Each parameter and buffer with the tensor of its name in a state. */
  #matched(who: string, state: StateDict): [own: Tensor, source: Tensor][] {
    const own = this.#namedTensors();
    const names = new Set(own.map(([name]) => name));
    const missing = [...names].filter((name) => !Object.hasOwn(state, name));
    const unexpected = Object.keys(state).filter((name) => !names.has(name));
    if (missing.length > 0 || unexpected.length > 0) {
      const parts = [
        missing.length > 0 ? `the state lacks ${missing.join(', ')}` : '',
        unexpected.length > 0 ? `the module has no ${unexpected.join(', ')}` : '',
      ];
      throw new Error(
        `${who}: ${parts.filter((part) => part !== '').join('; ')}. Both sides must have the same names.`,
      );
    }
    return own.map(([name, value]) => {
      const source = state[name];
      if (!(source instanceof Tensor)) throw new TypeError(`${who}: ${name} is not a Tensor.`);
      if (!sameShape(source.shape, value.shape)) {
        throw new RangeError(
          `${who}: ${name} has shape ${showShape(value.shape)} in the module but ${showShape(source.shape)} in the state.`,
        );
      }
      return [value, source];
    });
  }
}
