// The chart of offset and error bound, drawn by uPlot on a canvas, which knows no style sheet: colours are given to it here.

import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { clock, day, seconds } from './format.js';

const colours = {
  light: { text: '#55616e', grid: '#e7ebef', offset: '#0b6472', band: 'rgba(11, 100, 114, 0.12)', edge: 'rgba(11, 100, 114, 0.45)' },
  dark: { text: '#9aa7b5', grid: '#232d37', offset: '#62c4d2', band: 'rgba(98, 196, 210, 0.14)', edge: 'rgba(98, 196, 210, 0.45)' },
};

const height = 260;

/** timeTick is a time of day, at midnight the date. */
function timeTick(t) {
  const d = new Date(t * 1000);
  return d.getHours() === 0 && d.getMinutes() === 0 && d.getSeconds() === 0 ? day(t * 1000).slice(5) : clock(t * 1000, { withSeconds: d.getSeconds() !== 0 });
}

/** tick is a span without needless digits: "+2 ms". */
function tick(v) {
  return v === 0 ? '0' : seconds(v, { signed: true }).replace(/(\.\d*?)0+ /, '$1 ').replace('. ', ' ');
}

/** yRange lets the chart show the offset alone, in which the bound may be far outside; else everything. */
function yRange(chart, offsetOnly) {
  const [, offset, upper] = chart.data;
  let most = 0;
  for (let i = 0; i < offset.length; i++) {
    most = Math.max(most, Math.abs(offset[i] ?? 0), offsetOnly ? 0 : (upper[i] ?? 0));
  }
  most = most === 0 ? 1e-6 : most * 1.12;
  return [-most, most];
}

/** newPlot draws columns into a place; onPoint is told the index under the cursor, or null. */
export function newPlot(place, columns, { dark, offsetOnly, onPoint }) {
  const c = dark ? colours.dark : colours.light;
  const axis = { stroke: c.text, grid: { stroke: c.grid, width: 1 }, ticks: { stroke: c.grid, width: 1, size: 5 }, font: '12px system-ui, sans-serif' };
  const edge = { stroke: c.edge, width: 1, points: { show: false } };
  return new uPlot({
    width: Math.max(place.clientWidth, 200),
    height,
    legend: { show: false },
    padding: [10, 26, 0, 0], // on the right half a time of day, which is centred below its tick
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
    scales: { x: { time: true }, y: { range: (chart) => yRange(chart, offsetOnly) } },
    axes: [
      { ...axis, space: 70, size: 32, values: (_, splits) => splits.map(timeTick) },
      { ...axis, size: 74, values: (_, splits) => splits.map(tick) },
    ],
    series: [{}, { stroke: c.offset, width: 1.75, points: { show: false } }, edge, edge],
    bands: [{ series: [2, 3], fill: c.band }],
    hooks: { setCursor: [(chart) => onPoint(chart.cursor.left >= 0 ? (chart.cursor.idx ?? null) : null)] },
  }, columns, place);
}
