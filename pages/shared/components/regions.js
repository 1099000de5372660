// The arithmetic of regions: a stretch of time and a band, drawn as a rectangle on a picture of bands.

import { within } from "./timeline.js";

const MIN_SECONDS = 0.05;
const AROUND_SECONDS = 0.5; // to each side of a spot that was double-clicked
const AROUND_RATIO = 1.5;

const rounded = (seconds) => Math.round(seconds * 100) / 100;

// Where a share of a picture's height lies in Hz, given the edges of its bands from the bottom; null without bands.
export function hzAt(edges, height) {
  if (!edges || edges.length < 2) return null;
  const at = within(height, 0, 1) * (edges.length - 1);
  const below = Math.min(Math.floor(at), edges.length - 2);
  return edges[below] + (at - below) * (edges[below + 1] - edges[below]);
}

// The inverse of hzAt.
export function heightAt(edges, hz) {
  if (!edges || edges.length < 2) return null;
  const above = edges.findIndex((edge) => edge >= hz);
  if (above === 0) return 0;
  if (above < 0) return 1;
  const share = (hz - edges[above - 1]) / (edges[above] - edges[above - 1]);
  return (above - 1 + share) / (edges.length - 1);
}

const nearestEdge = (edges, height) => Math.round(within(height, 0, 1) * (edges.length - 1));

// Both edges of the bands between two heights, one band at least; all of them where a picture has no bands.
export function bandBetween(edges, one, other, top) {
  if (!edges || edges.length < 2) return [0, top];
  const [low, high] = [nearestEdge(edges, Math.min(one, other)), nearestEdge(edges, Math.max(one, other))];
  if (low < high) return [edges[low], edges[high]];
  const first = Math.min(low, edges.length - 2);
  return [edges[first], edges[first + 1]];
}

// The stretch between two moments inside the clip, in hundredths of a second and never empty.
export function stretchBetween(one, other, duration) {
  const from = within(rounded(Math.min(one, other)), 0, Math.max(0, duration - MIN_SECONDS));
  const to = within(rounded(Math.max(one, other)), from + MIN_SECONDS, duration);
  return [rounded(from), Math.min(rounded(to), duration)];
}

// The region between two corners {seconds, height} of a picture.
export function regionBetween(one, other, { edges, duration, top }) {
  const [from, to] = stretchBetween(one.seconds, other.seconds, duration);
  const [low, high] = bandBetween(edges, one.height, other.height, top);
  return { from, to, low, high };
}

// The region around one spot of a picture.
export function regionAround({ seconds, height }, { edges, duration, top }) {
  const [from, to] = stretchBetween(seconds - AROUND_SECONDS, seconds + AROUND_SECONDS, duration);
  const hz = hzAt(edges, height);
  if (hz === null) return { from, to, low: 0, high: top };
  const [below, above] = [heightAt(edges, hz / AROUND_RATIO), heightAt(edges, hz * AROUND_RATIO)];
  const [low, high] = bandBetween(edges, below, above, top);
  return { from, to, low, high };
}

const near = (a, b, reach) => Math.abs(a - b) <= reach;

// Which part of a rectangle's outline a pointer takes: a side, "inside", or null beside it.
export function partUnder({ left, right, top, bottom }, x, y, reach) {
  if (x < left - reach || x > right + reach || y < top - reach || y > bottom + reach) return null;
  const sides = [
    ["left", near(x, left, reach)],
    ["right", near(x, right, reach)],
    ["top", near(y, top, reach)],
    ["bottom", near(y, bottom, reach)],
  ];
  return sides.find(([, isNear]) => isNear)?.[0] ?? "inside";
}

// The region after a part of it was dragged from one spot {seconds, height} to another.
export function dragged(region, part, from, to, { edges, duration, top }) {
  const low = heightAt(edges, region.low) ?? 0;
  const high = heightAt(edges, region.high) ?? 1;
  if (part === "inside") return movedBy(region, to.seconds - from.seconds, duration);
  const corners = {
    left: [to.seconds, region.to, low, high],
    right: [region.from, to.seconds, low, high],
    top: [region.from, region.to, low, to.height],
    bottom: [region.from, region.to, to.height, high],
  };
  const [one, other, below, above] = corners[part];
  return regionBetween({ seconds: one, height: below }, { seconds: other, height: above }, { edges, duration, top });
}

function movedBy(region, seconds, duration) {
  const length = region.to - region.from;
  const from = within(rounded(region.from + seconds), 0, duration - length);
  return { ...region, from: rounded(from), to: Math.min(rounded(from + length), duration) };
}

const kilo = (hz) => (hz >= 1000 ? `${(hz / 1000).toFixed(1)} kHz` : `${Math.round(hz)} Hz`);

// "8.90 to 9.60 s, 4.2 kHz to 5.6 kHz"; a region of all bands says so.
export function regionText({ from, to, low, high }, top) {
  const band = low <= 0 && high >= top ? "all frequencies" : `${kilo(low)} to ${kilo(high)}`;
  return `${from.toFixed(2)} to ${to.toFixed(2)} s, ${band}`;
}

export const frequencyText = kilo;

const sameRegion = (a, b) => JSON.stringify(a) === JSON.stringify(b);

// The region to show when Python names one: ours, where that is only the echo of one that was sent and overtaken.
export function followedRegion(own, told, sent) {
  if (told === undefined) return own;
  return sent.some((late) => sameRegion(late, told)) ? own : told;
}
