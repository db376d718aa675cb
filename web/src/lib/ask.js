// Requests to the daemon that sent the page, and to nobody else.

/** Refused is an answer that is not what was asked for. */
export class Refused extends Error {
  constructor(status, detail, retryAfter, code = '') {
    super(detail);
    this.status = status;
    this.retryAfter = retryAfter; // seconds, or null
    this.code = code; // what the daemon calls it; empty: it is not the daemon that answered
  }
}

const patience = 15_000; // milliseconds for an answer to begin; a stream may then go on

/**
 * ask fetches a path, with a token if there is one, and returns the response. An answer that is none is a Refused; no answer is
 * whatever fetch says. The connection's certificate counts where no token is shown, so credentials are not omitted.
 */
export async function ask(path, { token, method = 'GET', headers = {}, body, signal } = {}) {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new Error('no answer')), patience);
  try {
    const response = await fetch(path, {
      method,
      body,
      headers: token ? { ...headers, Authorization: `Bearer ${token}` } : headers,
      cache: 'no-store',
      credentials: 'same-origin',
      redirect: 'error',
      referrerPolicy: 'no-referrer',
      signal: signal ? AbortSignal.any([signal, late.signal]) : late.signal,
    });
    if (response.ok) return response;
    const wait = Number(response.headers.get('Retry-After') ?? NaN);
    const { detail, code } = await problem(response);
    throw new Refused(response.status, detail, Number.isFinite(wait) && wait >= 0 ? wait : null, code);
  } finally {
    clearTimeout(timer);
  }
}

/** askJSON is ask for an answer in JSON. */
export async function askJSON(path, options) {
  return (await ask(path, options)).json();
}

/** problem is what the daemon says about a failure (RFC 9457), as text and not too long. */
async function problem(response) {
  let body;
  try {
    body = await response.json();
  } catch {
    // a proxy in between, perhaps
  }
  const detail = typeof body?.detail === 'string' ? body.detail.slice(0, 500) : `${response.status} ${response.statusText}`.trim();
  return { detail, code: typeof body?.code === 'string' ? body.code.slice(0, 50) : '' };
}
