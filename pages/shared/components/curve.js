// The arithmetic of a ROC whose points are counts of clips at or above each threshold.
// `curve`: fp and tp (rising), thresholds (falling, null above every score), normal and anomalous (clips of each class).

import { fourDigits } from "./numbers.js";

export function countsAt(curve, index) {
  const [fp, tp] = [curve.fp[index], curve.tp[index]];
  return { fp, tp, tn: curve.normal - fp, fn: curve.anomalous - tp };
}

// [false-alarm rate, detection rate]
export const placeAt = (curve, index) => [curve.fp[index] / curve.normal, curve.tp[index] / curve.anomalous];

export function thresholdText(threshold) {
  return threshold === null ? "above every score" : fourDigits(threshold);
}

// The point that lies nearest as drawn: both axes are equally long. Of equally near ones the first.
export function nearestPoint(curve, fpr, tpr) {
  const [x, y] = [fpr * curve.normal, tpr * curve.anomalous];
  let [best, least] = [0, Infinity];
  for (let i = 0; i < curve.fp.length; i += 1) {
    const gap = ((curve.fp[i] - x) / curve.normal) ** 2 + ((curve.tp[i] - y) / curve.anomalous) ** 2;
    if (gap < least) [best, least] = [i, gap];
  }
  return best;
}

// How far a key moves along the curve's `points`; undefined for keys that do not.
export function stepOf(key, points) {
  const last = points - 1;
  const page = Math.max(1, Math.round(last / 20));
  switch (key) {
    case "ArrowLeft":
    case "ArrowDown":
      return -1;
    case "ArrowRight":
    case "ArrowUp":
      return 1;
    case "PageUp":
      return page;
    case "PageDown":
      return -page;
    case "Home":
      return -last;
    case "End":
      return last;
    default:
      return undefined;
  }
}

export const held = (index, points) => Math.max(0, Math.min(points - 1, index));

// How many close markers lie to the right of the n-th of these places: so far its letter moves out of their way.
export function closeToTheRight(places, n) {
  const [x, y] = places[n];
  const close = ([a, b]) => Math.abs(a - x) < 0.08 && Math.abs(b - y) < 0.08;
  const right = ([a], k) => a > x || (a === x && k > n);
  return places.filter((place, k) => close(place) && right(place, k)).length;
}

// Whether a point from Python only echoes a release of the last 3 s that a later release has overtaken.
// `sent`: [index, time in ms] of the releases, oldest first.
export function isOvertaken(sent, index, nowMs) {
  const late = sent.filter(([, when]) => nowMs - when < 3000).map(([released]) => released);
  return late.includes(index) && late.at(-1) !== index;
}

// How strongly a cell of the confusion matrix is coloured, in percent: more with its share of the class, and never so
// little that right and wrong could not be told apart, nor so much that its text could not be read.
export const tintOf = (k, of) => (k === 0 ? 0 : Math.round(12 + (30 * k) / of));

// Path of a line through rates from 0 to 1 in a box of 1000 by 1000, whose y points down.
export function linePath(xs, ys) {
  const spot = (x, y) => `${(1000 * x).toFixed(1)} ${(1000 - 1000 * y).toFixed(1)}`;
  return `M${xs.map((x, i) => spot(x, ys[i])).join("L")}`;
}
