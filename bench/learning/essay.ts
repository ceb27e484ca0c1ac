/**
 * The claims of an essay on backpropagation, measured: docs/essay.md goes through them one by one.
 *
 *     npx tsx bench/learning/essay.ts --json docs/results/essay.json --chapter docs/essay.md
 *
 * --claims measures some of them; --json writes the figures; --chapter puts the tables of all of them into the chapter. Everything but times is
 * the same on every run.
 */

import { readFileSync } from 'node:fs';
import { aboutRun } from './about.ts';
import { namesOption, parseOptions, textOption } from './command-line.ts';
import { CLAIMS, type ClaimName, type EssayFigures, MEASURES, tablesOf, withTables } from './essay/claims.ts';
import { checkWritable, writeJson, writeText } from './result-file.ts';
import { table } from './table.ts';
import { UserError } from './user-error.ts';

const OPTIONS = {
  claims: namesOption('NAMES', 'which claims, separated by commas; all unless given', CLAIMS),
  json: textOption('FILE', 'writes the figures as JSON'),
  chapter: textOption('FILE', 'puts the tables into this chapter; needs all claims'),
};

function main(): void {
  const args = process.argv.slice(2);
  const options = parseOptions(OPTIONS, args);
  if (options === 'help') {
    const lines = Object.entries(OPTIONS).map(
      ([name, { placeholder, about }]) => `  --${name} ${placeholder}  ${about}`,
    );
    console.log(`npx tsx bench/learning/essay.ts [options]\n\n${lines.join('\n')}`);
    return;
  }
  const { claims, json, chapter } = options;
  if (chapter !== null && claims.length < CLAIMS.length) throw new UserError('--chapter needs all claims.');
  const [figuresFile, chapterFile] = [checkWritable('--json', json), checkWritable('--chapter', chapter)];
  const about = aboutRun('embedded digits', []);
  const figures: Partial<Record<ClaimName, EssayFigures[ClaimName]>> = {};
  const seconds: Partial<Record<ClaimName, number>> = {};
  for (const claim of claims as readonly ClaimName[]) {
    const start = performance.now();
    figures[claim] = MEASURES[claim]();
    seconds[claim] = Math.round((performance.now() - start) / 100) / 10;
    console.log(`${claim}, ${seconds[claim]} s\n`);
    for (const rows of Object.values(tablesOf({ [claim]: figures[claim] }))) console.log(table(rows));
  }
  const command = ['npx tsx bench/learning/essay.ts', ...args].join(' ');
  if (figuresFile !== null)
    writeJson(figuresFile, { experiment: 'essay', about: { ...about, command }, seconds, figures });
  if (chapterFile !== null && chapter !== null)
    writeText(chapterFile, withTables(readFileSync(chapter, 'utf8'), tablesOf(figures as EssayFigures)));
}

try {
  main();
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
