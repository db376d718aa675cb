// The live view's state: what the daemon said last, and how the connection to it is.

import { ask, askJSON, Refused } from './ask.js';
import { backOff } from './backoff.js';
import { Desk } from './desk.svelte.js';
import { History, daySeconds } from './history.js';
import { event, events, mergeEvents, networks, sample } from './model.js';
import { Rates } from './rates.js';
import { exchange, explain, kept, leave, takeFragment, whoAmI } from './session.js';
import { Parser } from './sse.js';

const newsWithin = 12_000; // milliseconds; a sample comes every 2 s
const silence = 40_000; // milliseconds; the daemon says something every 15 s at least
const networksEvery = 15_000;
const changesEvery = 5_000;
const historyEvery = 60_000;

class Live {
  phase = $state('starting'); // starting, login, in
  problem = $state(''); // of the log-in
  byToken = $state(false);
  me = $state.raw(null);

  link = $state('connecting'); // connecting, live, lost
  why = $state(''); // it is lost
  retryAt = $state(0); // milliseconds

  sample = $state.raw(null);
  heardAt = $state(0); // of the newest sample, by the browser's clock
  events = $state.raw([]);
  networks = $state.raw(null);
  networksProblem = $state('');
  historyVersion = $state(0); // grows with history and rates, which are not copied for each sample
  history = new History();
  outcomes = new Rates();

  desk = new Desk(() => this.me, (path, options) => this.#speak(path, options));

  /** current tells whether what is shown is how things are; now is the browser's. */
  current(now) {
    return this.link === 'live' && now - this.heardAt <= newsWithin;
  }

  #token = '';
  #stop = null; // ends everything that runs for this log-in
  #wake = null; // ends the wait for the next attempt
  #turn = 0; // grows with each log-in and log-out; what an older one still waits for is not wanted any more

  /** start logs in with the address bar's token, else with what the tab kept, else as the connection. */
  async start() {
    addEventListener('hashchange', () => this.#fromFragment());
    addEventListener('online', () => this.retry());
    document.addEventListener('visibilitychange', () => document.hidden || this.retry());
    if (await this.#fromFragment()) return;
    await this.#enter(kept.get(), '');
  }

  async #fromFragment() {
    const token = takeFragment();
    if (token === '') return false;
    await this.login(token);
    return true;
  }

  /** login takes what somebody typed or a link had. */
  async login(typed) {
    const turn = ++this.#turn;
    this.problem = '';
    try {
      // Only these letters are in tokens; others would not fit into a header.
      if (!/^[\x21-\x7e]+$/.test(typed)) throw new Refused(401, 'not a token', null);
      const token = await exchange(typed);
      const me = await whoAmI(token);
      if (me === null) throw new Refused(401, 'unknown', null);
      if (turn === this.#turn) this.#begin(token, me);
    } catch (error) {
      if (turn !== this.#turn) return;
      if (this.phase !== 'in') this.phase = 'login';
      this.problem = explain(error);
    }
  }

  /** #enter logs in with a token that was kept, or as the connection; why is shown when neither counts. */
  async #enter(token, why) {
    const turn = ++this.#turn;
    for (let attempt = 0; turn === this.#turn; attempt++) {
      try {
        let me = await whoAmI(token);
        if (turn !== this.#turn) return;
        if (me === null && token !== '') {
          kept.set('');
          why ||= 'Your log-in has ended. Log in again.';
          token = '';
          me = await whoAmI('');
          if (turn !== this.#turn) return;
        }
        if (me !== null) this.#begin(token, me);
        else this.#end(why);
        return;
      } catch (error) {
        if (turn !== this.#turn) return;
        if (error instanceof Refused && error.status !== 503) {
          this.#end(explain(error));
          return;
        }
        await this.#wait(attempt, error);
      }
    }
  }

  #begin(token, me) {
    this.#stop?.abort();
    this.#stop = new AbortController();
    if (token !== this.#token) this.desk.clear(); // of somebody else
    this.#token = token;
    kept.set(token);
    this.byToken = token !== '';
    this.me = me;
    this.problem = '';
    this.phase = 'in';
    this.link = 'connecting';
    this.#follow(this.#stop.signal);
  }

  #end(why) {
    this.#stop?.abort();
    this.#stop = null;
    this.#token = '';
    kept.set('');
    Object.assign(this, { me: null, byToken: false, phase: 'login', problem: why, link: 'connecting', sample: null, heardAt: 0, events: [],
      networks: null, networksProblem: '', history: new History(), outcomes: new Rates() });
    this.desk.clear();
  }

  logout() {
    leave(this.#token);
    this.#turn++;
    this.#end('');
  }

  /** retry does not wait any longer. */
  retry() {
    this.#wake?.();
  }

  async #wait(attempt, error) {
    const delay = backOff(attempt, error instanceof Refused ? error.retryAfter : null);
    this.link = 'lost';
    this.why = error instanceof Refused ? error.message : '';
    this.retryAt = Date.now() + delay;
    await new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        if (this.#wake === wake) this.#wake = null; // it is another's when somebody has logged in meanwhile
        resolve();
      };
      const timer = setTimeout(wake, delay);
      this.#wake = wake;
    });
  }

  /** #speak is how the desk asks. An answer to who has left since is none. */
  async #speak(path, options = {}) {
    const signal = this.#stop?.signal;
    const answer = await askJSON(path, { token: this.#token, signal, ...options });
    signal?.throwIfAborted();
    return answer;
  }

  /** #follow keeps a stream open until the log-in ends. */
  async #follow(stopped) {
    let lastId = '';
    for (let attempt = 0; !stopped.aborted; ) {
      try {
        await this.#stream(stopped, lastId, (id) => {
          lastId = id;
          attempt = 0;
        });
        throw new Error('the stream ended');
      } catch (error) {
        if (stopped.aborted) return;
        if (error instanceof Refused && error.status === 401) {
          await this.#enter(this.#token, 'Your log-in has ended, or ntptsd was started again. Log in again.');
          return;
        }
        await this.#wait(attempt++, error);
      }
    }
  }

  async #stream(stopped, lastId, onId) {
    const own = new AbortController();
    const signal = AbortSignal.any([stopped, own.signal]);
    const headers = { Accept: 'text/event-stream', ...(lastId && { 'Last-Event-ID': lastId }) };
    let watch;
    const heard = () => {
      clearTimeout(watch);
      watch = setTimeout(() => own.abort(new Error('silence')), silence);
    };
    try {
      const response = await ask('/v1/stream', { token: this.#token, headers, signal });
      this.link = 'live';
      this.#refresh(signal);
      const parser = new Parser((e) => this.#take(e));
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (heard(); ; heard()) {
        const { done, value } = await reader.read();
        if (done) return;
        parser.push(value);
        if (parser.lastId !== '') onId(parser.lastId);
      }
    } finally {
      clearTimeout(watch);
      own.abort();
    }
  }

  /** #take looks at one event of the stream. What is malformed is skipped: the next one may not be. */
  #take({ type, data }) {
    let value;
    try {
      value = JSON.parse(data);
    } catch {
      return;
    }
    if (type === 'sample') this.#show(sample(value));
    if (type === 'event') this.events = mergeEvents(this.events, [event(value)]);
  }

  #show(s) {
    if (s === null) return;
    this.sample = s;
    this.heardAt = Date.now();
    this.outcomes.add(s.at, s.handshakes.connections);
    this.history.append(s);
    this.historyVersion++;
  }

  /** #refresh gets what the stream does not tell, for as long as it lasts. */
  #refresh(signal) {
    if (signal.aborted) return; // logged out meanwhile: nothing would end the timers
    const get = async (path, take, failed) => {
      try {
        const answer = await askJSON(path, { token: this.#token, signal });
        if (!signal.aborted) take(answer);
      } catch (error) {
        if (!signal.aborted) failed?.(error);
      }
    };
    const history = (seconds) => get(`/v1/history?seconds=${seconds}`, (x) => {
      this.history.load(x);
      this.historyVersion++;
    });
    const visitors = () => this.me.may('networks') && get('/v1/networks?limit=20', (x) => {
      this.networks = networks(x);
      this.networksProblem = '';
    }, (error) => {
      this.networksProblem = error instanceof Refused ? error.message : '';
    });
    history(daySeconds);
    get('/v1/events?limit=100', (x) => {
      this.events = mergeEvents(this.events, events(x));
    });
    visitors();
    get('/v1/', (x) => {
      this.desk.open(x);
    });
    const timers = [setInterval(visitors, networksEvery), setInterval(() => history(6 * this.history.step), historyEvery),
      setInterval(() => document.hidden || this.desk.look(), changesEvery)];
    signal.addEventListener('abort', () => timers.forEach(clearInterval));
  }
}

export const live = new Live();
