/**
 * A report as one HTML page: nothing is loaded with it, and no script runs in it. Every text that comes from outside (folders, the
 * command line) is escaped.
 */

import type { About } from './about.ts';
import { PAGE_STYLE } from './page-style.ts';

/** The page; `content` is HTML, what stands below the title. */
export function page(title: string, content: string): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${{ html: PAGE_STYLE }}</style>
</head>
<body>
<main>
<h1>${title}</h1>
${{ html: content.trimEnd() }}
</main>
</body>
</html>
`;
}

/** A plot with its heading and what there is to know of it. */
export const figure = (heading: string, plot: string, note: string): string =>
  `<h2>${heading}</h2>\n<figure>\n${plot}\n<figcaption>${note}</figcaption>\n</figure>`;

/** A table of texts, as wide as it likes. */
export const wideTable = (head: readonly string[], lines: readonly (readonly string[])[]): string =>
  `<div class="wide"><table>\n<thead>${cells('th', head)}</thead>\n<tbody>\n${lines.map((line) => cells('td', line)).join('\n')}\n</tbody>\n</table></div>`;

const cells = (tag: 'td' | 'th', texts: readonly string[]): string =>
  `<tr>${texts.map((text) => `<${tag}>${escapeHtml(text)}</${tag}>`).join('')}</tr>`;

/** Names and what is to say of each. */
export const definitions = (entries: readonly (readonly [name: string, text: string])[]): string =>
  `<dl>\n${entries.map(([name, text]) => html`<dt>${name}</dt><dd>${text}</dd>\n`).join('')}</dl>`;

export function aboutList(about: About): string {
  const { palimpsest, node } = about.versions;
  return definitions([
    ['Command', about.command],
    ['Machine', about.machine],
    ['Versions', `palimpsest ${palimpsest}, Node ${node}, kernels: ${about.kernels}`],
    ['Date', about.date],
  ]);
}

/** Settings in a line: 'lr 0.01, decay 0.99'. */
export const settingsText = (settings: object): string =>
  Object.entries(settings)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');

/** A template whose values are escaped, unless they are said to be HTML; its own text is not. */
export function html(
  strings: TemplateStringsArray,
  ...values: readonly (string | number | { readonly html: string })[]
): string {
  const texts = values.map((value) => (typeof value === 'object' ? value.html : escapeHtml(String(value))));
  return String.raw({ raw: strings }, ...texts);
}

/** The text as it stands in HTML, between tags and in attributes. */
export function escapeHtml(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  };
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? character);
}
