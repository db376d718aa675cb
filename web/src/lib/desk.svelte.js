// The state of what can be changed: the table, what somebody is about to do, and the changes that wait to be confirmed.

import { Refused } from './ask.js';
import { Attempt, newKey, wasLost } from './attempt.js';
import { pending, records } from './changes.js';
import { actions, allowed, commands } from './commands.js';

export class Desk {
  commands = $state.raw([]); // the table
  pending = $state.raw([]); // changes that wait to be confirmed
  audit = $state.raw(null);
  auditProblem = $state('');
  attempt = $state.raw(null); // what somebody is about to do
  attemptVersion = $state(0); // grows with each of its states
  actions = $derived.by(() => (this.#me() === null ? [] : actions(this.commands, this.#me())));

  #me;
  #ask;
  #settling = new Map(); // idempotency keys of what was asked about changes that wait, and not answered

  /** me() is who is logged in; ask(path, options) is askJSON as that one, and fails when that one has left meanwhile. */
  constructor(me, ask) {
    this.#me = me;
    this.#ask = ask;
  }

  /** clear forgets everything: somebody else comes. */
  clear() {
    Object.assign(this, { commands: [], pending: [], audit: null, auditProblem: '', attempt: null });
    this.#settling.clear();
  }

  /** open begins with the table as the daemon told it. */
  open(table) {
    this.commands = commands(table);
    this.look();
  }

  /** can tells whether who is logged in may do a command that there is. */
  can(name) {
    return this.commands.some((c) => c.name === name && allowed(c, this.#me()));
  }

  /** look asks for the changes that wait to be confirmed. */
  async look() {
    if (!this.can('changes')) return;
    try {
      this.pending = pending(await this.#ask('/v1/changes'));
    } catch {
      // the next time, then; that the connection is lost is told already
    }
  }

  /** lookBack asks for the newest records of the audit log. */
  async lookBack() {
    if (!this.can('audit')) return;
    try {
      Object.assign(this, { audit: records(await this.#ask('/v1/audit?limit=50')), auditProblem: '' });
    } catch (error) {
      if (this.can('audit')) this.auditProblem = error instanceof Refused ? error.message : 'ntptsd does not answer';
    }
  }

  /** names are what another list knows for an argument; none when it does not answer. */
  async names(listed) {
    if (listed === null || !this.can(listed.command)) return [];
    try {
      return listed.read(await this.#ask(`/v1/${listed.command}`));
    } catch {
      return [];
    }
  }

  /** choose begins with a command; null: with none. */
  choose(command) {
    this.attempt = command && new Attempt(command, (c, body, key) => this.#change(c.url, body, key), () => this.attemptVersion++);
  }

  /** perform does what is shown. */
  async perform() {
    await this.attempt.perform();
    await Promise.all([this.look(), this.lookBack()]);
  }

  /** settle lets a change stay (confirm) or undoes it (undo). It is asked with the same key until there is an answer. */
  async settle(verb, change) {
    const what = `${verb} ${change}`;
    const asked = this.#settling.has(what);
    if (!asked) this.#settling.set(what, newKey());
    try {
      await this.#change(`/v1/actions/changes-${verb}`, { change }, this.#settling.get(what));
      this.#settling.delete(what);
    } catch (error) {
      if (!wasLost(error, asked)) this.#settling.delete(what);
      throw error;
    } finally {
      await Promise.all([this.look(), this.lookBack()]);
    }
  }

  #change(path, body, key) {
    return this.#ask(path, { method: 'POST', body: JSON.stringify(body), headers: { 'Content-Type': 'application/json', ...(key && { 'Idempotency-Key': key }) } });
  }
}
