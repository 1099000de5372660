// The state of the cockpit: thresholds per detector and id, what came before, and what Python says of them.
// A `point` is { hand, thresholds }: which detector is in hand, and for each detector one threshold per id.

const MOST_UNDONE = 100;

export const samePoint = (a, b) => JSON.stringify(a) === JSON.stringify(b);

// The point that Python tells of: `counts` are the ids of each detector; only the first one has thresholds per id.
export function pointTold(counts, { hand, thresholds, per_id: perId }) {
  const own = (each, id) => (each === 0 ? perId?.[id] : null) ?? thresholds[each];
  return {
    hand: Math.min(hand, counts.length - 1),
    thresholds: counts.map((n, each) => Array.from({ length: n }, (_, id) => own(each, id))),
  };
}

export const fresh = (point) => ({ past: [point], at: 0 });

// A move that is not undone so far: what had been undone before it is forgotten.
export function recorded(history, point) {
  if (samePoint(history.past[history.at], point)) return history;
  const past = [...history.past.slice(0, history.at + 1), point].slice(-MOST_UNDONE);
  return { past, at: past.length - 1 };
}

export const undone = ({ past, at }, by) => ({ past, at: Math.max(0, Math.min(past.length - 1, at + by)) });

// Whether Python has not heard yet of the last release: what it says of the point is older than what is shown.
export const isOlder = (awaited, heard) => awaited !== null && awaited !== heard;

// How far a key moves along the curve of `n` steps, rightwards being more alarms; undefined for keys that do not.
export function keyStep(key, n) {
  const page = Math.max(1, Math.round(n / 20));
  const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageUp: page, PageDown: -page };
  return { ...steps, Home: -n, End: n }[key];
}
