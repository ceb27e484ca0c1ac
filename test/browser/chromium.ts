/** Which Chromium the tests start, and how: without its network services and without a GPU, as root too. */
import { existsSync } from 'node:fs';

export const chromium = process.env.CHROMIUM ?? '/usr/bin/chromium';

export const chromiumFlags = [
  ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
];

/** Why the tests in Chromium are not run; null: they are. */
export const missing = existsSync(chromium)
  ? null
  : `There is no Chromium at ${chromium}, so nothing was tried in a browser: install Debian's package chromium, or set CHROMIUM.`;
