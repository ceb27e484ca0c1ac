/**
 * Writes docs/ops.md, the table of all ops, from the registry: `npx tsx bench/docs/ops.ts`.
 */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type OpDefinition, registeredOps, type Tensor } from '../../src/index.ts';

type AnyOp = OpDefinition<readonly Tensor[], unknown>;

const target = fileURLToPath(new URL('../../docs/ops.md', import.meta.url));

const introduction = `# All ops

Every op is declared once, through \`defineOp\`, and stands in one registry, from which this table is written
(\`npx tsx bench/docs/ops.ts\`). The functions and methods of the public interface are made of these ops: some carry an op's name,
some choose between two (\`pow\`) or combine several (\`mean\`, \`std\`).

- **Inputs**: the tensors it takes; one that may be left out ends in ?, any number of them is \`...name\`.
- **Derivative**: every rule is written with ops of this table, so that derivatives of any order exist.
- **First-order kernel**: one kernel call that takes the place of the rule where nobody asks for a second derivative.
- **Rule reads**: the values that must not be changed in place between the forward and the backward pass.
- **Can produce**: what a rule of learning that sends targets may ask of it. *everything*: any numbers (a linear map's many
  outputs may still hang together); *a part*: its definition holds a projection onto it, to the nearest output that it can
  produce, or to one near by; *its inputs' numbers*: it only moves them, and targets move back the same way.
`;

function derivative({ gradient, surrogate }: AnyOp): string {
  if ('because' in gradient) return `none: ${gradient.because}`;
  return surrogate ? 'a surrogate, on purpose' : 'yes';
}

function firstOrderKernel({ inputs, raw }: AnyOp): string {
  if (raw === undefined) return '';
  if (typeof raw === 'function' || !raw.includes(null)) return 'yes';
  return `for ${inputs.filter((_, i) => raw[i] !== null).join(', ')}`;
}

const reads = (op: AnyOp): string =>
  'because' in op.gradient
    ? ''
    : { nothing: 'nothing', inputs: 'inputs', output: 'output', all: 'inputs, output' }[op.reads ?? 'all'];

function canProduce({ carries, feasible = 'everything' }: AnyOp): string {
  if (carries) return "its inputs' numbers";
  if (feasible === 'everything') return feasible;
  return feasible.is === 'exact' ? 'a part (nearest)' : 'a part (near by)';
}

/** The document: one row an op, by name. */
export function opsDocument(): string {
  const rows = [...registeredOps().values()]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((op) => [
      `\`${op.name}\``,
      op.inputs.join(', '),
      derivative(op),
      firstOrderKernel(op),
      reads(op),
      canProduce(op),
    ]);
  const header = ['Op', 'Inputs', 'Derivative', 'First-order kernel', 'Rule reads', 'Can produce'];
  const table = [header, header.map(() => '---'), ...rows].map((cells) =>
    `| ${cells.join(' | ')} |`.replace(/ {2,}/g, ' '),
  );
  return `${introduction}\n${table.join('\n')}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(target, opsDocument());
