/**
 * What anchoring methods remember, in one form for all: what pulls, what is known of each parameter besides (its way, its running
 * means), counts, and where drawn examples come from.
 */
import type { Generator, GeneratorState } from '../../random/generator.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Learning } from '../method.ts';
import {
  type Commit,
  checkCounted,
  checkFields,
  type Fields,
  type Kept,
  type KeptByName,
  type Kinds,
  OwnParameters,
  takingGenerator,
} from '../state.ts';
import type { Pulls, PullsState } from './pulls.ts';

/** State of an anchoring method: plain data for a checkpoint. */
export interface AnchoringState {
  /** The method's name. */
  readonly method: string;
  readonly pulls: PullsState;
  /** What is known of parameters, by name. */
  readonly known: KeptByName;
  readonly counts: Readonly<Record<string, number>>;
  /** null: nothing is drawn. */
  readonly generator: GeneratorState | null;
}

/** What is known of each parameter: the map in which it stands, the tensors and counts it is made of, and the way back. */
interface KnownOf<Known, Of extends Kinds> {
  readonly map: Map<Tensor, Known>;
  readonly kinds: Of;
  read(known: Known): Fields<Of> & Kept;
  /** To be made when the pulls are what they were. */
  make(parameter: Tensor, kept: Fields<Of>): Known;
}

export interface Remembering<Known, Of extends Kinds> {
  /** The method, for errors; and its name, which says more of what its numbers are. */
  readonly who: string;
  readonly name: string;
  readonly pulls: Pulls;
  /** Whether it holds anything: with strength 0 there are no anchors. */
  readonly holds: boolean;
  readonly known?: KnownOf<Known, Of>;
  /** Written in place. */
  readonly counts?: Record<string, number>;
  readonly generator?: Generator;
}

interface Hooks {
  attach(learning: Learning): void;
  stateDict(): AnchoringState;
  loadStateDict(state: AnchoringState): void;
}

/** The three hooks by which a method's state comes and goes. */
export function remembering<Known, Of extends Kinds>({
  who,
  name,
  pulls,
  holds,
  known,
  counts = {},
  generator,
}: Remembering<Known, Of>): Hooks {
  const parameters = new OwnParameters(who);
  const loading = `${who}.loadStateDict`;

  /** Checks what is known of parameters. */
  function takingKnown(state: KeptByName): Commit {
    const found = parameters.found(state, known?.kinds ?? ({} as Of));
    return () => {
      if (known === undefined) return;
      known.map.clear();
      for (const [parameter, kept] of found) known.map.set(parameter, known.make(parameter, kept));
    };
  }

  return {
    attach(learning) {
      parameters.attach(learning);
      if (holds) pulls.attach(learning);
    },
    stateDict: () => ({
      method: name,
      pulls: pulls.state(parameters),
      known: known === undefined ? {} : parameters.saved(known.map, (one) => known.read(one)),
      counts: { ...counts },
      generator: generator?.state ?? null,
    }),
    loadStateDict(state) {
      checkFields(loading, state, ['method', 'pulls', 'known', 'counts', 'generator']);
      if (state.method !== name)
        throw new Error(`${loading}: the state is of the method ${String(state.method)}, and this is ${name}.`);
      checkFields(`${loading}, counts`, state.counts, Object.keys(counts));
      for (const [what, count] of Object.entries(state.counts)) checkCounted(loading, what, count);
      if ((state.generator === null) !== (generator === undefined))
        throw new TypeError(
          `${loading}: only ${generator === undefined ? 'the state' : 'the method'} has a generator. Give the state of a method of this kind.`,
        );
      const commits = [
        pulls.taking(state.pulls, parameters),
        takingKnown(state.known),
        () => void Object.assign(counts, state.counts),
        ...(generator === undefined || state.generator === null
          ? []
          : [takingGenerator(loading, generator, state.generator)]),
      ];
      for (const commit of commits) commit();
    },
  };
}
