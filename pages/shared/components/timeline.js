// The arithmetic of a clip's time axis: seconds and shares of its width, its samples, and lines over it.

import { short } from "./numbers.js";

const STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600];
const TICK_GAP_PX = 13; // the height of a tick's text

export const within = (x, low, high) => Math.max(low, Math.min(x, high));

// Where a pointer is along a box, from 0 to 1.
export const shareAlong = (box, clientX) => within((clientX - box.left) / box.width, 0, 1);

// The last moment is left out: there the sound has ended, and "play" would begin anew.
export const seekable = (seconds, duration) => Math.max(0, Math.min(seconds, duration - 0.001));

// Where a key moves the playhead, in seconds; undefined for keys that do not.
export function secondsByKey(key, now, duration) {
  switch (key) {
    case "ArrowLeft":
      return now - 0.5;
    case "ArrowRight":
      return now + 0.5;
    case "Home":
      return 0;
    case "End":
      return duration;
    default:
      return undefined;
  }
}

// Seconds of the axis's ticks, at most 13 of them.
export function tickSeconds(duration) {
  const step = STEPS_S.find((s) => duration / s <= 12) || duration / 10;
  return Array.from({ length: Math.floor(duration / step + 1e-6) + 1 }, (_, i) => i * step);
}

// Those of the ticks [share of the height, text] that leave room for one another, from the bottom.
export function spacedTicks(ticks, heightPx) {
  let last = -Infinity;
  return ticks
    .toSorted((a, b) => a[0] - b[0])
    .filter(([at]) => {
      const fits = at * heightPx - last >= TICK_GAP_PX;
      if (fits) last = at * heightPx;
      return fits;
    });
}

// 16-bit samples of a RIFF file; none if it holds anything else.
export function samplesOf(bytes) {
  const view = new DataView(bytes.buffer);
  for (let at = 12, bits = 0; at + 8 <= bytes.length; ) {
    const name = String.fromCharCode(...bytes.subarray(at, at + 4));
    const size = view.getUint32(at + 4, true);
    if (name === "fmt ") bits = view.getUint16(at + 22, true);
    if (name === "data") return new Int16Array(bytes.buffer.slice(at + 8, at + 8 + (bits === 16 ? size & ~1 : 0)));
    at += 8 + size + (size & 1);
  }
  return new Int16Array(0);
}

function extremes(samples, from, to) {
  let [low, high] = [32767, -32768];
  for (let i = from; i < to; i += 1) {
    if (samples[i] < low) low = samples[i];
    if (samples[i] > high) high = samples[i];
  }
  return [low / 32768, high / 32768];
}

// Lowest and highest sample of each column, full scale being 1.
export function envelope(samples, columns) {
  const start = (column) => Math.floor((column * samples.length) / columns);
  const pairs = Array.from({ length: columns }, (_, column) => extremes(samples, start(column), start(column + 1)));
  return [pairs.map(([low]) => low), pairs.map(([, high]) => high)];
}

// Path around an envelope, one unit a column; `top` is drawn at 0 and -`top` at 2.
export function outlinePath(lows, highs, top) {
  const point = (y, x) => `${x} ${(1 - y / top).toFixed(3)}`;
  return `M${[...highs.map(point), ...lows.map(point).reverse()].join("L")}Z`;
}

// Lowest and highest of what a trace must show, its threshold included; [0, 0] where nothing is known.
export function extent(values, threshold) {
  const known = values.filter((value) => value !== null).concat(threshold ?? []);
  return known.length ? [Math.min(...known), Math.max(...known)] : [0, 0];
}

// The function from a value to its share of the height, with a little room below and above.
export function heightScale([least, most]) {
  const pad = 0.08 * (most - least) || 1;
  const [low, high] = [least - pad, most + pad];
  return (value) => (value - low) / (high - low);
}

export function traceTicks([least, most], share) {
  if (least === most) return [[0.5, short(least)]];
  return [least, most].map((value) => [share(value), short(value)]);
}

// Path of a line over time in a box of height 1; a null breaks it.
export function tracePath(times, values, share) {
  let pen = "M";
  const pieces = values.map((value, i) => {
    const piece = value === null ? "" : `${pen}${times[i]} ${(1 - share(value)).toFixed(4)}`;
    pen = value === null ? "M" : "L";
    return piece;
  });
  return pieces.join("");
}

// What is drawn of a trace: a clip as short as one window has one value, which would be a point that nobody sees.
export function drawnTrace(times, values, duration) {
  return times.length === 1
    ? [
        [0, duration],
        [values[0], values[0]],
      ]
    : [times, values];
}

// Which of the times is nearest; -1 where there is none, the first of equally near ones.
export function nearestTime(times, seconds) {
  let [nearest, gap] = [-1, Infinity];
  for (const [i, time] of times.entries()) {
    if (Math.abs(time - seconds) < gap) [nearest, gap] = [i, Math.abs(time - seconds)];
  }
  return nearest;
}
