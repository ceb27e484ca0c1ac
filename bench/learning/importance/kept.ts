/**
 * What is done of a run: lists that a checkpoint keeps. It holds no network: whoever goes on trains it again, which gives the same bits
 * and takes a small part of the time.
 */

/** Lists of plain data by name. A checkpoint has them as its `algorithm`; what comes back goes into the same arrays. */
export class Kept<Lists extends Readonly<Record<keyof Lists, unknown[]>>> {
  readonly lists: Lists;

  constructor(empty: Lists) {
    this.lists = empty;
  }

  stateDict() {
    return { json: JSON.stringify(this.lists) };
  }

  loadStateDict({ json }: { json: string }): void {
    const found = JSON.parse(json) as Record<string, readonly unknown[]>;
    for (const [name, list] of Object.entries<unknown[]>(this.lists))
      list.splice(0, list.length, ...(found[name] ?? []));
  }
}
