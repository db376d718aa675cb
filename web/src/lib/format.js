// Numbers as people read them: with unit, sign and three digits. What is not known is unknown.

export const unknown = '–';

const minus = '−';
const units = [
  [1, 's'],
  [1e-3, 'ms'],
  [1e-6, 'µs'],
  [1e-9, 'ns'],
];

/** number is x if it is one, else null: JSON has null for what is not known. */
export function number(x) {
  return typeof x === 'number' && Number.isFinite(x) ? x : null;
}

function digits(x) {
  const a = Math.abs(x);
  return a >= 100 ? 0 : a >= 10 ? 1 : 2;
}

/** seconds is a span such as "12.3 µs"; signed, it begins with + or −. */
export function seconds(x, { signed = false } = {}) {
  if (number(x) === null) return unknown;
  const sign = x < 0 ? minus : signed && x > 0 ? '+' : '';
  const a = Math.abs(x);
  if (a < 5e-13) return '0 s';
  if (a >= 999.5) return sign + grouped(Math.round(a)) + ' s';
  // 999.7 µs is 1.00 ms when it is rounded: the unit is chosen by what will be shown.
  const [scale, unit] = units.find(([scale]) => Number((a / scale).toPrecision(3)) >= 1) ?? units.at(-1);
  const value = Number((a / scale).toPrecision(3));
  return sign + value.toFixed(digits(value)) + ' ' + unit;
}

/** bound is an error bound such as "±1.20 ms". */
export function bound(x) {
  return number(x) === null ? unknown : '±' + seconds(Math.abs(x));
}

/** span is a longer time in its two largest units, "3 d 4 h". */
export function span(x) {
  if (number(x) === null) return unknown;
  const sign = x < 0 ? minus : '';
  const s = Math.round(Math.abs(x));
  if (s < 60) return `${sign}${s} s`;
  const parts = [
    [Math.floor(s / 86400), 'd'],
    [Math.floor((s % 86400) / 3600), 'h'],
    [Math.floor((s % 3600) / 60), 'min'],
    [s % 60, 's'],
  ];
  const first = parts.findIndex(([n]) => n > 0);
  const shown = parts.slice(first, first + 2).filter(([n]) => n > 0);
  return sign + shown.map(([n, unit]) => `${n} ${unit}`).join(' ');
}

/** period is how often something is done: "64 s", as it is configured, rather than "1 min 4 s". */
export function period(x) {
  if (number(x) === null) return unknown;
  if (x >= 7200) return span(x);
  return `${x < 10 ? Number(x.toPrecision(2)) : Math.round(x)} s`;
}

/** ago is how long before now a time was, or "in ..." how long after; both in milliseconds. */
export function ago(at, now) {
  if (number(at) === null || number(now) === null) return unknown;
  const s = Math.round((now - at) / 1000);
  if (Math.abs(s) < 1) return 'now';
  return s > 0 ? `${span(s)} ago` : `in ${span(-s)}`;
}

function grouped(n) {
  return String(n).replace(/\B(?=(\d{3})+$)/g, '\u202f'); // a narrow space that does not break
}

/** count is a whole number, grouped by thousands. */
export function count(n) {
  return number(n) === null ? unknown : (n < 0 ? minus : '') + grouped(Math.round(Math.abs(n)));
}

/** short is a count of at most five characters. */
export function short(n) {
  if (number(n) === null) return unknown;
  for (const [scale, unit] of [[1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e3, 'k']]) {
    if (n >= scale * 10 || (n >= scale && scale > 1e3)) return Number((n / scale).toPrecision(3)) + '\u202f' + unit;
  }
  return grouped(Math.round(n));
}

/** rate is how often a second. */
export function rate(x) {
  if (number(x) === null) return unknown;
  if (x === 0) return '0/s';
  if (x < 0.01) return '<0.01/s';
  return (x >= 100 ? grouped(Math.round(x)) : String(Number(x.toPrecision(2)))) + '/s';
}

/** percent of a share between 0 and 1. What is there is not rounded away. */
export function percent(x) {
  if (number(x) === null) return unknown;
  if (x > 0 && x < 0.001) return '<0.1 %';
  if (x < 1 && x > 0.999) return '>99.9 %';
  const p = x * 100;
  return `${p === 0 || p >= 99.95 || (p >= 10 && p < 99) ? Math.round(p) : p.toFixed(1)} %`;
}

/** ppm is a frequency, signed. */
export function ppm(x) {
  if (number(x) === null) return unknown;
  const sign = x < 0 ? minus : x > 0 ? '+' : '';
  return `${sign}${Math.abs(x).toFixed(3)} ppm`;
}

const two = (n) => String(n).padStart(2, '0');

/** clock is the time of day of milliseconds since 1970, in the browser's time zone. */
export function clock(ms, { withSeconds = true } = {}) {
  if (number(ms) === null) return unknown;
  const d = new Date(ms);
  return `${two(d.getHours())}:${two(d.getMinutes())}${withSeconds ? ':' + two(d.getSeconds()) : ''}`;
}

/** day is the date of milliseconds since 1970. */
export function day(ms) {
  if (number(ms) === null) return unknown;
  const d = new Date(ms);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
}

/** moment is date and time. */
export function moment(ms) {
  return number(ms) === null ? unknown : `${day(ms)} ${clock(ms, { withSeconds: false })}`;
}

/** words makes text of a name of ours: hello_timeout is "hello timeout". */
export function words(name) {
  return String(name).replaceAll('_', ' ');
}

/** reach is the last eight polls, the oldest first. */
export function reach(bits) {
  return Array.from({ length: 8 }, (_, i) => ((bits >> (7 - i)) & 1) === 1);
}
