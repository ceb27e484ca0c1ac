/** The part of the page on anchors. */

import { escapeHtml, wideTable } from '../../page.ts';
import { criticalDifferenceDiagram } from '../critical-difference.ts';
import { curvePlot } from '../curve-plot.ts';
import { settingText } from '../ordering.ts';
import { named, testText } from '../page-parts.ts';
import { namedScatter } from './scatter.ts';
import type { AnchorOrdered } from './summary.ts';
import { anchorRows, anchorSentences } from './table.ts';

const WHAT = `A network learns the first half of the classes, then the second in the same columns of its output, each weight drawn to where it was
when the first half ended (1/2 p (w - w*)^2, implicit step). Who is held how firmly is up to the order of a measure alone: precisions
depend on the rank of a weight and are the same set of numbers for every measure, spread evenly in their logarithm over two powers of ten; parameters that the
order does not hold (biases, where weights are single) have their mean. Only their common strength varies, from so firm that nothing new is
learned to so loose that it might as well not be there.`;

const FORGETTING = `Forgetting: the accuracy on the first half that is lost, at matched learning of the second. Over all strengths the two accuracies make a
path from the network that may not move to the one without an anchor; its mean height over what there is to learn of the second half is
subtracted from what the first half had. No strength is chosen. Both: the mean of the two accuracies at the one strength that is best on the
other seeds. Ranks, groups and differences as above, of forgetting: rank 1 forgets least. Area: what the order is worth for
removal, in the same networks before the second half: the area, in accuracy, between the curve of the least important weights removed first and that of
the most important. Tau: Kendall's, of the two orders of measures by their means over seeds, 1 for the same
order and 0 for none in common; its interval of 95 % is from seeds drawn anew (bootstrap), and of few seeds too narrow.`;

/** Nothing where there are no anchors. */
export function anchorSection(ordering: readonly AnchorOrdered[]): string {
  if (ordering.length === 0) return '';
  return `<h2>As anchors</h2>
<p>${WHAT}</p>
<p>${FORGETTING}</p>
${ordering.map((one) => settingPart(one)).join('\n')}`;
}

function settingPart(ordered: AnchorOrdered): string {
  const { setting, rows, test, paths, reference } = ordered;
  const words = settingText(setting);
  const [head = [], ...lines] = anchorRows(ordered);
  const scatter = namedScatter({
    label: `Area between the curves of removal against forgetting as an anchor: ${words}`,
    points: rows.map(({ measure, area, areaLow, areaHigh, forgetting, low, high }) => ({
      name: measure,
      x: { mean: area, low: areaLow, high: areaHigh },
      y: { mean: forgetting, low, high },
      aside: measure === 'oracle' || measure === 'random',
    })),
    ...{ xTitle: 'area between the curves of removal, in accuracy', yTitle: 'forgetting as an anchor' },
  });
  const path = curvePlot({
    label: `Accuracy on the first half over that on the second: ${words}`,
    series: rows.map(({ measure }) => ({
      name: measure,
      points: [reference.before, ...(paths.find((one) => one.measure === measure)?.trials ?? []), reference.free].map(
        ({ first, second }) => ({ x: second, y: { mean: first, low: null, high: null } }),
      ),
    })),
    ...{ xTitle: 'accuracy on the second half', yTitle: 'accuracy on the first half' },
  });
  const figures = [
    named(
      `${words}: removal and forgetting`,
      scatter,
      'Means over seeds with intervals of 95 %. Further to the right: better for removal. Further below: forgets less.',
    ),
    named(
      `${words}: what is kept and what is learned`,
      path,
      'Means over seeds, from a network that may not move on the left to none held on the right; measures in the order of the table.',
    ),
  ];
  if (test !== null) {
    const diagram = criticalDifferenceDiagram(`Mean ranks by forgetting: ${words}`, test);
    figures.push(named(`${words}: ranks by forgetting`, diagram, testText(test)));
  }
  return `<h3>${escapeHtml(words)}</h3>
<p>${escapeHtml(anchorSentences(ordered).join(' '))}</p>
${wideTable(head, lines)}
${figures.join('\n')}`;
}
