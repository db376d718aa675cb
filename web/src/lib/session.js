// Who is logged in, and with what. Tokens are shown in a header only: a URL ends in logs and histories.

import { ask, askJSON, Refused } from './ask.js';
import { identity } from './model.js';

const key = 'ntptsd-session';
const oncePrefix = 'ntptsd1_';
const sessionPrefix = 'ntptsds_';

// The storage of the tab: a reload stays logged in, another tab and a closed one do not.
export const kept = {
  get() {
    try {
      return sessionStorage.getItem(key) ?? '';
    } catch {
      return '';
    }
  },
  set(token) {
    try {
      if (token) sessionStorage.setItem(key, token);
      else sessionStorage.removeItem(key);
    } catch {
      // it lasts as long as the page, then
    }
  },
};

/** takeFragment is the token of the address bar's #token=..., which is removed at once. */
export function takeFragment() {
  const match = /^#token=([\w-]+)$/.exec(location.hash);
  if (location.hash !== '') history.replaceState(null, '', location.pathname + location.search);
  return match ? match[1] : '';
}

/** whoAmI is who we are with this token; with none, who the connection belongs to. Nobody is null. */
export async function whoAmI(token) {
  try {
    const me = identity(await askJSON('/v1/whoami', { token }));
    return me.role === '' || me.role === 'anonymous' ? null : me;
  } catch (error) {
    // Confined to other things, but known: what can be shown decides itself, request by request.
    if (token && error instanceof Refused && error.status === 403) return identity({ name: 'token', role: 'limited' });
    if (error instanceof Refused && (error.status === 401 || error.status === 403)) return null;
    throw error;
  }
}

/** exchange makes a token that lasts of one that was given; what is not for one use lasts as it is. */
export async function exchange(token) {
  if (!token.startsWith(oncePrefix)) return token;
  const session = await askJSON('/v1/session', { method: 'POST', token });
  if (typeof session?.token !== 'string' || session.token === '') throw new Error('ntptsd gave no session');
  return session.token;
}

/** leave ends the session of a token, if it is one's. That nobody answers is no reason to stay. */
export function leave(token) {
  if (token.startsWith(sessionPrefix)) ask('/v1/session', { method: 'DELETE', token }).catch(() => {});
}

/** explain says what a failed log-in means and what to do. */
export function explain(error) {
  if (!(error instanceof Refused)) return 'ntptsd does not answer. Is it running, and is its certificate trusted by this browser?';
  switch (error.status) {
    case 401:
      return 'This token does not count: it was mistyped, was used already, has expired or was revoked. Make a new link with “ntptsctl login”.';
    case 403:
      return `This log-in may not do that: ${error.message}.`;
    case 429:
      return `Too many failed log-ins from your network. Try again ${error.retryAfter ? `in ${error.retryAfter} s` : 'later'}.`;
    default:
      return `ntptsd answered: ${error.message}`;
  }
}
