/**
 * Side state: what a parameter carries besides its value. Anchors hold it where it was, plasticity says how readily it
 * moves, gates stand before its inbox, and named tensors (a confidence, an importance) belong to whoever keeps them.
 *
 * It is kept by the parameter tensor itself and goes with it. Optimizers ask for it only if some parameter somewhere has
 * an anchor or a plasticity (`guided.count`): where nobody has, a step costs what it costs without any of this.
 */
import { noGrad } from '../autograd/modes.ts';
import { copy_ } from '../ops/inplace.ts';
import { buffer, tensor } from '../tensor/create.ts';
import { sameShape, showShape } from '../tensor/layout.ts';
import { checkTensor, numbersOf, Tensor } from '../tensor/tensor.ts';
import type { Anchor } from './anchor.ts';
import type { Gate, GateKeeper } from './gate.ts';
import { onReset, ownersOf, writeAt } from './reset.ts';

/** A list that things are put into and taken out of again, once each. */
export function putInto<Thing>(list: Thing[], thing: Thing, changed: () => void): () => void {
  list.push(thing);
  changed();
  return () => {
    const at = list.indexOf(thing);
    if (at < 0) return;
    list.splice(at, 1);
    changed();
  };
}

export class SideState {
  readonly anchors: Anchor[] = [];
  /** Each with an identity of its own: the same gate may be set twice, and removed once. */
  readonly plasticities: { readonly gate: Gate }[] = [];
  /** Gates and observers of what arrives at the parameter; null: none yet. */
  keeper: GateKeeper | null = null;
  readonly named: Map<string, Tensor> = new Map();
  /** What each named tensor held when it was kept: one number if it was the same everywhere. */
  readonly fresh: Map<string, number | ArrayLike<number>> = new Map();
  #counted = false;

  /** To be called when anchors or plasticities came or went. */
  readonly changed = (): void => {
    const guides = this.anchors.length + this.plasticities.length > 0;
    if (guides !== this.#counted) guided.count += guides ? 1 : -1;
    this.#counted = guides;
  };

  /**
   * Weights of the parameter were drawn anew: anchors let go of the old ones, gates open, and named tensors hold what they
   * held when they were kept.
   */
  restart(parameter: Tensor, elements: Int32Array): void {
    for (const one of this.anchors) one.restart(elements);
    for (const { gate } of [...this.plasticities, ...(this.keeper?.gates ?? [])])
      if (gate instanceof Tensor) writeAt(gate, ownersOf(gate, parameter, elements), () => 1);
    for (const [name, value] of this.named) {
      if (!sameShape(value.shape, parameter.shape)) continue;
      const fresh = this.fresh.get(name) ?? 0;
      writeAt(value, elements, typeof fresh === 'number' ? () => fresh : (element) => fresh[element]!);
    }
  }
}

/** How many parameters have anchors or plasticity: what lets optimizers skip the question. */
export const guided = { count: 0 };

const states = new WeakMap<Tensor, SideState>();

/** null: the parameter carries nothing. */
export const stateOf = (parameter: Tensor): SideState | null => states.get(parameter) ?? null;

/** The state of a parameter, made if there is none. */
export function stateFor(who: string, parameter: Tensor): SideState {
  checkTensor(who, parameter);
  if (parameter.node === null || parameter.node.op !== null)
    throw new Error(
      `${who}: a tensor of shape ${showShape(parameter.shape)} that is no parameter has nothing to carry it with. Give a leaf: ` +
        'parameter(...), or call requiresGrad_() on it.',
    );
  let state = states.get(parameter);
  if (state === undefined) {
    const made = new SideState();
    states.set(parameter, made);
    onReset(parameter, (elements) => made.restart(parameter, elements));
    state = made;
  }
  return state;
}

/**
 * Keeps a tensor by a parameter under a name: a confidence, an importance, an age. The tensor is copied to memory of its
 * own, and that copy is returned: write into it (`copy_`) to change what is kept. A name that is taken is an error. Where
 * weights are reset, a tensor of the parameter's shape goes back to the value given here.
 *
 * @returns the copy that is kept
 *
 *     const w = parameter(tensor([1, 2]));
 *     const confidence = keep(w, 'confidence', zeros([2]));
 *     confidence.fill_(0.5);
 *     kept(w, 'confidence').toArray(); // [0.5, 0.5]
 */
export function keep(parameter: Tensor, name: string, value: Tensor): Tensor {
  const { named, fresh } = stateFor('keep', parameter);
  checkTensor('keep', value);
  if (named.has(name))
    throw new Error(
      `keep: the parameter of shape ${showShape(parameter.shape)} keeps a tensor named ${name} already. Take it with kept, or ` +
        'forget it first.',
    );
  const copy = buffer(value);
  named.set(name, copy);
  const numbers = numbersOf(value);
  fresh.set(name, numbers.every((x) => Object.is(x, numbers[0])) ? (numbers[0] ?? 0) : numbers);
  return copy;
}

/** The tensor that a parameter keeps under a name; null: none. */
export const kept = (parameter: Tensor, name: string): Tensor | null => stateOf(parameter)?.named.get(name) ?? null;

/** Lets go of what a parameter keeps under a name. */
export function forget(parameter: Tensor, name: string): void {
  const state = stateOf(parameter);
  state?.named.delete(name);
  state?.fresh.delete(name);
}

/** All tensors of the side state by name. Gates that are numbers or functions are not state: they are the program's. */
function tensorsOf({ anchors, plasticities, named }: SideState): [name: string, value: Tensor][] {
  return [
    ...anchors.flatMap(({ at, precision }, i): [string, Tensor][] => [
      [`anchor.${i}.at`, at],
      [`anchor.${i}.precision`, precision],
    ]),
    ...plasticities.flatMap(({ gate }, i): [string, Tensor][] =>
      typeof gate === 'object' ? [[`plasticity.${i}`, gate]] : [],
    ),
    ...named,
  ];
}

/**
 * Copies of all tensors that a parameter carries besides its value, by name: anchors, plasticities that are tensors, and
 * what was put there with `keep`.
 *
 *     const w = parameter(tensor([1, 2]));
 *     anchor(w, { precision: 10 });
 *     Object.keys(sideState(w)); // ["anchor.0.at", "anchor.0.precision"]
 */
export function sideState(parameter: Tensor): Record<string, Tensor> {
  const state = stateOf(parameter);
  return Object.fromEntries(
    (state === null ? [] : tensorsOf(state)).map(([name, value]) => [name, tensor(numbersOf(value), value.shape)]),
  );
}

/**
 * Writes what `sideState` read into the state of a parameter that carries the same things. Names that are missing or too
 * many and shapes that differ are an error, and then nothing has been written.
 */
export function loadSideState(parameter: Tensor, saved: Readonly<Record<string, Tensor>>): void {
  const state = stateOf(parameter);
  const own = new Map(state === null ? [] : tensorsOf(state));
  const names = new Set([...own.keys(), ...Object.keys(saved)]);
  for (const name of names) {
    const [here, there] = [own.get(name), saved[name]];
    if (here === undefined || there === undefined)
      throw new Error(
        `loadSideState: ${name} is only in ${here === undefined ? 'what was saved' : "the parameter's state"}. Attach the same ` +
          'anchors, gates and tensors before loading.',
      );
    checkTensor(`loadSideState: ${name}`, there);
    if (!sameShape(here.shape, there.shape))
      throw new Error(
        `loadSideState: ${name} has shape ${showShape(there.shape)} where the parameter's has ${showShape(here.shape)}.`,
      );
  }
  noGrad(() => {
    for (const [name, value] of own) copy_(value, saved[name]!);
  });
}
