import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as f from '../src/lib/format.js';

function table(what, format, rows) {
  test(what, () => {
    for (const [args, want] of rows) assert.equal(format(...[].concat(args)), want, `${what} of ${JSON.stringify(args)}`);
  });
}

const signed = (x) => f.seconds(x, { signed: true });

table('seconds', f.seconds, [
  [0, '0 s'], [1, '1.00 s'], [-1.5, '−1.50 s'], [0.0123, '12.3 ms'], [1.234e-6, '1.23 µs'], [9.999e-4, '1.00 ms'], [9.994e-4, '999 µs'],
  [0.9996, '1.00 s'], [3e-9, '3.00 ns'], [4e-10, '0.40 ns'], [1e-13, '0 s'], [123.4, '123 s'], [12345, '12\u202f345 s'],
  [null, '–'], [undefined, '–'], [NaN, '–'], [Infinity, '–'], ['1', '–'],
]);
table('signed seconds', signed, [[0, '0 s'], [1e-3, '+1.00 ms'], [-1e-3, '−1.00 ms'], [null, '–']]);
table('bound', f.bound, [[0.0012, '±1.20 ms'], [null, '–']]);
table('span', f.span, [
  [0, '0 s'], [59.4, '59 s'], [59.6, '1 min'], [61, '1 min 1 s'], [3600, '1 h'], [86400 * 3 + 3600 * 4 + 60, '3 d 4 h'], [-90, '−1 min 30 s'], [null, '–'],
]);
table('ago', f.ago, [[[0, 0], 'now'], [[0, 60000], '1 min ago'], [[7200000, 0], 'in 2 h'], [[null, 0], '–']]);
table('count', f.count, [[0, '0'], [999, '999'], [1234567, '1\u202f234\u202f567'], [null, '–']]);
table('short', f.short, [[999, '999'], [9999, '9\u202f999'], [12345, '12.3\u202fk'], [1500000, '1.5\u202fM'], [2.5e9, '2.5\u202fG'], [null, '–']]);
table('rate', f.rate, [[0, '0/s'], [0.004, '<0.01/s'], [0.0333, '0.033/s'], [12.34, '12/s'], [1234.5, '1\u202f235/s'], [null, '–']]);
table('percent', f.percent, [[0, '0 %'], [1, '100 %'], [0.5, '50 %'], [0.0123, '1.2 %'], [0.0001, '<0.1 %'], [0.9999, '>99.9 %'], [0.995, '99.5 %'], [null, '–']]);
table('ppm', f.ppm, [[1.23456, '+1.235 ppm'], [-0.5, '−0.500 ppm'], [0, '0.000 ppm'], [null, '–']]);

test('reach has the oldest poll first', () => {
  assert.deepEqual(f.reach(0b10000001), [true, false, false, false, false, false, false, true]);
  assert.deepEqual(f.reach(0), new Array(8).fill(false));
});

test('three digits, whatever the size', () => {
  for (let e = -9; e < 2.999; e += 0.01) {
    const shown = f.seconds(10 ** e);
    const [value, unit] = shown.split(' ');
    const back = Number(value) * { s: 1, ms: 1e-3, 'µs': 1e-6, ns: 1e-9 }[unit];
    assert.ok(Math.abs(back / 10 ** e - 1) < 0.0051, `${10 ** e} is shown as ${shown}`);
    assert.ok(value.replace('.', '').length === 3, shown);
  }
});

table('period', f.period, [[64, '64 s'], [1024, '1024 s'], [0.4, '0.4 s'], [0.5, '0.5 s'], [36000, '10 h'], [null, '–']]);
