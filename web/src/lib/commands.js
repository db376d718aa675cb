// The table of commands, as GET /v1/ tells it: what changes something, who may, and what a form makes of its arguments.

import { flag, list, object, text } from './model.js';

const roles = ['anonymous', 'monitor', 'operator', 'admin']; // each may all that those before it may

function arg(x) {
  x = object(x);
  return { name: text(x.name), summary: text(x.summary), number: flag(x.number), flag: flag(x.flag), secret: flag(x.secret) };
}

function command(x) {
  x = object(x);
  return { name: text(x.name), url: text(x.url), role: text(x.role), changes: flag(x.changes), inverse: text(x.inverse), summary: text(x.summary),
    args: list(x.args, arg).filter((a) => a.name !== '') };
}

/** commands are those of an answer. An address that is not one of ours is never asked. */
export function commands(x) {
  return list(object(x).commands, command).filter((c) => c.name !== '' && /^\/v1\/[a-z/-]+$/.test(c.url));
}

/** reaches tells whether a role is at least another. One that is not known reaches nothing. */
export function reaches(role, least) {
  return roles.includes(least) && roles.indexOf(role) >= roles.indexOf(least);
}

/** allowed tells whether somebody may do a command. The daemon decides; this is what is worth showing. */
export function allowed(c, me) {
  return me !== null && reaches(me.role, c.role) && me.may(c.name);
}

/** actions are the commands that change something and that somebody may, by their first word; single ones come first. */
export function actions(all, me) {
  const mine = all.filter((c) => c.changes && allowed(c, me));
  const groups = new Map([['this host', []]]);
  for (const c of mine) {
    const [first, second] = c.name.split(' ');
    const name = second === undefined ? 'this host' : first;
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(c);
  }
  return [...groups].map(([name, commands]) => ({ name, commands })).filter((g) => g.commands.length > 0);
}

// What hurts at once: the command is typed before it is done.
const grave = new Set(['keys revoke', 'access revoke', 'neighbour step', 'neighbour settime']);

/** isGrave tells whether somebody must type the command's words to do it. */
export const isGrave = (c) => grave.has(c.name);

/** blank are the values of a form that nobody has filled in. */
export const blank = (c) => Object.fromEntries(c.args.map((a) => [a.name, a.flag ? false : '']));

/**
 * argumentsOf are the members of the JSON object that a form stands for, in the order of the table. What was left empty was not
 * given. What is no whole number throws.
 */
export function argumentsOf(c, values) {
  const given = {};
  for (const a of c.args) {
    const v = values[a.name];
    if (a.flag) {
      if (v === true) given[a.name] = true;
      continue;
    }
    const typed = a.secret ? String(v ?? '') : String(v ?? '').trim();
    if (typed === '') continue;
    if (!a.number) {
      given[a.name] = typed;
      continue;
    }
    if (!/^-?\d{1,15}$/.test(typed)) throw new Error(`${a.name}: must be a whole number`);
    given[a.name] = Number(typed);
  }
  return given;
}

// Maps, not objects: the daemon's names must not meet those that objects have of themselves.
const words = new Map([['role', roles.slice(1)], ['level', ['debug', 'info', 'warn', 'error']], ['kind', ['server', 'peer', 'pool']]]);
const shown = new Map([
  ['ring', (s) => s.rings.map((r) => r.name)],
  ['key', (s, values) => s.rings.filter((r) => !values.ring || r.name === values.ring).flatMap((r) => r.keys.map((k) => k.id))],
  ['target', (s) => s.targets.map((t) => t.id)],
  ['source', (s) => s.sources.flatMap((x) => [x.name, x.address])],
]);

/** suggestions are names that are known for an argument, each once: a field may have others. */
export function suggestions(a, sample, values = {}) {
  if (a.number || a.flag || a.secret) return [];
  const known = words.get(a.name) ?? (sample === null ? [] : shown.get(a.name)?.(sample, values) ?? []);
  return [...new Set(known)].filter((n) => n !== '');
}

const listedBy = new Map([['listeners', ['listener', 'listeners', 'name']], ['bans', ['network', 'bans', 'network']], ['access', ['name', 'grants', 'name']]]);

/** listedNames tells which list has the names that a command takes: who reads it, for which argument, and how. */
export function listedNames(c) {
  const [first, verb] = c.name.split(' ');
  const [argument, member, name] = listedBy.get(first) ?? [];
  if (argument === undefined || !c.args.some((a) => a.name === argument) || !['drain', 'undrain', 'remove', 'revoke', 'restore'].includes(verb)) return null;
  return { command: first, argument, read: (x) => list(object(x)[member], (row) => text(object(row)[name])).filter((n) => n !== '') };
}
