/**
 * All learning rules that can be compared, in the order of the tables.
 *
 * A rule lives in a file of its own in configurations/, which exports a list of configurations (a rule may have several,
 * one a variant), and is joined in here.
 */

import type { Configuration } from './configuration.ts';
import { backprop } from './configurations/backprop.ts';
import { feedback } from './configurations/feedback.ts';
import { predictive } from './configurations/predictive.ts';
import { target } from './configurations/target.ts';

export const CONFIGURATIONS: readonly Configuration[] = [...backprop, ...target, ...feedback, ...predictive];
