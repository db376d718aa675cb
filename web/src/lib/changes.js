// What comes of a change, made complete as in model.js: the outcome, those that wait to be confirmed, and the records of the audit log.

import { number } from './format.js';
import { count, flag, list, object, text, time } from './model.js';

const maxDiff = 20_000; // characters
const maxResult = 50_000; // characters of JSON
const maxSecret = 20_000; // characters: a chain of certificates has less

const plan = (x) => ({ summary: text(x.summary), before: text(x.before), after: text(x.after), diff: typeof x.diff === 'string' ? x.diff.slice(0, maxDiff) : '' });

// What is told once: tokens, links with one, and PEM.
const once = /^(ntptsd[a-z0-9]*_|-----BEGIN )|^https?:\/\/\S*#token=/;

/** secrets are the texts of a result that are told once, with where they stand. What is too long is no secret of ours. */
export function secrets(result) {
  const found = [];
  const look = (x, name, depth) => {
    if (typeof x === 'string' && once.test(x) && x.length <= maxSecret) found.push({ name, value: x });
    else if (x !== null && typeof x === 'object' && depth < 4) {
      for (const [k, v] of Object.entries(x).slice(0, 50)) look(v, Array.isArray(x) ? name : k, depth + 1);
    }
  };
  look(result, 'result', 0);
  return found.slice(0, 10);
}

/** pretty is a result as JSON, without what stands beside it already. Nothing that says anything is empty. */
export function pretty(result) {
  if (result === null || typeof result !== 'object' || Object.keys(result).length === 0) return '';
  const json = JSON.stringify(result, (_, v) => (typeof v === 'string' && once.test(v) ? '(told above)' : v), 2);
  return json.length <= maxResult ? json : `${json.slice(0, maxResult)}\n…`;
}

/** confirmation is the token with which a command that is called twice is called again; null: it is not. */
export function confirmation(x) {
  x = object(x);
  return x.done === false && text(x.token) !== '' ? { token: text(x.token), would: text(x.would), until: time(x.until) } : null;
}

/** outcome is what a command answers that changes something. */
export function outcome(x) {
  x = object(x);
  const audit = object(x.audit);
  return {
    ...plan(x),
    dryRun: flag(x.dry_run),
    replayed: flag(x.replayed),
    change: count(x.change),
    confirmBy: time(x.confirm_by),
    audit: { seq: count(audit.seq), hash: text(audit.hash), signature: text(audit.signature) },
    secrets: secrets(x.result),
    result: pretty(x.result),
    again: confirmation(x.result),
  };
}

/** pending are the changes that wait to be confirmed. */
export function pending(x) {
  return list(object(x).changes, (c) => {
    c = object(c);
    return { ...plan(c), change: count(c.change), command: text(c.command), caller: text(c.caller), role: text(c.role), made: time(c.made), confirmBy: time(c.confirm_by),
      undo: text(c.undo), problem: text(c.problem) };
  }).filter((c) => c.change > 0);
}

function record(x) {
  x = object(x);
  return { seq: count(x.seq), at: time(x.time), kind: text(x.kind), of: count(x.of), caller: text(x.caller), role: text(x.role), from: text(x.from), command: text(x.command),
    args: text(x.args), summary: text(x.summary), before: text(x.before), after: text(x.after), result: text(x.result), error: text(x.error), omitted: number(x.omitted) ?? 0 };
}

/** records are those of the audit log, the newest first; what became of an attempt stands at the attempt. */
export function records(x) {
  x = object(x);
  const all = list(x.records, record);
  const attempts = new Map(all.filter((r) => r.kind === 'attempt').map((r) => [r.seq, r]));
  const rows = all.filter((r) => {
    const attempt = r.kind === 'outcome' ? attempts.get(r.of) : undefined;
    if (attempt === undefined) return true;
    Object.assign(attempt, { result: r.result, error: r.error });
    return false;
  });
  return { rows: rows.sort((a, b) => b.seq - a.seq), head: { seq: count(object(x.head).seq), hash: text(object(x.head).hash) }, problem: text(x.problem) };
}
