// Rates from counters: how often a second, over about the last minute.

const windowMillis = 60_000;

/** Rates keeps the counters of the last minute. */
export class Rates {
  #seen = []; // {at, counts: Map}

  /** add takes counters [{name, count}] at a time in milliseconds. */
  add(at, counters) {
    const counts = new Map(counters.map((c) => [c.name, c.count]));
    const last = this.#seen.at(-1);
    if (last !== undefined && (at <= last.at || [...counts].some(([name, n]) => n < (last.counts.get(name) ?? 0)))) {
      this.#seen = []; // the daemon started again, or its clock was set back
    }
    this.#seen.push({ at, counts });
    while (this.#seen.length > 2 && this.#seen[1].at <= at - windowMillis) this.#seen.shift();
  }

  /** of is a rate a second; null until there are two samples. */
  of(name) {
    const first = this.#seen[0];
    const last = this.#seen.at(-1);
    if (first === undefined || first === last) return null;
    return ((last.counts.get(name) ?? 0) - (first.counts.get(name) ?? 0)) / ((last.at - first.at) / 1000);
  }
}
