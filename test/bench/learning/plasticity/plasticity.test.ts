import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { interval } from '../../../../bench/learning/interval.ts';
import { gradientLearner, type Network, PROBLEM_NAMES } from '../../../../bench/learning/plasticity/algorithm.ts';
import { ALGORITHMS, algorithmOf } from '../../../../bench/learning/plasticity/algorithms.ts';
import { axis, bandPlot } from '../../../../bench/learning/plasticity/bands.ts';
import {
  jobsOf,
  PLASTICITY_OPTIONS,
  plasticityCommand,
  runPlasticity,
} from '../../../../bench/learning/plasticity/command.ts';
import { CHUNK, openProblem } from '../../../../bench/learning/plasticity/problem.ts';
import { type RunSettings, runOne } from '../../../../bench/learning/plasticity/run.ts';
import { plasticityRows } from '../../../../bench/learning/plasticity/summary.ts';
import { effectiveRank } from '../../../../src/continual/metrics.ts';
import { slowlyChangingRegression } from '../../../../src/data/streams.ts';
import { Generator, type Sequential, SGD, type Tensor, tensor } from '../../../../src/index.ts';
import { dataFolder, idxPair, temporaryFolder } from '../folder.ts';
import { optionsReader } from '../options.ts';

const regression = (told: Partial<RunSettings> = {}): RunSettings => ({
  ...{
    problem: 'regression',
    algorithm: 'backprop',
    settings: { lr: 0.01 },
    seed: 1,
    steps: 3 * CHUNK,
    binSize: CHUNK,
  },
  ...{ change: 'one', data: null },
  ...told,
});

const optionsOf = optionsReader(PLASTICITY_OPTIONS);

const silent = { write: () => true } as unknown as NodeJS.WriteStream;
const valuesOf = (model: Sequential): number[] => model.parameters().flatMap((p) => [...p.toFloat32Array()]);

describe('a run of slowly changing regression', () => {
  it('is stochastic gradient descent on 20-5-1, each example scored before it is learned from', async () => {
    // The same in plain loops and double precision.
    const { bins } = await runOne(regression());
    const problem = await openProblem('regression', 1, { change: 'one', data: null });
    const parameters = problem.network(new Generator(1).fork()).model.parameters();
    const [w, b, v, c] = parameters.map((p) => Float64Array.from(p.toFloat32Array())) as Float64Array[];
    expect([w!.length, ...b!, ...c!]).toEqual([100, 0, 0, 0, 0, 0, 0]);
    expect(Math.max(...w!.map(Math.abs))).toBeLessThanOrEqual(Math.sqrt(6 / 20));
    expect(Math.max(...w!.map(Math.abs))).toBeGreaterThan(0.9 * Math.sqrt(6 / 20));
    expect(Math.max(...v!.map(Math.abs))).toBeLessThanOrEqual(Math.sqrt(3 / 5));
    const stream = slowlyChangingRegression({ seed: 1 });
    const [x, y] = [new Float32Array(60 * CHUNK), new Float32Array(3 * CHUNK)];
    stream.fill(0, x, y);
    const expected = [0, 0, 0];
    for (let n = 0; n < y.length; n++) {
      const input = x.subarray(20 * n, 20 * n + 20);
      const hidden = Float64Array.from(b!, (bias, j) =>
        Math.max(
          0,
          input.reduce((sum, bit, i) => sum + bit * w![20 * j + i]!, bias),
        ),
      );
      const error = hidden.reduce((sum, h, j) => sum + h * v![j]!, c![0]!) - y[n]!;
      expected[Math.floor(n / CHUNK)]! += (error * error) / CHUNK;
      const step = 0.01 * 2 * error;
      for (let j = 0; j < 5; j++) {
        const below = hidden[j]! > 0 ? step * v![j]! : 0;
        v![j]! -= step * hidden[j]!;
        b![j]! -= below;
        for (let i = 0; i < 20; i++) w![20 * j + i]! -= below * input[i]!;
      }
      c![0]! -= step;
    }
    for (const [i, bin] of bins.entries()) expect(Math.abs(bin! / expected[i]! - 1)).toBeLessThan(1e-3);
  });

  it('gives the same bits for the same settings, and others for another seed or change', async () => {
    const timeless = async (told: Partial<RunSettings>) => ({ ...(await runOne(regression(told))), seconds: 0 });
    const run = await timeless({});
    expect(await timeless({})).toEqual(run);
    expect((await timeless({ seed: 2 })).bins).not.toEqual(run.bins);
    // What a change is shows after the first one, at step 10,000.
    const [one, all] = [
      (await timeless({ steps: 12_000 })).bins,
      (await timeless({ steps: 12_000, change: 'all' })).bins,
    ];
    expect(all.slice(0, 10)).toEqual(one.slice(0, 10));
    expect(all.slice(10)).not.toEqual(one.slice(10));
    expect(run).toMatchObject({ metric: 'mean squared error', steps: 3000, binSize: 1000, settings: { lr: 0.01 } });
    expect([run.bins, run.dead, run.dormant, run.rank, run.magnitude].map(({ length }) => length)).toEqual([
      3, 3, 3, 3, 3,
    ]);
  });

  it('shows every algorithm with the given network the same stream from the same weights: without steps to take they do not differ', async () => {
    const still = {
      backprop: {},
      l2: { weightDecay: 0.1 },
      adam: {},
      'continual-backprop': { rate: 0 },
      upgd: {},
      'shrink-perturb': { weightDecay: 0.1, sigma: 0, every: 1 },
      'l2-init': { strength: 0.1 },
      redo: { every: 10 * CHUNK },
      'self-normalised': { rejection: 0, patience: 10 * CHUNK },
      'weight-reset': { rate: 0 },
    };
    const bins = await Promise.all(
      ALGORITHMS.filter(({ name }) => Object.hasOwn(still, name)).map(async ({ name, settings }) => {
        const own = { ...settings.regression, ...still[name as keyof typeof still], lr: 0 };
        return (await runOne(regression({ algorithm: name, settings: own, steps: CHUNK }))).bins;
      }),
    );
    for (const bin of bins) expect(bin).toEqual(bins[0]);
    expect(ALGORITHMS.length - bins.length).toBe(['linear', 'layer-norm', 'crelu'].length);
  });

  it('says null where an error is not finite, and goes on to the end', async () => {
    const run = await runOne(regression({ settings: { lr: 50 } }));
    expect(run.bins.at(-1)).toBeNull();
    expect(run.bins).toHaveLength(3);
  });

  it('sees dead units and their rank', async () => {
    // A first step of this length kills every unit that it moves down.
    const run = await runOne(regression({ settings: { lr: 1 }, steps: CHUNK }));
    if (run.bins[0] !== null) {
      expect(run.dead[0]).toBe(1);
      expect(run.rank[0]).toBe(0);
    }
    const alive = await runOne(regression({ settings: { lr: 0 }, steps: CHUNK }));
    expect(alive.dead[0]).toBeLessThan(1);
    expect(alive.rank[0]).toBeGreaterThan(1);
    expect(alive.rank[0]).toBeLessThanOrEqual(5);
  });

  it('sees dormant units and the size of the weights', async () => {
    const run = await runOne(regression({ settings: { lr: 0.5 }, steps: CHUNK }));
    expect(run.dormant[0]).toBeGreaterThanOrEqual(run.dead[0]!);
    // Weights are as at first where nothing moves: Kaiming's uniform ones, of bound sqrt(6 / inputs) and 1 for the last layer's sqrt(3 / 5).
    const still = await runOne(regression({ settings: { lr: 0 }, steps: CHUNK }));
    const expected = (100 * (Math.sqrt(6 / 20) / 2) + 5 * (Math.sqrt(3 / 5) / 2)) / 105;
    expect(Math.abs(still.magnitude[0]! / expected - 1)).toBeLessThan(0.15);
    expect((await runOne(regression({ settings: { lr: 0.01 }, steps: CHUNK }))).magnitude[0]).not.toBe(
      still.magnitude[0],
    );
    // The threshold is on the mean: a unit that is rarely on is dormant and not dead.
    const linear = await runOne(regression({ algorithm: 'linear', settings: { lr: 0 }, steps: CHUNK }));
    expect([linear.dead, linear.dormant, linear.rank]).toEqual([[null], [null], [null]]);
    expect(linear.magnitude[0]).toBeGreaterThan(0);
  });
});

describe('a run of permuted images', () => {
  it('scores the share of right answers on one permutation a task', async () => {
    const told = { ...regression({ problem: 'permuted', settings: { lr: 0.01 } }), data: dataFolder() };
    const run = await runOne(told);
    expect(run.metric).toBe('online accuracy');
    // Tasks of 200 images in which the class is the place of a bright column: better than by chance (0.1), never perfect.
    for (const bin of run.bins) {
      expect(bin).toBeGreaterThan(0.15);
      expect(bin).toBeLessThan(0.95);
    }
    const guess = await runOne({ ...told, settings: { lr: 0 } });
    expect(guess.bins[0]).toBeLessThan(0.2);
  });

  it('has pixels from 0 to 1, permuted', async () => {
    const problem = await openProblem('permuted', 3, { change: 'one', data: dataFolder() });
    const chunk = problem.chunk();
    chunk.fill(0);
    const [first] = chunk.x as [Tensor];
    expect(first.shape).toEqual([1, 96]);
    const pixels = chunk.inputs.toFloat32Array();
    expect(pixels.reduce((a, b) => Math.max(a, b))).toBe(1);
    expect(pixels.reduce((a, b) => Math.min(a, b))).toBe(0);
    // Eight bright pixels, one a row of the image, which the permutation has scattered.
    const bright = [...first.toFloat32Array().entries()].filter(([, value]) => value === 1).map(([place]) => place);
    expect(bright).toHaveLength(8);
    expect(new Set(bright.map((place) => place % 12)).size).toBeGreaterThan(1);
  });

  it('learns with three hidden layers of 100, whose last one tells the rank', async () => {
    const told = { ...regression({ problem: 'permuted', settings: { lr: 0 }, steps: CHUNK }), data: dataFolder() };
    const problem = await openProblem('permuted', 1, told);
    const { model } = problem.network(new Generator(1).fork());
    const weights = model.parameters().filter(({ ndim }) => ndim === 2);
    expect(weights.map(({ shape }) => shape)).toEqual([
      [100, 96],
      [100, 100],
      [100, 100],
      [10, 100],
    ]);
    const largest = weights.map((w) => w.toFloat32Array().reduce((most, x) => Math.max(most, Math.abs(x)), 0));
    for (const [i, bound] of [6 / 96, 6 / 100, 6 / 100, 3 / 100].map(Math.sqrt).entries()) {
      expect(largest[i]).toBeLessThanOrEqual(bound + 1e-7);
      expect(largest[i]).toBeGreaterThan(0.97 * bound);
    }
    // At rate 0 the network is the one it started as.
    const chunk = problem.chunk();
    chunk.fill(0);
    const hidden = [...model].slice(0, 6).reduce((h, layer) => layer.forward(h), chunk.inputs);
    const rank = effectiveRank(hidden);
    expect((await runOne(told)).rank[0]).toBeCloseTo(rank, 6);
  });

  it('counts an answer as right where the largest logit is the label', async () => {
    const problem = await openProblem('permuted', 3, { change: 'one', data: dataFolder() });
    expect(problem.score(0, tensor([[0, 3, 1]]), Int32Array.of(1))).toBe(1);
    expect(problem.score(0, tensor([[0, 3, 1]]), Int32Array.of(2))).toBe(0);
    expect(problem.score(0, tensor([[Number.NaN, 3, 1]]), Int32Array.of(1))).toBe(0);
  });
});

describe('algorithms', () => {
  const setUp = async (): Promise<{ network: Network; x: Tensor; y: Tensor }> => {
    const problem = await openProblem('regression', 1, { change: 'one', data: null });
    return {
      network: problem.network(new Generator(4)),
      x: tensor([Array.from({ length: 20 }, (_, i) => i % 2)]),
      y: tensor([[3]]),
    };
  };

  it('have one name each, a sentence, and settings for every problem', () => {
    expect(new Set(ALGORITHMS.map(({ name }) => name)).size).toBe(ALGORITHMS.length);
    for (const { settings } of ALGORITHMS) expect(Object.keys(settings)).toEqual([...PROBLEM_NAMES]);
    expect(() => algorithmOf('magic')).toThrow("There is no algorithm 'magic'.");
  });

  it('return the loss and the output of before the step', async () => {
    const { network, x, y } = await setUp();
    const before = network.model.forward(x).item();
    const learner = gradientLearner(network, new SGD(network.model.parameters(), { lr: 0.01 }));
    expect(() => learner.output).toThrow(/has not learned anything yet/);
    const loss = learner.learn(x, y);
    expect(learner.output.item()).toBe(before);
    expect(loss).toBeCloseTo((before - 3) ** 2, 5);
    expect(network.model.forward(x).item()).not.toBe(before);
  });

  it('shrink-perturb shrinks as l2 does', async () => {
    const [a, b] = [await setUp(), await setUp()];
    const settings = { lr: 0.1, weightDecay: 0.5 };
    algorithmOf('l2').make(a.network, new Generator(1), settings).learn(a.x, a.y);
    algorithmOf('shrink-perturb')
      .make(b.network, new Generator(1), { ...settings, sigma: 0, every: 1 })
      .learn(b.x, b.y);
    expect(valuesOf(b.network.model)).toEqual(valuesOf(a.network.model));
  });

  it('l2 draws all weights and biases towards 0 as well', async () => {
    const [a, b] = [await setUp(), await setUp()];
    algorithmOf('backprop').make(a.network, new Generator(1), { lr: 0.1 }).learn(a.x, a.y);
    const start = valuesOf(b.network.model);
    algorithmOf('l2').make(b.network, new Generator(1), { lr: 0.1, weightDecay: 0.5 }).learn(b.x, b.y);
    const [plain, shrunk] = [valuesOf(a.network.model), valuesOf(b.network.model)];
    for (const [i, w] of shrunk.entries()) expect(w).toBeCloseTo(plain[i]! - 0.05 * start[i]!, 5);
  });

  it('shrink-perturb adds noise of the deviation it says, every so many steps', async () => {
    for (const every of [1, 4]) {
      const { network, x, y } = await setUp();
      const start = valuesOf(network.model);
      const learner = algorithmOf('shrink-perturb').make(network, new Generator(1), {
        lr: 0,
        weightDecay: 0,
        sigma: 0.1,
        every,
      });
      for (let step = 1; step < every; step++) learner.learn(x, y);
      if (every > 1) expect(valuesOf(network.model)).toEqual(start);
      learner.learn(x, y);
      const noise = valuesOf(network.model).map((w, i) => w - start[i]!);
      const deviation = Math.sqrt(noise.reduce((sum, z) => sum + z * z, 0) / noise.length);
      expect(deviation / (0.1 * Math.sqrt(every))).toBeGreaterThan(0.85);
      expect(deviation / (0.1 * Math.sqrt(every))).toBeLessThan(1.15);
      expect(noise.filter((z) => z === 0)).toEqual([]);
    }
  });

  it('continual-backprop draws mature units anew', async () => {
    const { network, x, y } = await setUp();
    const settings = { ...algorithmOf('continual-backprop').settings.regression, lr: 0, rate: 1, maturity: 3 };
    const learner = algorithmOf('continual-backprop').make(network, new Generator(1), settings);
    const start = valuesOf(network.model);
    for (let step = 0; step < 3; step++) learner.learn(x, y);
    expect(valuesOf(network.model)).toEqual(start);
    learner.learn(x, y);
    const now = valuesOf(network.model);
    expect(now.slice(0, 100).filter((w, i) => w === start[i])).toEqual([]);
    expect(now.slice(105, 110)).toEqual([0, 0, 0, 0, 0]);
  });
});

describe('npm start -- plasticity', () => {
  it('makes a job of each algorithm and seed', async () => {
    const jobs = await jobsOf(
      optionsOf('--algorithms', 'l2,adam', '--seeds', '3', '--steps', '40000', '--change', 'all'),
    );
    expect(jobs.map(({ id }) => id.replace(/_[0-9a-f]{10}$/, ''))).toEqual(
      ['l2', 'adam'].flatMap((name) => [1, 2, 3].map((seed) => `regression_${name}_seed${seed}`)),
    );
    expect(jobs[4]!.settings).toEqual({
      ...{ problem: 'regression', algorithm: 'adam', settings: algorithmOf('adam').settings.regression, seed: 2 },
      ...{ steps: 40000, binSize: 20000, change: 'all', data: null },
    });
    expect(new Set(jobs.map(({ id }) => id)).size).toBe(6);
  });

  it('makes the same job of the same data, wherever they lie, and tells its process where that is', async () => {
    const job = async (folder: string) =>
      (await jobsOf(optionsOf('--problem', 'permuted', '--data', relative(process.cwd(), folder))))[0]!;
    const [one, two] = [dataFolder(), dataFolder()];
    const first = await job(one);
    expect(first.settings).toMatchObject({ data: expect.stringMatching(/^sha256:[0-9a-f]{16}$/), steps: 360_000 });
    // Jobs run in another folder than that of the command.
    expect(first.here).toEqual({ data: one });
    expect((await job(two)).id).toBe(first.id);
    const { images, labels } = idxPair(50, 8, 12);
    images[images.length - 1]! ^= 1;
    const other = dataFolder({ 't10k-images-idx3-ubyte': images, 't10k-labels-idx1-ubyte': labels });
    expect((await job(other)).id).not.toBe(first.id);
    await expect(job(join(one, 'nowhere'))).rejects.toThrow(/nowhere: there is no such folder/);
  });

  it('refuses what does not fit together, in a sentence', async () => {
    await expect(jobsOf(optionsOf('--steps', '30000'))).rejects.toThrow('--steps must be a multiple of 20000');
    await expect(jobsOf(optionsOf('--data', 'mnist'))).rejects.toThrow(/--data: .* It is for --problem permuted/);
    await expect(jobsOf(optionsOf('--problem', 'permuted', '--change', 'one'))).rejects.toThrow(
      /--change: .* It is for --problem regression/,
    );
    expect(() => optionsOf('--problem', 'chess')).toThrow(
      "--problem must be one of regression, permuted, permuted-short, but it is 'chess'.",
    );
    expect(() => optionsOf('--quick=no')).toThrow('--quick takes no value.');
    await expect(runPlasticity(optionsOf('--quick', '--seeds', '5'), silent)).rejects.toThrow(
      '--quick says what --seeds is; give one of them.',
    );
    await expect(runPlasticity(optionsOf('--json', 'x', '--html', 'x'), silent)).rejects.toThrow(
      /--json names the same file/,
    );
  });

  it('writes runs and a report, and finds its jobs done the second time', { timeout: 60_000 }, async () => {
    const folder = temporaryFolder();
    const [results, json, again, html] = ['results', 'a.json', 'b.json', 'a.html'].map((name) =>
      join(folder, name),
    ) as [string, string, string, string];
    const words = ['--algorithms', 'l2,backprop', '--seeds', '2', '--steps', '20000', '--results', results];
    let said = '';
    const output = {
      write: (text: string) => {
        said += text;
        return true;
      },
    } as unknown as NodeJS.WriteStream;
    await plasticityCommand.start([...words, '--json', json, '--html', html], output);
    expect(said).toMatch(
      /^algorithm +seeds +mean squared error, first 20000 steps +last +dead at the end +rank +mean \|w\| +steps\/s$/m,
    );
    expect(said).toMatch(/^4\/4 jobs {2}100 % {2}0 s left {2}regression_/m);
    const written = JSON.parse(readFileSync(json, 'utf8'));
    expect(written.runs.map(({ algorithm, seed }: { algorithm: string; seed: number }) => [algorithm, seed])).toEqual([
      ['backprop', 1],
      ['backprop', 2],
      ['l2', 1],
      ['l2', 2],
    ]);
    expect(Object.keys(written.runs[0])).toEqual([
      ...[
        'problem',
        'algorithm',
        'settings',
        'seed',
        'metric',
        'steps',
        'binSize',
        'bins',
        'dead',
        'dormant',
        'rank',
        'magnitude',
        'seconds',
      ],
    ]);
    expect(written.about.command).toMatch(
      /^npm start -- plasticity --problem regression --algorithms l2,backprop --steps 20000 --seeds 2 --change all --results .*results --json .*a\.json --html .*a\.html$/,
    );
    const page = readFileSync(html, 'utf8');
    expect(page).toContain(
      '<dt>l2</dt><dd>stochastic gradient descent on the loss and weightDecay / 2 |w|^2; lr 0.01, weightDecay 0.01</dd>',
    );
    expect(page.match(/<svg /g)).toHaveLength(5);
    expect(page).not.toMatch(/NaN|undefined|<script|https?:/);

    expect(readdirSync(results)).toHaveLength(4);
    await plasticityCommand.start([...words, '--json', again], silent);
    expect(JSON.parse(readFileSync(again, 'utf8')).runs).toEqual(written.runs);
    expect(existsSync(results)).toBe(true);
  });
});

describe('a part of the jobs', () => {
  it('may be empty, and then has no report', async () => {
    const folder = temporaryFolder();
    let said = '';
    const output = {
      write: (text: string) => {
        said += text;
      },
    } as unknown as NodeJS.WriteStream;
    const [html, json] = [join(folder, 'a.html'), join(folder, 'a.json')];
    const words = ['--algorithms', 'l2', '--seeds', '1', '--jobs', '2/2', '--results', join(folder, 'runs')];
    await plasticityCommand.start([...words, '--html', html, '--json', json], output);
    expect(said).toBe(`\nNo runs.\nNo report is written to ${html}.\n`);
    expect(existsSync(html)).toBe(false);
    expect(JSON.parse(readFileSync(json, 'utf8')).runs).toEqual([]);
  });
});

describe('means over seeds', () => {
  it('have the interval of Student', () => {
    // t at 97.5 % with 3 degrees of freedom is 3.182446; the deviation of 1, 2, 3, 4 is sqrt(5 / 3).
    const { mean, low, high } = interval([1, 2, 3, 4])!;
    expect(mean).toBe(2.5);
    expect(high! - mean).toBeCloseTo((3.182446 * Math.sqrt(5 / 3)) / 2, 6);
    expect(mean - low!).toBeCloseTo(high! - mean, 12);
    expect(interval([7])).toEqual({ mean: 7, low: null, high: null });
    expect(interval([1, null])).toBeNull();
    expect(interval([])).toBeNull();
  });

  it("have Student's quantiles for many seeds too", () => {
    // t of 40, 60 and 120 degrees of freedom: 2.021, 2.000, 1.980.
    for (const [freedom, t] of [
      [30, 2.042],
      [31, 2.0395],
      [40, 2.021],
      [60, 2.0],
      [120, 1.98],
    ] as const) {
      const values = Array.from({ length: freedom + 1 }, (_, i) => (i % 2) - 0.5);
      const mean = values.reduce((a, b) => a + b) / values.length;
      const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / freedom;
      const { high } = interval(values)!;
      expect((high! - mean) / Math.sqrt(variance / values.length)).toBeCloseTo(t, 3);
    }
  });

  it('are of the first and the last tenth in the table, and say where a run was not finite', () => {
    const run = {
      ...({
        problem: 'regression',
        algorithm: 'a',
        settings: {},
        seed: 1,
        metric: 'mean squared error',
        steps: 20,
        binSize: 1,
      } as const),
      ...{
        bins: Array.from({ length: 20 }, (_, i) => i),
        dead: [0.5],
        dormant: [0.75],
        rank: [2],
        magnitude: [0.25],
        seconds: 2,
      },
    };
    const rows = plasticityRows([
      run,
      { ...run, seed: 2 },
      { ...run, algorithm: 'b', bins: [...run.bins.slice(1), null] },
    ]);
    expect(rows).toEqual([
      [
        'algorithm',
        'seeds',
        'mean squared error, first 2 steps',
        'last',
        'dead at the end',
        'rank',
        'mean |w|',
        'steps/s',
      ],
      ['a', '2', '0.500 ± 0.000', '18.500 ± 0.000', '0.500 ± 0.000', '2.000 ± 0.000', '0.250 ± 0.000', '10'],
      ['b', '1', '1.500', 'not finite', '0.500', '2.000', '0.250', '10'],
    ]);
  });
});

describe('a plot with bands', () => {
  it('draws the band from low to high and the line through the means', () => {
    const point = (mean: number, half: number) => ({ mean, low: mean - half, high: mean + half });
    const svg = bandPlot({
      ...{
        label: 'a < b',
        bands: [{ name: 'x & y', points: [point(1, 1), point(2, 2)] }],
        xTitle: 'steps',
        yTitle: 'y',
        xStep: 10,
      },
    });
    expect(svg).toContain('aria-label="a &lt; b"');
    expect(svg).toContain('>x &amp; y<');
    const line = /<polyline points="([^"]*)"/
      .exec(svg)![1]!
      .split(' ')
      .map((pair) => pair.split(',').map(Number)) as [number, number][];
    const band = /<polygon points="([^"]*)"/
      .exec(svg)![1]!
      .split(' ')
      .map((pair) => pair.split(',').map(Number)) as [number, number][];
    expect(band.map(([x]) => x)).toEqual([line[0]![0], line[1]![0], line[1]![0], line[0]![0]]);
    // The axis is from 0 (low of both) to 4: a unit is a quarter of its height.
    const unit = (line[0]![1] - line[1]![1]) / 1;
    expect(band.map(([, y]) => Math.round((line[0]![1] - y) / unit) + 1)).toEqual([2, 4, 0, 0]);
  });

  it('leaves a gap where there is no mean, and draws one seed without a band', () => {
    const point = (mean: number) => ({ mean, low: null, high: null });
    const svg = bandPlot({
      ...{
        label: '',
        bands: [{ name: 'a', points: [point(1), point(2), null, point(1)] }],
        xTitle: '',
        yTitle: '',
        xStep: 1,
      },
    });
    expect(svg.match(/<polyline/g)).toHaveLength(1);
    expect(svg.match(/<circle/g)).toHaveLength(1);
    expect(svg).not.toContain('<polygon');
    expect(
      bandPlot({ ...{ label: '', bands: [{ name: 'a', points: [null] }], xTitle: '', yTitle: '', xStep: 1 } }),
    ).not.toMatch(/NaN|Infinity/);
  });

  it('has an axis with round numbers that holds both ends', () => {
    expect(axis(0.31, 1.42)).toEqual({ from: 0, to: 1.5, ticks: [0, 0.5, 1, 1.5] });
    for (const [low, high] of [
      [0, 1],
      [0, 0],
      [-3, 1e-3],
      [5, 5],
      [0.1, 0.3],
      [1e5, 2.3e6],
      [99.9, 100],
    ] as const) {
      const { from, to, ticks } = axis(low, high);
      expect(from).toBeLessThanOrEqual(low);
      expect(to).toBeGreaterThanOrEqual(high);
      expect(to).toBeGreaterThan(from);
      expect(ticks.length).toBeGreaterThan(1);
      expect(ticks.length).toBeLessThan(9);
    }
  });
});
