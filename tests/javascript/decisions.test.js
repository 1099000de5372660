import assert from "node:assert/strict";
import test from "node:test";
import {
  binned,
  cheapestRank,
  costOf,
  countsAtRank,
  drawnRanks,
  flipped,
  hullOf,
  isoCost,
  nearestRank,
  ranking,
  rankOf,
  ratesAt,
  ratesOf,
  realShare,
  shortestBetween,
  steppedRank,
  summed,
  thresholdAtRank,
  wilsonHigh,
} from "../../pages/shared/components/decisions.js";

const SCORES = [0.9, 0.8, 0.8, 0.5, 0.3, 0.2, 0.1];
const FAULTY = [1, 0, 1, 1, 0, 0, 0];
const LIST = ranking(Float64Array.from(SCORES), Uint8Array.from(FAULTY));
const reaching = (threshold, label) => SCORES.filter((s, i) => s >= threshold && FAULTY[i] === label).length;

test("the counts at a threshold are those of the clips that reach it", () => {
  for (const threshold of [2, 0.9, 0.85, 0.8, 0.5, 0.31, 0.1, -1]) {
    const [fp, tp] = [reaching(threshold, 0), reaching(threshold, 1)];
    assert.deepEqual(countsAtRank(LIST, rankOf(LIST, threshold)), { fp, tp, tn: 4 - fp, fn: 3 - tp });
  }
});

test("equal scores fall together: no step lies between them", () => {
  assert.deepEqual(LIST.steps, [0, 1, 3, 4, 5, 6, 7]);
  assert.deepEqual(ratesAt(LIST, 3), [1 / 4, 2 / 3]);
});

test("a threshold of a step calls just that many clips anomalous, in as few digits as that takes", () => {
  for (const rank of LIST.steps) assert.equal(rankOf(LIST, thresholdAtRank(LIST, rank)), rank);
  const close = ranking(Float64Array.from([0.12345678, 0.12345671, -3.5]), new Uint8Array(3));
  for (const rank of close.steps) assert.equal(rankOf(close, thresholdAtRank(close, rank)), rank);
  assert.equal(thresholdAtRank(close, 1), 0.12345678);
  assert.equal(thresholdAtRank(close, 3), -3.5);
});

test("the shortest number of a stretch keeps four digits and stays inside", () => {
  assert.equal(shortestBetween(0.1, 0.123456), 0.1234);
  assert.equal(shortestBetween(0.12345, 0.123456), 0.123456);
  assert.equal(shortestBetween(-2, -1.23456), -1.235);
  assert.equal(shortestBetween(-1, 0), 0);
  assert.equal(shortestBetween(9.9995, 9.99999), 9.9999);
  for (let i = 0; i < 2000; i += 1) {
    const high = (Math.random() - 0.5) * 10 ** (8 * Math.random() - 4);
    const low = high - Math.abs(high) * 10 ** (-12 * Math.random());
    const found = shortestBetween(low, high);
    assert.ok((found > low || low === high) && found <= high, `${low} ${found} ${high}`);
  }
});

test("the nearest point is meant as drawn, however unequal the classes are", () => {
  const scores = Array.from({ length: 1010 }, (_, i) => -i);
  const list = ranking(
    Float64Array.from(scores),
    Uint8Array.from(scores, (_, i) => (i % 101 ? 1 : 0)),
  );
  for (let fpr = -0.1; fpr <= 1.1; fpr += 0.11) {
    for (let tpr = -0.1; tpr <= 1.1; tpr += 0.13) {
      const gap = (rank) => Math.hypot(list.fp[rank] / list.normal - fpr, list.tp[rank] / list.faulty - tpr);
      const found = nearestRank(list, fpr, tpr);
      assert.ok(list.steps.every((rank) => gap(rank) >= gap(found) - 1e-12));
    }
  }
});

test("steps are taken along distinct scores and end at both ends", () => {
  assert.equal(steppedRank(LIST, 1, 1), 3);
  assert.equal(steppedRank(LIST, 3, -1), 1);
  assert.equal(steppedRank(LIST, 3, 99), 7);
  assert.equal(steppedRank(LIST, 3, -99), 0);
});

test("clips flip where two thresholds, each for its id, decide differently", () => {
  const list = { ...LIST, ids: Uint16Array.from([0, 1, 0, 1, 0, 1, 0]) };
  assert.deepEqual(flipped(list, [0.85, 0.85], [0.25, 0.85], 10), { ranks: [2, 4], up: 2, down: 0 });
  assert.deepEqual(flipped(list, [0.25, 0.05], [0.85, 0.4], 2), { ranks: [2, 4], up: 0, down: 3 });
  assert.deepEqual(flipped(list, [0.5, 0.5], [0.5, 0.5], 9), { ranks: [], up: 0, down: 0 });
});

test("counts of several ids add up", () => {
  assert.deepEqual(
    summed([
      { fp: 1, tp: 2, tn: 3, fn: 4 },
      { fp: 10, tp: 20, tn: 30, fn: 40 },
    ]),
    {
      fp: 11,
      tp: 22,
      tn: 33,
      fn: 44,
    },
  );
  assert.deepEqual(ratesOf({ fp: 1, tp: 3, tn: 3, fn: 1 }), [0.25, 0.75]);
  assert.deepEqual(ratesOf({ fp: 1, tp: 0, tn: 3, fn: 0 }), [0.25, 0]);
});

test("each clip is in one bin, or beyond an edge", () => {
  const bins = binned(LIST, [0.15, 0.4, 0.65, 0.9]);
  assert.deepEqual([...bins.normal], [2, 0, 1]);
  assert.deepEqual([...bins.faulty], [0, 1, 2]);
  assert.deepEqual([bins.below, bins.above], [1, 0]);
});

test("one faulty clip in 1,000 makes most alarms false", () => {
  assert.ok(Math.abs(realShare(0.0533, 0.7, 0.001) - 0.01298) < 1e-4);
  assert.equal(realShare(0, 0, 0.5), null);
  assert.equal(realShare(0, 0.5, 0.001), 1);
});

test("the cheapest point follows costs and how rare faults are", () => {
  assert.equal(costOf(0.1, 0.8, { ratio: 10, prior: 0.5 }), 10 * 0.5 * (1 - 0.8) + 0.5 * 0.1);
  assert.equal(cheapestRank(LIST, { ratio: 1, prior: 0.001 }), 1);
  assert.equal(cheapestRank(LIST, { ratio: 1000, prior: 0.5 }), 4);
});

test("the hull bends one way only, and no point lies above it", () => {
  const hull = hullOf(LIST);
  assert.deepEqual(hull[0], [0, 0]);
  assert.deepEqual(hull.at(-1), [1, 1]);
  const slopes = hull.slice(1).map(([x, y], i) => (y - hull[i][1]) / (x - hull[i][0] || 1e-12));
  assert.ok(slopes.every((slope, i) => i === 0 || slope < slopes[i - 1]));
  assert.deepEqual(hull, [
    [0, 0],
    [0, 1 / 3],
    [1 / 4, 1],
    [1, 1],
  ]);
});

test("all of an iso-cost line costs the same, and it ends at the sides of the square", () => {
  const costs = { ratio: 20, prior: 0.02 };
  for (const point of [
    [0.1, 0.7],
    [0.9, 0.1],
    [0.5, 0.99],
    [0, 0],
  ]) {
    for (const [x, y] of isoCost(point, costs)) {
      assert.ok(x >= 0 && x <= 1 && y >= 0 && y <= 1);
      assert.ok(Math.abs(costOf(x, y, costs) - costOf(...point, costs)) < 1e-9);
      assert.ok([x, y, 1 - x, 1 - y].some((gap) => Math.abs(gap) < 1e-9));
    }
  }
});

test("Wilson's interval of none in 150 reaches 2.5 %", () => {
  assert.ok(Math.abs(wilsonHigh(0, 150) - 0.02497) < 1e-4);
});

test("a curve is drawn in no more points than a screen tells apart, and keeps both ends", () => {
  const n = 40_000;
  const scores = Float64Array.from({ length: n }, (_, i) => n - i);
  const list = ranking(
    scores,
    Uint8Array.from({ length: n }, (_, i) => ((i * 7919) % 3 ? 1 : 0)),
  );
  const drawn = drawnRanks(list);
  assert.ok(drawn.length <= 1300 && drawn.length > 500);
  assert.deepEqual([drawn[0], drawn.at(-1)], [0, n]);
});
