// What the daemon says, made complete: each field is there and has its type, whatever came. JSON may have null where a list or
// a number belongs. Lists are bounded, so that no answer can fill the page.

import { number } from './format.js';

const maxList = 256; // rows of one table
const maxText = 2000; // characters of one text

export const text = (x) => (typeof x === 'string' ? x.slice(0, maxText) : '');
export const flag = (x) => x === true;
export const count = (x) => number(x) ?? 0;
export const object = (x) => (x !== null && typeof x === 'object' && !Array.isArray(x) ? x : {});

/** list is a bounded array of what each object in x becomes. */
export function list(x, each) {
  return Array.isArray(x) ? x.slice(0, maxList).map(each) : [];
}

/** time is milliseconds since 1970. Go's zero time, the year 1, means that there is none. */
export function time(x) {
  const ms = typeof x === 'string' ? Date.parse(x) : NaN;
  return Number.isFinite(ms) && ms > -6e13 ? ms : null;
}

const counts = (x) => list(x, (c) => ({ name: text(object(c).name), count: count(object(c).count) }));

function clock(x) {
  x = object(x);
  return {
    source: text(x.source),
    version: text(x.version),
    synchronised: flag(x.synchronised),
    leap: text(x.leap),
    stratum: count(x.stratum),
    referenceId: text(x.reference_id),
    referenceTime: time(x.reference_time),
    rootDelay: number(x.root_delay_seconds),
    rootDispersion: number(x.root_dispersion_seconds),
    errorBound: flag(x.synchronised) ? number(x.error_bound_seconds) : null,
    offset: number(x.offset_seconds),
    frequency: number(x.frequency_ppm),
    smearing: flag(x.smearing),
    age: number(x.age_seconds),
  };
}

function neighbour(x) {
  x = object(x);
  return { name: text(x.name), via: text(x.via), problem: text(x.problem), age: number(x.age_seconds) };
}

function source(x, i) {
  x = object(x);
  return {
    key: `${i} ${text(x.address)} ${text(x.name)}`,
    name: text(x.name) || text(x.address),
    address: text(x.address),
    kind: text(x.kind),
    selection: text(x.selection),
    stratum: number(x.stratum),
    poll: number(x.poll_seconds),
    reach: count(x.reach) & 255,
    lastRx: number(x.last_rx_seconds),
    offset: number(x.offset_seconds),
    error: number(x.error_seconds),
    delay: number(x.delay_seconds),
    authentication: text(x.authentication),
  };
}

function key(x) {
  x = object(x);
  return {
    id: text(x.id),
    fingerprint: text(x.fingerprint),
    aead: number(x.aead),
    state: text(x.state),
    created: time(x.created),
    mintFrom: time(x.mint_from),
    acceptUntil: time(x.accept_until),
  };
}

function ring(x) {
  x = object(x);
  return {
    name: text(x.name),
    dialect: text(x.dialect),
    owner: text(x.owner),
    keys: list(x.keys, key),
    rotateEvery: number(x.rotate_every_seconds),
    nextRotation: time(x.next_rotation),
    neighbourFile: text(x.neighbour_file),
    problem: text(x.problem),
  };
}

function target(x) {
  x = object(x);
  return {
    id: text(x.id),
    ring: text(x.ring),
    weight: number(x.weight),
    family: text(x.family),
    fit: flag(x.fit),
    draining: flag(x.draining),
    reason: text(x.reason),
    stratum: number(x.stratum),
    rootDistance: number(x.root_distance_seconds),
    offset: number(x.offset_seconds),
    lastProbe: time(x.last_probe),
    served: count(x.served),
  };
}

function certificate(x) {
  x = object(x);
  return {
    file: text(x.file),
    names: list(x.names, text).filter((n) => n !== ''),
    issuer: text(x.issuer),
    fingerprint: text(x.fingerprint),
    notBefore: time(x.not_before),
    notAfter: time(x.not_after),
    daysLeft: number(x.days_left),
    problem: text(x.problem),
  };
}

function handshakes(x) {
  x = object(x);
  return {
    open: count(x.open),
    connections: counts(x.connections),
    failures: counts(x.failures),
    responses: counts(x.responses),
    groups: counts(x.groups),
    cookies: count(x.cookies),
    median: number(x.median_seconds),
    ninetieth: number(x.ninetieth_seconds),
    ninetyNinth: number(x.ninety_ninth_seconds),
  };
}

/** sample is everything that is shown of one moment; null if that is not what came. */
export function sample(x) {
  const at = time(object(x).at);
  if (at === null) return null;
  const status = object(x.status);
  const fit = object(x.fit);
  return {
    at,
    fit: flag(fit.fit),
    reasons: list(fit.reasons, text),
    version: text(status.version),
    startedAt: time(status.started_at),
    clock: clock(status.clock),
    neighbour: neighbour(status.neighbour),
    rings: list(status.rings, ring),
    targets: list(status.targets, target),
    problems: list(status.problems, text),
    sources: list(x.sources, source),
    handshakes: handshakes(x.handshakes),
    cookieAges: counts(object(x.cookies).ages),
    certificates: list(x.certificates, certificate),
  };
}

/** event is one of the journal; null if that is not what came. */
export function event(x) {
  x = object(x);
  const id = number(x.id);
  const at = time(x.at);
  if (id === null || at === null) return null;
  return { id, at, kind: text(x.kind), severity: text(x.severity), text: text(x.text) };
}

export const maxEvents = 200;

/** mergeEvents are the newest of both lists, the newest first, each once. */
export function mergeEvents(have, more) {
  const byId = new Map(have.map((e) => [e.id, e]));
  for (const e of more) if (e !== null) byId.set(e.id, e);
  return [...byId.values()].sort((a, b) => b.id - a.id).slice(0, maxEvents);
}

/** events are those of an answer. */
export function events(x) {
  const all = object(x).events;
  return Array.isArray(all) ? all.slice(-maxEvents).map(event).filter((e) => e !== null) : [];
}

function network(x) {
  x = object(x);
  const requests = count(x.requests);
  const nts = count(x.nts_requests);
  return {
    prefix: text(x.prefix),
    requests,
    ntsShare: requests > 0 ? Math.min(1, nts / requests) : null,
    naks: count(x.naks),
    rateLimited: count(x.rate_limited),
    keyExchanges: count(x.key_exchanges),
    lastSeen: time(x.last_seen),
    interval: number(x.interval_seconds),
    rekeys: flag(x.rekeys_every_poll),
  };
}

/** networks are those that ask most. */
export function networks(x) {
  x = object(x);
  return {
    since: time(x.since),
    requests: count(x.requests),
    keyExchanges: count(x.key_exchanges),
    ntsShare: number(x.nts_share),
    known: number(x.known),
    fresh: number(x.new),
    returning: number(x.returning),
    intervals: counts(x.intervals),
    networks: list(x.networks, network),
  };
}

/** identity is who is logged in. */
export function identity(x) {
  x = object(x);
  const only = list(x.only, text);
  return { name: text(x.name), role: text(x.role), only, until: time(x.until), may: (what) => only.length === 0 || only.includes(what) };
}
