// The arithmetic of a zoomed time axis: which stretch {from, to} of a clip is in view.

import { within } from "./timeline.js";

export const LEAST_SECONDS = 0.2;

export const wholeView = (duration) => ({ from: 0, to: duration });
export const isWhole = (view, duration) => view.from <= 0 && view.to >= duration;

export const secondsAt = (view, share) => view.from + share * (view.to - view.from);
export const shareOf = (view, seconds) => (seconds - view.from) / (view.to - view.from);

function placed(from, length, duration) {
  const start = within(from, 0, duration - length);
  return { from: start, to: start + length };
}

// The view made `factor` times longer (below 1: nearer) while the moment at `share` of the width stays there.
export function zoomedView(view, factor, share, duration) {
  const length = within((view.to - view.from) * factor, Math.min(LEAST_SECONDS, duration), duration);
  return placed(secondsAt(view, share) - share * length, length, duration);
}

export const pannedView = (view, seconds, duration) => placed(view.from + seconds, view.to - view.from, duration);

// A region with a quarter of its length to each side.
export function viewOf({ from, to }, duration) {
  const length = within((to - from) * 1.5, Math.min(LEAST_SECONDS, duration), duration);
  return placed((from + to) / 2 - length / 2, length, duration);
}

// The view turned like a page where the playhead has left it.
export function followedView(view, now, duration) {
  if (now >= view.from && now <= view.to) return view;
  return placed(now, view.to - view.from, duration);
}

const STEPS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600];

// Seconds of the ticks in a view, at most 13 of them.
export function ticksIn(view) {
  const length = view.to - view.from;
  const step = STEPS.find((s) => length / s <= 12) ?? length / 10;
  const first = Math.ceil(view.from / step - 1e-6);
  const last = Math.floor(view.to / step + 1e-6);
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}
