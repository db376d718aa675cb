import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backOff } from '../src/lib/backoff.js';
import { History } from '../src/lib/history.js';
import { event, events, identity, maxEvents, mergeEvents, networks, sample, time } from '../src/lib/model.js';
import { Rates } from '../src/lib/rates.js';
import { timeline } from '../src/lib/timeline.js';

const at = (s) => new Date(1.7e12 + s * 1000).toISOString();

test('a sample is complete whatever is missing', () => {
  const bare = sample({ at: at(0) });
  for (const rubbish of [null, 5, 'x', [], {}, [null], [5, 'x', {}]]) {
    const s = sample({ at: at(0), fit: rubbish, status: { clock: rubbish, neighbour: rubbish, rings: rubbish, targets: rubbish, problems: rubbish },
      sources: rubbish, handshakes: { connections: rubbish, failures: rubbish }, cookies: { ages: rubbish }, certificates: rubbish });
    assert.deepEqual(Object.keys(s), Object.keys(bare));
    assert.ok(Array.isArray(s.sources) && Array.isArray(s.handshakes.connections) && Array.isArray(s.reasons));
    assert.equal(s.clock.offset, null);
  }
  for (const none of [null, undefined, 5, 'x', [], {}, { at: 'yesterday' }, { at: '0001-01-01T00:00:00Z' }]) assert.equal(sample(none), null);
});

test('an answer cannot fill the page', () => {
  const s = sample({ at: at(0), sources: new Array(100000).fill({ name: 'x'.repeat(1e5) }) });
  assert.ok(s.sources.length <= 256 && s.sources[0].name.length <= 2000);
  assert.equal(new Set(s.sources.map((x) => x.key)).size, s.sources.length, 'two sources of one name must not have one key');
});

test('an error bound that is not in force is unknown', () => {
  assert.equal(sample({ at: at(0), status: { clock: { error_bound_seconds: 1, synchronised: false } } }).clock.errorBound, null);
  assert.equal(sample({ at: at(0), status: { clock: { error_bound_seconds: 1, synchronised: true } } }).clock.errorBound, 1);
});

test('events are bounded, each once, the newest first', () => {
  const e = (id) => event({ id, at: at(id), kind: 'k', severity: 'info', text: `t${id}` });
  let all = [];
  for (let i = 1; i <= 500; i++) all = mergeEvents(all, [e(i), e(i), null]);
  assert.equal(all.length, maxEvents);
  assert.deepEqual([all[0].id, all.at(-1).id], [500, 301]);
  assert.deepEqual(events({ events: [null, 5, { id: 1 }, { id: 2, at: at(0) }] }).map((e) => e.id), [2]);
  assert.deepEqual(events({ events: null }), []);
});

test('networks without requests have no share', () => {
  const n = networks({ networks: [{ prefix: 'p', requests: 0 }, { prefix: 'q', requests: 10, nts_requests: 4 }, null] });
  assert.deepEqual(n.networks.map((x) => x.ntsShare), [null, 0.4, null]);
});

test('who is confined may what is named', () => {
  assert.ok(identity({ role: 'monitor', only: null }).may('networks'));
  assert.ok(!identity({ role: 'monitor', only: ['status'] }).may('networks'));
});

function columns(...seconds) {
  return { step_seconds: 30, at: seconds.map(at), offset_seconds: seconds.map((s) => s * 1e-6), error_bound_seconds: seconds.map(() => 1e-3),
    handshakes: seconds.map(() => 1), time_requests: null };
}
const shown = (s, offset = 0) => sample({ at: at(s), status: { clock: { synchronised: true, offset_seconds: offset, error_bound_seconds: 2e-3 } } });
const times = (h) => h.columns(86400)[0].map((t) => Math.round(t - 1.7e9));

test('history takes rows, then samples, then the rows that take their place', () => {
  const h = new History();
  h.load(columns(0, 30, 60));
  h.append(shown(62));
  h.append(shown(64));
  assert.deepEqual(times(h), [0, 30, 60, 62, 64]);
  h.load(columns(60, 90));
  assert.deepEqual(times(h), [0, 30, 60, 90]);
  h.append(shown(92, null));
  assert.deepEqual(h.columns(86400).map((c) => c.at(-1)).slice(1), [null, 2e-3, -2e-3]);
  assert.deepEqual(h.columns(31)[0].length, 2);
});

test('history has no line over a gap', () => {
  const h = new History();
  h.load(columns(0, 30, 600));
  assert.deepEqual(times(h), [0, 30, 60, 600]);
  assert.equal(h.columns(86400)[1][2], null);
});

test('history grows in one direction, although clocks do not', () => {
  const h = new History();
  h.load(columns(0, 30, 60, 60, 45));
  h.append(shown(50));
  h.append(shown(20));
  const t = times(h);
  assert.deepEqual(t, [...new Set(t)].sort((a, b) => a - b));
  assert.equal(t.at(-1), 20);
});

test('history is bounded', () => {
  const h = new History();
  for (let i = 0; i < 10000; i++) h.append(shown(i * 2));
  assert.ok(h.tail.length <= 1800);
  h.load(columns(...Array.from({ length: 20000 }, (_, i) => i * 30)));
  assert.ok(h.rows.length <= 6000 && h.rows.at(-1).t - h.rows[0].t <= 86400);
  for (const rubbish of [null, 5, {}, { at: null }, { at: [null, 'x'] }]) h.load(rubbish);
  assert.ok(h.rows.length > 0);
});

test('history sums into buckets', () => {
  const h = new History();
  h.load(columns(0, 30, 86400 - 30, 86400));
  assert.deepEqual(h.buckets('handshakes', 2), [1, 2]);
  assert.deepEqual(new History().buckets('handshakes', 2), [0, 0]);
});

test('rates are over the last minute, and begin again after a restart', () => {
  const r = new Rates();
  assert.equal(r.of('a'), null);
  for (let s = 0; s <= 200; s += 2) r.add(s * 1000, [{ name: 'a', count: s * s }]);
  assert.equal(r.of('a'), 200 + 140);
  assert.equal(r.of('b'), 0);
  r.add(202_000, [{ name: 'a', count: 1 }]);
  assert.equal(r.of('a'), null);
  r.add(204_000, [{ name: 'a', count: 5 }]);
  assert.equal(r.of('a'), 2);
});

test('a timeline has everything in its place', () => {
  const hour = 3600_000;
  const key = (state, from, until) => ({ state, created: from, mintFrom: from, acceptUntil: until });
  const keys = [key('old', 0, 5 * hour), key('current', 4 * hour, 9 * hour), { ...key('next', 8 * hour, null), created: 4 * hour }];
  const t = timeline(keys, 8 * hour, 6 * hour);
  assert.ok(t.open && t.start === 0 && t.end > 9 * hour);
  for (const b of t.bars) assert.ok(0 <= b.from && b.from <= b.mintFrom && b.mintFrom <= b.mintTo && b.mintTo <= b.to && b.to <= 100, JSON.stringify(b));
  assert.equal(t.bars[0].mintTo, t.bars[1].mintFrom);
  assert.equal(t.bars[1].mintTo, t.next);
  assert.equal(t.bars[2].to, 100);
  assert.ok(t.bars[1].mintFrom < t.now && t.now < t.next);
  const bare = timeline([key('current', null, null)], null, hour);
  assert.deepEqual([bare.next, bare.bars[0].from >= 0, bare.bars[0].to], [null, true, 100]);
});

test('time knows Go’s zero', () => {
  assert.equal(time('0001-01-01T00:00:00Z'), null);
  assert.equal(time('1970-01-01T00:00:01Z'), 1000);
  for (const none of [null, 5, '', 'x']) assert.equal(time(none), null);
});

test('attempts get rarer, but not for ever', () => {
  assert.equal(backOff(0, null, () => 0.5), 1000);
  assert.equal(backOff(3, null, () => 0.5), 8000);
  assert.ok(backOff(1000, null, () => 1) <= 25_000);
  assert.equal(backOff(0, 60, () => 0.5), 60_000);
});
