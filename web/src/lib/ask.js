// Requests to the daemon that sent the page, and to nobody else.

/** Refused is an answer that is not what was asked for. */
export class Refused extends Error {
  constructor(status, detail, retryAfter) {
    super(detail);
    this.status = status;
    this.retryAfter = retryAfter; // seconds, or null
  }
}

const patience = 15_000; // milliseconds for an answer to begin; a stream may then go on

/**
 * ask fetches a path, with a token if there is one, and returns the response. An answer that is none is a Refused; no answer is
 * whatever fetch says. The connection's certificate counts where no token is shown, so credentials are not omitted.
 */
export async function ask(path, { token, method = 'GET', headers = {}, signal } = {}) {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new Error('no answer')), patience);
  try {
    const response = await fetch(path, {
      method,
      headers: token ? { ...headers, Authorization: `Bearer ${token}` } : headers,
      cache: 'no-store',
      credentials: 'same-origin',
      redirect: 'error',
      referrerPolicy: 'no-referrer',
      signal: signal ? AbortSignal.any([signal, late.signal]) : late.signal,
    });
    if (response.ok) return response;
    const wait = Number(response.headers.get('Retry-After') ?? NaN);
    throw new Refused(response.status, await detail(response), Number.isFinite(wait) && wait >= 0 ? wait : null);
  } finally {
    clearTimeout(timer);
  }
}

/** askJSON is ask for an answer in JSON. */
export async function askJSON(path, options) {
  return (await ask(path, options)).json();
}

/** detail is what the daemon says about a failure (RFC 9457), as text and not too long. */
async function detail(response) {
  try {
    const problem = await response.json();
    if (typeof problem?.detail === 'string') return problem.detail.slice(0, 500);
  } catch {
    // a proxy in between, perhaps
  }
  return `${response.status} ${response.statusText}`.trim();
}
