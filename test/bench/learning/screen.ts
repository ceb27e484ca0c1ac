/** Where tests let the commands write. */

import { Writable } from 'node:stream';

/** A stream that keeps what it is given; a terminal of so many columns, or none. */
export function screen(columns: number | null): { output: NodeJS.WriteStream; text: () => string } {
  const written: string[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      written.push(String(chunk));
      done();
    },
  });
  // cursorTo and the like are what a terminal's stream has beside write.
  const terminal = { isTTY: true, columns, cursorTo: () => true, moveCursor: () => true, clearLine: () => true };
  const output = Object.assign(stream, columns === null ? {} : terminal);
  return { output: output as unknown as NodeJS.WriteStream, text: () => written.join('') };
}
