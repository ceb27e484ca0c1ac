/** What methods are measured by: nothing done, all data at once, and a network for each context. */

import { defineContender, SCENARIOS } from '../method.ts';

const nothing = { settings: () => ({}), make: () => [] };

export const none = defineContender({
  ...nothing,
  name: 'none',
  about: 'the network just goes on learning',
  scenarios: SCENARIOS,
  course: 'sequence',
});

export const joint = defineContender({
  ...nothing,
  name: 'joint',
  about: 'all contexts at once, for as many steps as all of them together have',
  scenarios: SCENARIOS,
  course: 'joint',
});

export const separate = defineContender({
  ...nothing,
  name: 'separate',
  about: 'a network of its own for each context, each of the same widths',
  scenarios: ['task'],
  course: 'separate',
});
