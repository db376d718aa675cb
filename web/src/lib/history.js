// The last 24 hours as columns: rows that the daemon keeps, and behind them the samples since its last row. Memory is bounded
// whatever comes.

import { number } from './format.js';
import { time } from './model.js';

export const daySeconds = 24 * 60 * 60;
const maxRows = 6000; // twice what 24 h have
const maxTail = 1800; // samples: an hour, when the daemon's rows cannot be had

/**
 * History holds rows {t, offset, bound, handshakes, requests}, oldest first; t in seconds since 1970.
 */
export class History {
  step = 30; // seconds between two rows of the daemon
  rows = [];
  tail = [];

  /** load takes an answer of /v1/history. What it tells replaces what was known of the same time. */
  load(x) {
    if (x === null || typeof x !== 'object' || !Array.isArray(x.at)) return;
    if (number(x.step_seconds) > 0) this.step = x.step_seconds;
    const column = (name) => (Array.isArray(x[name]) ? x[name] : []);
    const offset = column('offset_seconds');
    const bound = column('error_bound_seconds');
    const handshakes = column('handshakes');
    const requests = column('time_requests');
    const rows = [];
    for (let i = Math.max(0, x.at.length - maxRows); i < x.at.length; i++) {
      const at = time(x.at[i]);
      if (at === null) continue;
      push(rows, { t: at / 1000, offset: number(offset[i]), bound: number(bound[i]), handshakes: number(handshakes[i]) ?? 0,
        requests: number(requests[i]) ?? 0 });
    }
    if (rows.length === 0) return;
    this.rows = this.rows.filter((r) => r.t < rows[0].t - this.step / 2).concat(rows).slice(-maxRows);
    this.#forget(rows.at(-1).t);
    this.tail = this.tail.filter((r) => r.t > this.rows.at(-1).t);
  }

  /** append takes a sample that is newer than all. */
  append(sample) {
    const t = sample.at / 1000;
    const lastRow = this.rows.at(-1)?.t ?? -Infinity;
    if (t <= lastRow) this.rows = this.rows.filter((r) => r.t < t); // the daemon's clock was set back
    push(this.tail, { t, offset: sample.clock.offset, bound: sample.clock.errorBound });
    if (this.tail.length > maxTail) this.tail.splice(0, this.tail.length - maxTail);
    this.#forget(t);
  }

  #forget(now) {
    while (this.rows.length > 0 && this.rows[0].t < now - daySeconds) this.rows.shift();
  }

  /** columns are those of the chart: time, offset, upper and lower bound of the last so many seconds. Gaps have no line. */
  columns(seconds) {
    const all = this.rows.concat(this.tail);
    const end = all.at(-1)?.t ?? 0;
    const [x, offset, upper, lower] = [[], [], [], []];
    let before = null;
    for (const r of all) {
      if (r.t < end - seconds) continue;
      if (before !== null && r.t - before > this.step * 3) {
        x.push(before + this.step);
        for (const c of [offset, upper, lower]) c.push(null);
      }
      x.push(r.t);
      offset.push(r.offset);
      upper.push(r.bound);
      lower.push(r.bound === null ? null : -r.bound);
      before = r.t;
    }
    return [x, offset, upper, lower];
  }

  /** buckets sums a column of the rows into n equal parts of the last 24 hours, the oldest first. */
  buckets(column, n) {
    const sums = new Array(n).fill(0);
    const end = this.rows.at(-1)?.t;
    if (end === undefined) return sums;
    for (const r of this.rows) {
      const i = n - 1 - Math.floor(((end - r.t) / daySeconds) * n);
      if (i >= 0) sums[i] += r[column];
    }
    return sums;
  }
}

/** push keeps time growing: what lies behind the new row is gone. */
function push(rows, row) {
  while (rows.length > 0 && rows.at(-1).t >= row.t) rows.pop();
  rows.push(row);
}
