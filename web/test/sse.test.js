import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Parser, maxEvent } from '../src/lib/sse.js';

function parse(...pieces) {
  const events = [];
  const parser = new Parser((e) => events.push(e));
  for (const piece of pieces) parser.push(piece);
  return events;
}

const stream = '\ufeffretry: 3000\r\n\r\nid: 7\nevent: sample\ndata: {"a":\ndata: 1}\n\n: still here\n\rdata:x\r\rid\ndata\n\nevent: none\n\ndata: last, never ended';
const want = [
  { type: 'sample', data: '{"a":\n1}', id: '7' },
  { type: 'message', data: 'x', id: '7' },
  { type: 'message', data: '', id: '' },
];

test('a stream is what it says', () => assert.deepEqual(parse(stream), want));

test('however a stream is cut, it says the same', () => {
  assert.deepEqual(parse(...stream), want);
  for (let i = 0; i <= stream.length; i++) {
    for (let j = i; j <= stream.length; j += 3) assert.deepEqual(parse(stream.slice(0, i), stream.slice(i, j), stream.slice(j)), want);
  }
});

test('a return and a newline in two pieces are one end of a line', () => {
  assert.deepEqual(parse('data: a\r', '\ndata: b\r', '\n\r', '\n'), [{ type: 'message', data: 'a\nb', id: '' }]);
});

test('an id with a zero is none', () => assert.equal(parse('id: 5\n\nid: 6\0\ndata: x\n\n')[0].id, '5'));

test('memory is bounded', () => {
  assert.throws(() => parse('data: ' + 'x'.repeat(maxEvent + 1)), /too long/);
  assert.throws(() => parse('data: ' + 'x'.repeat(maxEvent / 2) + '\n', 'data: ' + 'x'.repeat(maxEvent / 2) + '\n'), /too long/);
  assert.throws(() => {
    const parser = new Parser(() => {});
    for (let i = 0; i < 9; i++) parser.push('x'.repeat(maxEvent / 8));
  }, /too long/);
});
