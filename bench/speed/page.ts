/**
 * The report as a page to read: a table for each suite, and what it says in sentences, the rows that are lost as plainly as the rows
 * that are won. All of it comes from the report; nothing is written by hand.
 */

import { type PeerName, peerNames } from './harness.ts';
import { failures, formatNumber, type Report, type ReportRow } from './report.ts';
import { type SuiteName, suiteNames } from './rows/row.ts';

/** Two numbers closer than this are called level: so much varies from run to run. */
const level = 0.05;

const suites: Readonly<Record<SuiteName, { readonly title: string; readonly what: string }>> = {
  matmul: {
    title: 'Matrix products',
    what: 'NN, NT and TN say which operand is stored transposed: none, the second, the first. Training needs all three.',
  },
  step: {
    title: 'Training steps',
    what: 'Loss, backward pass and update by SGD of a small network, the loss read in every step.',
  },
  array: {
    title: 'Single operations on a million numbers',
    what:
      'Arrays of [1000, 1000] unless the row says otherwise, numbers between -4 and 4. The unit is a million elements a second, counted ' +
      'on the longest array that takes part, so that it is also the number of such calls a second. The result is copied out whole, ' +
      'and where it is as large as the operand, that copy is a good part of the time on every side.',
  },
  conv: {
    title: 'Convolutions',
    what:
      '32 images of 28x28 with 16 channels, 32 filters, padding 1 (none for 1x1); depthwise: 32 channels. Two operations are ' +
      'counted for each product of a weight and a position, those with the padding among them. A gradient is the backward pass alone: ' +
      'the forward pass was done before the clock started, and what a library keeps from it was ready. TensorFlow.js is asked ' +
      'for the one kernel that its backward pass would run.',
  },
  overhead: {
    title: 'Small operations',
    what:
      'Operations on 16 numbers, each of which takes the result of the one before, and the last result read. Under jit jax-js ' +
      'runs a chain as one kernel; the others run ten.',
  },
  'start-up': {
    title: 'Start',
    what:
      'From the import of the library to the product of two 16x16 matrices in JavaScript, in a new Node process; the start of Node itself ' +
      'is not counted. Of TensorFlow.js the core and one backend are imported, not the whole library. Our side is the files that are ' +
      'published, a module each, and Node loads them one by one; the peers come as bundles.',
  },
};

export function pageOf(report: Report): string {
  const chapters = suiteNames.flatMap((suite) => {
    const rows = report.rows.filter((row) => row.suite === suite);
    return rows.length === 0 ? [] : [chapterOf(suite, rows)];
  });
  return `${[headOf(report), ...chapters, howItIsMeasured, limits].join('\n\n')}\n`;
}

function headOf({ machine, node, date, quick, note, versions }: Report): string {
  const facts = [
    ['machine', machine],
    ['Node', node],
    ['date', date.slice(0, 10)],
    [
      'versions',
      Object.entries(versions)
        .map((entry) => entry.join(' '))
        .join(', '),
    ],
    ['runs', quick ? 'short ones (`--quick`)' : 'full length'],
    ...(note === null ? [] : [['note', note]]),
  ];
  return [
    '# Benchmarks',
    '',
    `Written by \`npm run bench -- ${quick ? '--quick ' : ''}--docs FILE\`, tables and sentences alike.`,
    '',
    '| | |',
    '|---|---|',
    ...facts.map(([name, value]) => `| ${name} | ${value} |`),
    '',
    'All sides run in one thread. Higher is better everywhere. In brackets stands how many times as fast Palimpsest is as that peer: below',
    '1 it is slower. Palimpsest runs eagerly, with all its checks. jax-js stands in two columns, under jit and without.',
  ].join('\n');
}

function chapterOf(suite: SuiteName, rows: readonly ReportRow[]): string {
  const { title, what } = suites[suite];
  const unit = rows[0]?.unit ?? '';
  return [
    `## ${title}`,
    '',
    what,
    '',
    `| ${suite}, ${unit} | ours | ${peerNames.join(' | ')} |`,
    `|---|---${'|---'.repeat(peerNames.length)}|`,
    ...rows.map(tableRow),
    '',
    ...sentencesOf(rows),
  ].join('\n');
}

function tableRow({ name, ours, peers }: ReportRow): string {
  const cells = peerNames.map((peer) => {
    const theirs = peers[peer];
    return typeof theirs === 'number' ? `${formatNumber(theirs)} (${formatNumber(ours / theirs)}x)` : 'cannot';
  });
  return `| ${[name, formatNumber(ours), ...cells].join(' | ')} |`;
}

/** How we stand against the fastest peer of a row. */
interface Standing {
  readonly row: string;
  readonly peer: PeerName;
  /** Our speed over the peer's. */
  readonly ratio: number;
}

/** The rows that are won, level and lost, and what could not be measured; each a sentence or a list item. */
export function sentencesOf(rows: readonly ReportRow[]): string[] {
  const standings = rows.flatMap((row) => standingOf(row) ?? []);
  const ahead = standings.filter(({ ratio }) => ratio > 1 + level);
  const behind = standings.filter(({ ratio }) => ratio < 1 - level);
  const even = standings.filter((one) => !ahead.includes(one) && !behind.includes(one));
  const sentences = [
    `Ahead of every peer in ${ahead.length} of ${rows.length} rows${ahead.length === 0 ? '' : `: ${listed(ahead)}`}.`,
    ...(even.length === 0 ? [] : [`Level with the fastest peer, within 5 %, in ${even.length}: ${listed(even)}.`]),
    behind.length === 0 ? 'Behind in none.' : `Behind in ${behind.length}: ${listed(behind)}.`,
    ...milliseconds(rows),
    ...failures(rows.map(({ name, peers }) => ({ name, outcomes: peerNames.map((peer) => [peer, peers[peer]]) }))).map(
      ({ contestant, error, rows: cannot }) => `${contestant} cannot compute ${cannot.join(', ')}: "${error}".`,
    ),
  ];
  return sentences.map((sentence) => `- ${sentence}`);
}

/** Null where no peer has a number. */
function standingOf({ name, ours, peers }: ReportRow): Standing | null {
  let fastest: { peer: PeerName; speed: number } | null = null;
  for (const peer of peerNames) {
    const speed = peers[peer];
    if (typeof speed === 'number' && speed > (fastest?.speed ?? 0)) fastest = { peer, speed };
  }
  return fastest && { row: name, peer: fastest.peer, ratio: ours / fastest.speed };
}

/** Each with its ratio; of many, the ends of the list that the ratios make. */
function listed(standings: readonly Standing[]): string {
  const inWords = ({ row, peer, ratio }: Standing) => `${row} (${formatNumber(ratio)} times ${peer})`;
  if (standings.length <= 8) return standings.map(inWords).join(', ');
  const sorted = [...standings].sort((one, other) => one.ratio - other.ratio);
  const [least, most] = [sorted[0] as Standing, sorted.at(-1) as Standing];
  return `from ${inWords(least)} to ${inWords(most)}`;
}

/** What starts a second mean. */
function milliseconds(rows: readonly ReportRow[]): string[] {
  return rows
    .filter(({ unit }) => unit === 'starts/s')
    .map(({ name, ours, peers }) => {
      const times = [['ours', ours] as const, ...peerNames.map((peer) => [peer, peers[peer]] as const)].flatMap(
        ([side, speed]) => (typeof speed === 'number' ? [`${side} ${Math.round(1000 / speed)}`] : []),
      );
      return `In milliseconds, ${name}: ${times.join(', ')}.`;
    });
}

const howItIsMeasured = `## How it is measured

\`npm run bench\`, see \`bench/speed/\`. All sides run in one process, in five rounds in rotating order, one short Benchmark.js run each a
round, and the median counts. Before the clock starts, every side has shown that it computes the same numbers (to a thousandth of the
largest one, all entries of a result, three losses of a training), and has been warmed up. Inputs are made once and stand in each library's
own memory and layout; every call ends with the whole result in JavaScript. What a call makes is given back in it: \`dispose\` or \`tidy\`,
reference counts, \`noGrad\`. jax-js is written in the fastest form that was found for each row, under jit and without. A side that has spent
too long on a row sits out the rest of its rounds. Starts time themselves, each in a process of its own, in the same rotation.`;

const limits = `## Limits

- One machine, one run: differences below a tenth say little, and what is below 5 % is called level here.
- The peers run on the CPU, in one thread, as they do in Node; on a GPU, or in a browser with threads, they are other libraries.
- The peers' code was written by us. It was tried in several forms, but somebody who knows them better may find a faster one.
- A backward pass is timed alone in \`conv\`: for the gradient of the weights jax-js then has patches of the image ready, and what it costs
  to make them stands nowhere. Whole training steps are in \`step\`.
- Speed on other shapes is not shown; matrix products of odd and small sizes are in \`matmul\` because the peers fall off there.`;
