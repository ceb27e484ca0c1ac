/** The training of a network, with what watches its weights for the measures that need it. Adam at a constant rate. */

import { WeightMovement } from '../../../src/importance/movement.ts';
import { PathIntegral, RiemannianWalk } from '../../../src/importance/trackers.ts';
import { Adam, batches, crossEntropy, Generator, type Module } from '../../../src/index.ts';
import { UserError } from '../user-error.ts';
import type { RunSettings } from './grid.ts';
import { NETWORKS } from './models.ts';
import { batchOf, squaredErrors, type Task } from './tasks.ts';

const MOVEMENT = ['signFlips', 'directionReversals', 'pathLength', 'weightChange'];

export class Training {
  readonly model: Module;
  readonly movement: WeightMovement | undefined;
  readonly path: PathIntegral | undefined;
  readonly walk: RiemannianWalk | undefined;
  readonly stepsOfEpoch: number;
  /** Done so far. */
  steps = 0;
  milliseconds = 0;
  readonly #task: Task;
  readonly #optimizer: Adam;
  readonly #epochs: Iterable<Int32Array>;
  readonly #name: string;

  constructor(task: Task, { task: name, model, seed, measures, batch, lr }: RunSettings) {
    const generator = new Generator(seed);
    this.#task = task;
    this.#name = `${model} on ${name}`;
    this.model = NETWORKS[model].build(task.shape, task.outputs, generator.fork());
    this.#optimizer = new Adam(this.model.parameters(), { lr });
    this.#epochs = batches(task.train.count, batch, { generator: generator.fork() });
    this.stepsOfEpoch = Math.ceil(task.train.count / batch);
    const parameters = this.model.namedParameters();
    const needed = (...names: readonly string[]): boolean => names.some((one) => measures.includes(one));
    if (needed(...MOVEMENT)) this.movement = new WeightMovement(parameters);
    if (needed('synapticIntelligence')) this.path = new PathIntegral(parameters);
    if (needed('riemannianWalk')) this.walk = new RiemannianWalk(parameters);
    for (const tracker of [this.movement, this.path, this.walk]) tracker?.attach(this.#optimizer);
  }

  /** Learns until so many epochs have ended; pauses after each step. */
  *until(epoch: number): Iterable<void> {
    const { model } = this;
    const { train, targets } = this.#task;
    while (this.steps < epoch * this.stepsOfEpoch)
      for (const rows of this.#epochs) {
        const start = performance.now();
        const { x, labels } = batchOf(this.#task, train, rows);
        model.train();
        const output = model.forward(x);
        const loss = targets === null ? crossEntropy(output, labels) : squaredErrors(targets)(output, labels).mean();
        this.#optimizer.zeroGrad();
        loss.backward();
        this.#optimizer.step();
        if (!Number.isFinite(loss.item())) throw new UserError(`The loss of ${this.#name} is no longer finite.`);
        this.steps++;
        this.milliseconds += performance.now() - start;
        yield;
      }
  }
}
