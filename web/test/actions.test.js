import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Attempt, newKey, wasLost } from '../src/lib/attempt.js';
import { confirmation, outcome, pending, pretty, records, secrets } from '../src/lib/changes.js';
import { actions, allowed, argumentsOf, blank, commands, listedNames, reaches, suggestions } from '../src/lib/commands.js';
import { identity, sample } from '../src/lib/model.js';
import { Refused } from '../src/lib/ask.js';

const arg = (name, more = {}) => ({ name, summary: `the ${name}`, number: false, flag: false, secret: false, ...more });
const row = (name, role, changes, args = [], inverse = '') => ({ name, url: changes ? `/v1/actions/${name.replace(' ', '-')}` : `/v1/${name.replace(' ', '-')}`, role, changes, inverse, summary: `to ${name}`, args });
const table = commands({ commands: [
  row('status', 'monitor', false), row('keys', 'monitor', false), row('keys rotate', 'operator', true, [arg('ring')]), row('keys revoke', 'admin', true, [arg('key')]),
  row('reload', 'operator', true), row('targets drain', 'operator', true, [arg('target')], 'targets undrain'),
  row('sources add', 'admin', true, [arg('source'), arg('port', { number: true }), arg('nts', { flag: true }), arg('password', { secret: true })], 'sources delete'),
] });
const find = (name) => table.find((c) => c.name === name);
const who = (role, only) => identity({ name: 'n', role, only });
const names = (me) => actions(table, me).map((g) => [g.name, ...g.commands.map((c) => c.name)]);

test('the table is complete whatever came, and leads nowhere else', () => {
  for (const rubbish of [null, 5, 'x', [], {}, { commands: null }, { commands: [null, 5, {}] }, { commands: {} }]) assert.deepEqual(commands(rubbish), []);
  const odd = ['https://example.com/v1/x', '//example.com/v1/x', '/v1/../x', '/v2/x', '/v1/x?y', '', null].map((url) => ({ ...row('x', 'operator', true), url }));
  assert.deepEqual(commands({ commands: odd }), []);
  assert.equal(commands({ commands: [{ name: 'x', url: '/v1/x', args: null }] })[0].args.length, 0);
  assert.ok(commands({ commands: new Array(10000).fill(row('x', 'operator', true)) }).length <= 256);
});

test('who may what', () => {
  assert.deepEqual(names(who('monitor')), []);
  assert.deepEqual(names(who('limited')), []);
  assert.deepEqual(names(who('operator')), [['this host', 'reload'], ['keys', 'keys rotate'], ['targets', 'targets drain']]);
  assert.deepEqual(names(who('admin')).map((g) => g[0]), ['this host', 'keys', 'targets', 'sources']);
  assert.deepEqual(names(who('admin', ['status', 'targets drain'])), [['targets', 'targets drain']]);
  assert.ok(!allowed(find('reload'), null));
  assert.ok(reaches('admin', 'operator') && !reaches('operator', 'admin') && !reaches('admin', 'emperor') && !reaches('emperor', 'monitor'));
});

test('a form becomes arguments: what is empty was not given', () => {
  const add = find('sources add');
  assert.deepEqual(argumentsOf(add, blank(add)), {});
  assert.deepEqual(argumentsOf(add, { source: ' ntp1 ', port: '4123', nts: true, password: ' p ', more: 'x' }), { source: 'ntp1', port: 4123, nts: true, password: ' p ' });
  assert.deepEqual(JSON.stringify(argumentsOf(add, { nts: true, source: 'a' })), '{"source":"a","nts":true}');
  for (const port of ['1.5', '1e3', 'x', '0x10', '12345678901234567890']) assert.throws(() => argumentsOf(add, { port }), /port: must be a whole number/);
});

test('names that are known are proposed', () => {
  const s = sample({ at: '2026-01-01T00:00:00Z', status: { rings: [{ name: 'default', keys: [{ id: 'k1' }] }, { name: 'legacy', keys: [{ id: 'k2' }] }], targets: [{ id: 't' }, { id: 't' }] },
    sources: [{ name: 'ntp1', address: '192.0.2.1' }, { address: '192.0.2.2' }] });
  assert.deepEqual(suggestions(arg('ring'), s), ['default', 'legacy']);
  assert.deepEqual(suggestions(arg('key'), s, { ring: 'legacy' }), ['k2']);
  assert.deepEqual(suggestions(arg('target'), s), ['t']);
  assert.deepEqual(suggestions(arg('source'), s), ['ntp1', '192.0.2.1', '192.0.2.2']);
  assert.deepEqual(suggestions(arg('role'), null), ['monitor', 'operator', 'admin']);
  for (const none of [arg('ring', { secret: true }), arg('toString'), arg('constructor')]) assert.deepEqual(suggestions(none, s), []);
  const bans = listedNames({ name: 'bans remove', args: [arg('network')] });
  assert.deepEqual([bans.command, bans.argument, bans.read({ bans: [{ network: '192.0.2.0/24' }, null] }), bans.read(null)], ['bans', 'network', ['192.0.2.0/24'], []]);
  assert.equal(listedNames({ name: 'bans add', args: [arg('network')] }), null);
  assert.equal(listedNames({ name: 'constructor x', args: [] }), null);
});

test('an outcome is complete whatever came', () => {
  const bare = outcome({});
  for (const rubbish of [null, 5, 'x', [], { result: null, audit: 5, confirm_by: 'soon' }]) assert.deepEqual(outcome(rubbish), bare);
  assert.ok(outcome({ diff: 'x'.repeat(1e6), summary: 'x'.repeat(1e6), result: { a: 'x'.repeat(1e6) } }).result.length < 60_000);
});

test('what is told once stands apart, and once', () => {
  const token = `ntptsd_${'A'.repeat(43)}`;
  const result = { name: 'n', token, urls: [`https://h/#token=${token}`], certificate: '-----BEGIN CERTIFICATE-----\nx', note: 'a ntptsd_word', key: 'aa41' };
  assert.deepEqual(secrets(result).map((s) => s.name), ['token', 'urls', 'certificate']);
  assert.ok(!pretty(result).includes(token) && pretty(result).includes('aa41'));
  let deep = token;
  for (let i = 0; i < 100; i++) deep = { deep };
  assert.deepEqual(secrets(deep), []);
  assert.equal(pretty({}), '');
  assert.deepEqual(confirmation({ done: false, token: 't', would: 'w', until: null }), { token: 't', would: 'w', until: null });
  for (const none of [null, {}, { done: true, token: 't' }, { done: false, token: '' }, { token: 't' }]) assert.equal(confirmation(none), null);
});

test('changes that wait, and records', () => {
  assert.deepEqual(pending({ changes: [null, 5, {}, { change: 3, summary: 's', confirm_by: '2026-01-01T00:00:00Z' }] }).map((c) => [c.change, c.summary, c.confirmBy]), [[3, 's', 1767225600000]]);
  for (const rubbish of [null, 5, {}, { changes: null }]) assert.deepEqual(pending(rubbish), []);
  const r = records({ records: [{ seq: 1, kind: 'attempt', summary: 's' }, { seq: 2, kind: 'outcome', of: 1, result: 'done' }, { seq: 3, kind: 'outcome', of: 99, result: 'conflict' }, null], head: { seq: 3, hash: 'h' } });
  assert.deepEqual(r.rows.map((x) => [x.seq, x.kind, x.result]), [[3, 'outcome', 'conflict'], [1, 'attempt', 'done'], [0, '', '']]);
  assert.deepEqual([r.head.seq, records(null).rows], [3, []]);
});

/** desk is a daemon that answers what it is told to, and remembers what it was asked. */
function desk(...answers) {
  const asked = [];
  const send = async (c, body, key) => {
    asked.push({ command: c.name, body, key });
    const answer = answers.shift() ?? { dry_run: body.dry_run === true, summary: 'drain it' };
    if (answer instanceof Error) throw answer;
    return answer;
  };
  return { asked, send };
}
const drain = find('targets drain');

test('nothing is done that was not shown', async () => {
  const { asked, send } = desk();
  const a = new Attempt(drain, send);
  a.edit({ target: 'one' });
  await a.perform();
  assert.deepEqual(asked, []);
  await a.preview();
  assert.deepEqual([a.state, a.plan.summary, a.ready], ['planned', 'drain it', true]);
  assert.deepEqual(asked, [{ command: 'targets drain', body: { target: 'one', dry_run: true }, key: '' }]);
  a.edit({ target: 'two' });
  assert.deepEqual([a.state, a.plan, a.ready], ['editing', null, false]);
  await a.perform();
  assert.equal(asked.length, 1);
  await a.preview();
  a.values = { target: 'three' }; // behind its back
  await a.perform();
  assert.deepEqual([asked.length, a.state, a.plan], [2, 'editing', null]);
  await a.preview();
  await a.perform();
  assert.deepEqual([a.state, a.outcome.summary], ['done', 'drain it']);
  assert.deepEqual(asked.at(-1).body, { target: 'three' });
  await a.perform();
  assert.equal(asked.length, 4, 'once');
});

test('how long it waits to be confirmed is part of what was shown', async () => {
  const { asked, send } = desk();
  const a = new Attempt(drain, send);
  a.edit({ target: 'one' }, 300);
  await a.preview();
  a.edit({}, 60);
  assert.equal(a.plan, null);
  await a.preview();
  await a.perform();
  assert.deepEqual(asked.map((x) => x.body.confirm_within_seconds), [300, 60, 60]);
  const none = new Attempt(find('reload'), send);
  none.edit({}, 300);
  assert.equal(none.within, 0, 'what has no inverse cannot wait');
});

test('the answer to what is not asked any more is not shown', async () => {
  let answer;
  const a = new Attempt(drain, () => new Promise((resolve) => (answer = resolve)));
  const late = a.preview();
  a.edit({ target: 'another' });
  answer({ dry_run: true, summary: 'late' });
  await late;
  assert.deepEqual([a.state, a.plan], ['editing', null]);
});

test('an answer that is lost is asked for again under the same key', async () => {
  const { asked, send } = desk({ dry_run: true }, new TypeError('Failed to fetch'), new Refused(503, 'the same change is being made still', null, 'unavailable'), { replayed: true, change: 7 });
  const a = new Attempt(drain, send);
  await a.preview();
  await a.perform();
  assert.deepEqual([a.state, a.ready], ['lost', true]);
  await a.perform();
  assert.equal(a.state, 'lost');
  await a.perform();
  assert.deepEqual([a.state, a.outcome.change, a.outcome.replayed], ['done', 7, true]);
  const keys = asked.slice(1).map((x) => x.key);
  assert.ok(keys[0].length >= 20 && new Set(keys).size === 1, keys.join());
});

test('a refusal is an answer: what is asked next is another change, and shown anew', async () => {
  const { asked, send } = desk({ dry_run: true }, new Refused(409, 'it drains already', null, 'conflict'));
  const a = new Attempt(drain, send);
  await a.preview();
  await a.perform();
  assert.deepEqual([a.state, a.problem, a.ready], ['editing', 'it drains already', false]);
  await a.preview();
  await a.perform();
  assert.equal(a.state, 'done');
  assert.notEqual(asked[1].key, asked[3].key);
  assert.ok(wasLost(new Refused(502, 'bad gateway', null), false) && !wasLost(new Refused(503, 'x', null, 'unavailable'), false) && wasLost(new SyntaxError('no JSON'), false));
  assert.notEqual(newKey(), newKey());
});

test('a dry run that did something is not taken for one', async () => {
  const a = new Attempt(drain, desk({ dry_run: false, change: 9 }).send);
  await a.preview();
  assert.deepEqual([a.state, a.plan], ['editing', null]);
  assert.match(a.problem, /dry run/);
});

test('what cannot be taken back is typed first', async () => {
  const { asked, send } = desk();
  const a = new Attempt(find('keys revoke'), send);
  a.type('keys revoke');
  await a.preview();
  assert.equal(a.ready, false, 'before it was shown does not count');
  a.type('keys');
  await a.perform();
  assert.equal(asked.length, 1);
  a.type('keys revoke');
  await a.perform();
  assert.equal(a.state, 'done');
});

test('a secret that was typed is not kept', async () => {
  const a = new Attempt(find('sources add'), desk().send);
  a.edit({ source: 's', password: 'p' });
  await a.preview();
  await a.perform();
  assert.deepEqual([a.values.source, a.values.password], ['s', '']);
  assert.ok(!JSON.stringify(a).includes('"p"'));
});

test('what is no number is not even asked about', async () => {
  const { asked, send } = desk();
  const a = new Attempt(find('sources add'), send);
  a.edit({ port: 'x' });
  await a.preview();
  assert.deepEqual([asked.length, a.problem], [0, 'port: must be a whole number']);
});
