const first = 1000; // milliseconds
const most = 20_000;

/**
 * backOff is how long to wait before the attempt after so many that failed, in milliseconds. It is scattered, so that the pages
 * that a restart threw out do not come back in one moment.
 */
export function backOff(failed, retryAfterSeconds = null, random = Math.random) {
  const wait = Math.min(most, first * 2 ** Math.min(failed, 10));
  return Math.max(wait * (0.75 + random() / 2), (retryAfterSeconds ?? 0) * 1000);
}
