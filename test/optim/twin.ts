/** Guided steps in plain numbers, weight by weight: what src/optim/proximal.ts does tile by tile. */

export interface TwinOptions {
  readonly kind: 'SGD' | 'Adam' | 'AdamW';
  readonly lr: number;
  readonly momentum: number;
  readonly dampening: number;
  readonly nesterov: boolean;
  readonly weightDecay: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly amsgrad: boolean;
}

export interface TwinAnchor {
  readonly at: readonly number[];
  readonly precision: readonly number[];
  readonly step: 'implicit' | 'explicit';
}

/** What is said about a step. `target`: displacements and precisions; Infinity is a hard one. */
export interface Said {
  readonly g: readonly number[] | null;
  readonly target: { readonly d: readonly number[]; readonly p: readonly number[] } | null;
  readonly plasticity: readonly number[];
  readonly anchors: readonly TwinAnchor[];
}

export class Twin {
  readonly w: number[];
  readonly #options: TwinOptions;
  readonly #mean: number[];
  readonly #square: number[];
  readonly #largest: number[];
  readonly #began: number[];
  #steps = 0;
  #moved = false;

  constructor(w: readonly number[], options: TwinOptions) {
    this.w = [...w];
    this.#options = options;
    [this.#mean, this.#square, this.#largest, this.#began] = [0, 0, 0, 0].map((x) => w.map(() => x)) as [
      number[],
      number[],
      number[],
      number[],
    ];
  }

  reset(elements: readonly number[], value: number): void {
    for (const i of elements) {
      this.w[i] = value;
      this.#mean[i] = this.#square[i] = this.#largest[i] = 0;
      this.#began[i] = this.#steps;
    }
  }

  /** Direction and resistance of one weight. */
  #directionOf(i: number, slope: number): [d: number, resistance: number] {
    const { kind, momentum, dampening, nesterov, betas, eps, amsgrad } = this.#options;
    if (kind === 'SGD') {
      if (momentum === 0) return [slope, 1];
      this.#mean[i] = this.#moved ? momentum * this.#mean[i]! + (1 - dampening) * slope : slope;
      return [nesterov ? slope + momentum * this.#mean[i]! : this.#mean[i]!, 1];
    }
    const age = this.#steps - this.#began[i]!;
    this.#mean[i] = betas[0] * this.#mean[i]! + (1 - betas[0]) * slope;
    this.#square[i] = betas[1] * this.#square[i]! + (1 - betas[1]) * slope * slope;
    this.#largest[i] = Math.max(this.#largest[i]!, this.#square[i]!);
    const square = (amsgrad ? this.#largest : this.#square)[i]!;
    return [this.#mean[i]! / (1 - betas[0] ** age), Math.sqrt(square / (1 - betas[1] ** age)) + eps];
  }

  /** Takes a step. False: somewhere no step is long enough, and the weights stay. */
  step({ g, target, plasticity, anchors }: Said): boolean {
    if (g === null && target === null && anchors.length === 0) return true;
    const { kind, lr, weightDecay } = this.#options;
    const [l2, decay] = kind === 'AdamW' ? [0, weightDecay] : [weightDecay, 0];
    this.#steps++;
    let bounded = true;
    const moved = this.w.map((w, i) => {
      let slope = (g?.[i] ?? 0) + l2 * w;
      for (const { at, precision, step } of anchors) if (step === 'explicit') slope += precision[i]! * (w - at[i]!);
      const [d, resistance] = this.#directionOf(i, slope);
      const c = plasticity[i]!;
      if (c === 0 || lr === 0) return w;
      if (target?.p[i] === Infinity) return w + target.d[i]!;
      const decayed = decay === 0 ? w : w - lr * c * decay * w;
      let force = -d;
      let stiffness = resistance / (lr * c);
      const pull = (to: number, p: number): void => {
        force += p * (to - decayed);
        stiffness += p;
      };
      if (target !== null) pull(w + target.d[i]!, target.p[i]!);
      for (const { at, precision, step } of anchors) if (step === 'implicit') pull(at[i]!, precision[i]!);
      if (stiffness === 0) {
        if (force !== 0) bounded = false;
        return w;
      }
      return decayed + force / stiffness;
    });
    this.#moved = true;
    if (bounded) for (const [i, x] of moved.entries()) this.w[i] = x;
    return bounded;
  }
}
