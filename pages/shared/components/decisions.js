// What thresholds decide, as counts. A ranking holds clips by falling score, and how many of each class come first.

// `scores`: falling. `anomalous`: 1 or 0 of each clip. Counts at position r are of the r clips with the highest scores.
export function ranking(scores, anomalous) {
  const n = scores.length;
  const [fp, tp, steps] = [new Uint32Array(n + 1), new Uint32Array(n + 1), [0]];
  for (let i = 0; i < n; i += 1) {
    tp[i + 1] = tp[i] + anomalous[i];
    fp[i + 1] = i + 1 - tp[i + 1];
    if (i === n - 1 || scores[i + 1] < scores[i]) steps.push(i + 1);
  }
  return { scores, anomalous, fp, tp, steps, normal: fp[n], faulty: tp[n] };
}

// How many clips a threshold calls anomalous: those at or above it.
export function rankOf({ scores }, threshold) {
  let [low, high] = [0, scores.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (scores[middle] >= threshold) low = middle + 1;
    else high = middle;
  }
  return low;
}

export function countsAtRank(list, rank) {
  const [fp, tp] = [list.fp[rank], list.tp[rank]];
  return { fp, tp, tn: list.normal - fp, fn: list.faulty - tp };
}

export function summed(all) {
  const sum = { fp: 0, tp: 0, tn: 0, fn: 0 };
  for (const counts of all) for (const name of Object.keys(sum)) sum[name] += counts[name];
  return sum;
}

const over = (k, n) => (n ? k / n : 0);

// [false-alarm rate, detection rate]
export const ratesAt = (list, rank) => [over(list.fp[rank], list.normal), over(list.tp[rank], list.faulty)];

export const ratesOf = ({ fp, tp, tn, fn }) => [over(fp, fp + tn), over(tp, tp + fn)];

// The position whose point on the ROC lies nearest as drawn: both axes are equally long. Of equally near ones the first.
export function nearestRank(list, fpr, tpr) {
  const { fp, tp, steps, normal, faulty } = list;
  const [perNormal, perFaulty] = [1 / (normal || 1), 1 / (faulty || 1)];
  let [best, least] = [0, Infinity];
  for (let i = 0; i < steps.length; i += 1) {
    const rank = steps[i];
    const [right, up] = [fp[rank] * perNormal - fpr, tp[rank] * perFaulty - tpr];
    const gap = right * right + up * up;
    if (gap < least) {
      best = rank;
      least = gap;
    }
  }
  return best;
}

const withDigits = (x, digits) => Number(x.toPrecision(digits));

// The number with the fewest digits, at least four, above `low` and at most `high`.
export function shortestBetween(low, high) {
  for (let digits = 4; digits < 17; digits += 1) {
    const near = withDigits(high, digits);
    const unit = 10 ** (Math.floor(Math.log10(Math.abs(high) || 1)) - digits + 1);
    const found = near > high ? withDigits(near - unit, digits) : near;
    if (found > low && found <= high) return found;
  }
  return high;
}

// A threshold that calls just the first `rank` clips anomalous; `rank` is one of the steps.
export function thresholdAtRank({ scores }, rank) {
  if (rank === 0) return shortestBetween(scores[0], scores[0] + Math.max(Math.abs(scores[0]), 1e-9) / 100);
  return shortestBetween(rank < scores.length ? scores[rank] : -Infinity, scores[rank - 1]);
}

// The number of the step at a position, or of the last one before it.
export function stepAt({ steps }, rank) {
  let [low, high] = [0, steps.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (steps[middle] <= rank) low = middle;
    else high = middle - 1;
  }
  return low;
}

// The step that lies `by` steps from a position.
export function steppedRank(list, rank, by) {
  const at = stepAt(list, rank);
  return list.steps[Math.max(0, Math.min(list.steps.length - 1, at + by))];
}

// Positions of clips that two sets of thresholds, one per id, decide differently: the first `most`, and how many in all.
export function flipped(list, before, after, most) {
  const found = { ranks: [], up: 0, down: 0 };
  const [from, to] = [lowest(before, after), highest(before, after)];
  for (let i = rankOf(list, to), end = rankOf(list, from); i < end; i += 1) {
    const [score, id] = [list.scores[i], list.ids[i]];
    const is = score >= after[id];
    if (is === score >= before[id]) continue;
    found[is ? "up" : "down"] += 1;
    if (found.ranks.length < most) found.ranks.push(i);
  }
  return found;
}

// The ends of what has moved: no clip outside of them can have changed class.
function movedEnds(before, after, pick, none) {
  let end = none;
  for (let id = 0; id < before.length; id += 1) if (before[id] !== after[id]) end = pick(end, before[id], after[id]);
  return end;
}

const lowest = (before, after) => movedEnds(before, after, Math.min, Infinity);
const highest = (before, after) => movedEnds(before, after, Math.max, -Infinity);

// Clips of each class between neighbouring edges, which are evenly spaced, and how many lie beyond the first and last.
export function binned({ scores, anomalous }, edges) {
  const [n, last] = [edges.length - 1, edges.at(-1)];
  const bins = { normal: new Uint32Array(n), faulty: new Uint32Array(n), below: 0, above: 0 };
  const width = (last - edges[0]) / n;
  const add = (score, isFaulty) => {
    if (score < edges[0]) bins.below += 1;
    else if (score > last) bins.above += 1;
    else bins[isFaulty ? "faulty" : "normal"][Math.min(n - 1, Math.floor((score - edges[0]) / width))] += 1;
  };
  for (let i = 0; i < scores.length; i += 1) add(scores[i], anomalous[i]);
  return bins;
}

// Of the clips called anomalous, the share that is, where a share `prior` of all clips is anomalous; null without any.
export function realShare(fpr, tpr, prior) {
  const [real, all] = [prior * tpr, prior * tpr + (1 - prior) * fpr];
  return all > 0 ? real / all : null;
}

// Costs per clip, in false alarms, where a miss costs `ratio` of them.
export const costOf = (fpr, tpr, { ratio, prior }) => ratio * prior * (1 - tpr) + (1 - prior) * fpr;

// The step of least cost; of equal ones the first, which has the fewest alarms.
export function cheapestRank(list, costs) {
  let [best, least] = [0, Infinity];
  for (const rank of list.steps) {
    const cost = costOf(...ratesAt(list, rank), costs);
    if (cost < least) [best, least] = [rank, cost];
  }
  return best;
}

// The points of the ROC that some costs make the cheapest: its upper convex hull, as [false-alarm, detection rate].
export function hullOf(list) {
  const hull = [];
  const turnsUp = ([ax, ay], [bx, by], [cx, cy]) => (bx - ax) * (cy - ay) - (by - ay) * (cx - ax) >= 0;
  for (const rank of list.steps) {
    const point = ratesAt(list, rank);
    while (hull.length > 1 && turnsUp(hull.at(-2), hull.at(-1), point)) hull.pop();
    hull.push(point);
  }
  return hull;
}

// Both ends, inside the unit square, of the line of equal costs through a point.
export function isoCost([x, y], { ratio, prior }) {
  const slope = (1 - prior) / (ratio * prior);
  const at = (side) => y + slope * (side - x);
  const ends = [at(0) >= 0 ? [0, at(0)] : [x - y / slope, 0], at(1) <= 1 ? [1, at(1)] : [x + (1 - y) / slope, 1]];
  return ends.map((end) => end.map((share) => Math.max(0, Math.min(1, share))));
}

// Upper end of Wilson's 95 % interval of k in n.
export function wilsonHigh(k, n) {
  const z = 1.959963984540054;
  const [share, whole] = [k / n, 1 + (z * z) / n];
  return (share + (z * z) / (2 * n) + z * Math.sqrt((share * (1 - share)) / n + (z * z) / (4 * n * n))) / whole;
}

// Positions along the steps that a screen can tell apart: no two on the same 1/600 of either axis.
export function drawnRanks(list) {
  const drawn = [];
  let last = "";
  for (const rank of list.steps) {
    const cell = ratesAt(list, rank)
      .map((share) => Math.round(600 * share))
      .join();
    if (cell !== last || rank === list.steps.at(-1)) drawn.push(rank);
    last = cell;
  }
  return drawn;
}
