// One command on its way: filled in, looked at by a dry run, done. Nothing is done that was not shown first.

import { argumentsOf, blank, isGrave } from './commands.js';
import { outcome } from './changes.js';

/** newKey is an idempotency key that nobody has used. */
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, '0')).join('');
}

/**
 * wasLost tells of an error that nobody knows whether the change was made: no answer came, or one that is not the daemon's. An
 * answer of the daemon is no loss, but for "ask again with the same key".
 */
export function wasLost(error, asked) {
  if (typeof error?.status !== 'number' || error.code === '') return true;
  return asked && error.code === 'unavailable';
}

export class Attempt {
  state = 'editing'; // editing, planning, planned, doing, lost, done
  values;
  within = 0; // seconds after which it is undone unless it is confirmed; 0: it stays
  typed = ''; // the words of the command, where it must be typed
  plan = null; // what the dry run answered to exactly what is filled in
  outcome = null;
  problem = '';

  #send;
  #changed;
  #turn = 0; // grows with each edit: an answer to what was asked before it is not wanted any more
  #shown = ''; // what the plan is of
  #key = '';

  /** send(command, body, key) asks the daemon, without a key for a dry run; changed is told of each new state. */
  constructor(command, send, changed = () => {}) {
    this.command = command;
    this.values = blank(command);
    this.#send = send;
    this.#changed = changed;
  }

  get busy() {
    return this.state === 'planning' || this.state === 'doing';
  }

  /** ready tells whether it may be done now. */
  get ready() {
    return (this.state === 'planned' || this.state === 'lost') && this.plan !== null && (!isGrave(this.command) || this.typed === this.command.name);
  }

  #become(state, more = {}) {
    Object.assign(this, { state, problem: '' }, more);
    this.#changed();
  }

  /** edit takes what somebody filled in. What was shown is not what would be done any more. */
  edit(values, within = this.within) {
    if (this.state === 'doing') return;
    this.values = { ...this.values, ...values };
    this.within = this.command.inverse === '' ? 0 : within;
    this.#forget('editing');
  }

  /** type takes the words of the command. */
  type(text) {
    this.typed = text;
    this.#changed();
  }

  #forget(state, more = {}) {
    this.#turn++;
    this.#shown = '';
    this.#key = '';
    this.#become(state, { plan: null, outcome: null, typed: '', ...more });
  }

  #body() {
    return { ...argumentsOf(this.command, this.values), ...(this.within > 0 && { confirm_within_seconds: this.within }) };
  }

  /** preview asks what would be done. */
  async preview() {
    if (this.busy) return;
    let body;
    try {
      body = this.#body();
    } catch (error) {
      this.#forget('editing', { problem: error.message });
      return;
    }
    this.#forget('planning');
    const turn = this.#turn;
    try {
      const answer = outcome(await this.#send(this.command, { ...body, dry_run: true }, ''));
      if (turn !== this.#turn) return;
      if (!answer.dryRun) throw new Error('ntptsd did not answer as to a dry run; look at the audit log before anything else');
      this.#shown = JSON.stringify(body);
      this.#key = newKey();
      this.#become('planned', { plan: answer });
    } catch (error) {
      if (turn === this.#turn) this.#become('editing', { problem: error.message });
    }
  }

  /** perform does what was shown, and the same again where the answer was lost: the key lets it be done once. */
  async perform() {
    if (!this.ready) return;
    const asked = this.state === 'lost';
    const body = this.#body();
    if (JSON.stringify(body) !== this.#shown) { // never, or somebody wrote into values
      this.#forget('editing');
      return;
    }
    this.#become('doing');
    try {
      const answer = await this.#send(this.command, body, this.#key);
      this.#finish(outcome(answer));
    } catch (error) {
      if (wasLost(error, asked)) this.#become('lost', { problem: error.message });
      else this.#forget('editing', { problem: error.message });
    }
  }

  #finish(done) {
    // Secrets that were typed are not kept.
    for (const a of this.command.args) if (a.secret) this.values = { ...this.values, [a.name]: '' };
    this.#forget('done', { outcome: done });
  }
}
