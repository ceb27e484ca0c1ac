/** `npm run bench`: installs the peers if need be, measures every row that was asked for, prints and writes the result. */

import { readFileSync } from 'node:fs';
import { type Contestant, firstLine, fullPace, measureRow, quickPace } from './harness.ts';
import { OptionError, type Options, parseOptions, usage } from './options.ts';
import { loadOurs } from './ours.ts';
import { pageOf } from './page.ts';
import { installPeers, loadPeers } from './peers.ts';
import {
  createReport,
  errorLines,
  type Measurement,
  tableHeader,
  tableLine,
  writeReport,
  writeWhole,
} from './report.ts';

async function main(args: readonly string[]): Promise<number> {
  let options: Options;
  try {
    options = parseOptions(args);
  } catch (error) {
    if (!(error instanceof OptionError)) throw error;
    console.error(error.message);
    return 2;
  }
  if (options.help) {
    console.log(usage);
    return 0;
  }

  const versions = { palimpsest: ourVersion(), ...installPeers() };
  const contestants = [loadOurs(), ...(await loadPeers())];
  const measurements = await measureAll(options, contestants);
  for (const line of errorLines(measurements)) console.log(line);

  const ours = measurements.map(({ outcomes }) => outcomes.get('ours'));
  if (ours.some((outcome) => typeof outcome !== 'number')) {
    console.error('Our own side failed, so no report is written.');
    return 1;
  }
  const report = createReport(measurements, versions, options);
  if (options.json !== null) writeReport(options.json, report);
  if (options.docs !== null) writeWhole(options.docs, pageOf(report));
  return 0;
}

async function measureAll(options: Options, contestants: readonly Contestant[]): Promise<Measurement[]> {
  const pace = options.quick ? quickPace : fullPace;
  const measurements: Measurement[] = [];
  for (const row of options.rows) {
    if (measurements.at(-1)?.row.suite !== row.suite) console.log(`\n${tableHeader(row)}`);
    const measurement = { row, outcomes: await measureRow(row, contestants, pace) };
    measurements.push(measurement);
    console.log(tableLine(measurement));
  }
  console.log();
  return measurements;
}

function ourVersion(): string {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(firstLine(error));
  process.exitCode = 1;
}
