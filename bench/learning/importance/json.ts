/** JSON as it is written here: points and trials come in thousands, so an object or list of nothing but plain values takes one line. */

export function jsonText(value: unknown): string {
  // Through JSON once, so that what it leaves out or turns into null is what it always is.
  return `${lines(JSON.parse(JSON.stringify(value)), '')}\n`;
}

function lines(value: unknown, indent: string): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const isList = Array.isArray(value);
  const members = Object.entries(value).map(([name, member]: [string, unknown]) => ({
    before: isList ? '' : `${JSON.stringify(name)}: `,
    member,
  }));
  const [open, close] = isList ? ['[', ']'] : ['{', '}'];
  const inner = `${indent}  `;
  if (members.every(({ member }) => typeof member !== 'object' || member === null))
    return `${open}${members.map(({ before, member }) => before + JSON.stringify(member)).join(', ')}${close}`;
  const written = members.map(({ before, member }) => `${inner}${before}${lines(member, inner)}`);
  return `${open}\n${written.join(',\n')}\n${indent}${close}`;
}
