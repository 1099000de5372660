import assert from "node:assert/strict";
import test from "node:test";
import {
  closeToTheRight,
  countsAt,
  held,
  isOvertaken,
  linePath,
  nearestPoint,
  placeAt,
  stepOf,
  thresholdText,
  tintOf,
} from "../../pages/shared/components/curve.js";

const CLIPS = [
  { score: 0.9, anomalous: true },
  { score: 0.8, anomalous: false },
  { score: 0.8, anomalous: true },
  { score: 0.5, anomalous: true },
  { score: 0.3, anomalous: false },
  { score: 0.2, anomalous: false },
  { score: 0.1, anomalous: false },
];
const THRESHOLDS = [null, 0.9, 0.8, 0.5, 0.3, 0.2, 0.1];

const reaching = (threshold, anomalous) =>
  CLIPS.filter((clip) => threshold !== null && clip.score >= threshold && clip.anomalous === anomalous).length;

const CURVE = {
  thresholds: THRESHOLDS,
  fp: THRESHOLDS.map((threshold) => reaching(threshold, false)),
  tp: THRESHOLDS.map((threshold) => reaching(threshold, true)),
  normal: 4,
  anomalous: 3,
};

test("the counts at a threshold are those of the clips that reach it", () => {
  for (const [index, threshold] of THRESHOLDS.entries()) {
    const [fp, tp] = [reaching(threshold, false), reaching(threshold, true)];
    assert.deepEqual(countsAt(CURVE, index), { fp, tp, tn: 4 - fp, fn: 3 - tp });
  }
  assert.deepEqual(countsAt(CURVE, 2), { fp: 1, tp: 2, tn: 3, fn: 1 });
});

test("a point lies at its two rates", () => {
  assert.deepEqual(placeAt(CURVE, 2), [1 / 4, 2 / 3]);
  assert.deepEqual(placeAt(CURVE, 6), [1, 1]);
});

test("each point of a curve is the nearest to its own place", () => {
  for (const index of CURVE.fp.keys()) assert.equal(nearestPoint(CURVE, ...placeAt(CURVE, index)), index);
});

test("nearest is meant as drawn, however unequal the classes are", () => {
  const curve = { fp: [0, 0, 1, 10], tp: [0, 900, 950, 1000], normal: 10, anomalous: 1000 };
  for (let fpr = -0.1; fpr <= 1.1; fpr += 0.04) {
    for (let tpr = -0.1; tpr <= 1.1; tpr += 0.04) {
      const gaps = curve.fp.map((_, i) => Math.hypot(curve.fp[i] / 10 - fpr, curve.tp[i] / 1000 - tpr));
      const found = gaps[nearestPoint(curve, fpr, tpr)];
      assert.ok(Math.abs(found - Math.min(...gaps)) < 1e-9, `at ${fpr}, ${tpr}`);
    }
  }
});

test("of points at one place the one with the highest threshold is taken", () => {
  assert.equal(nearestPoint({ fp: [0, 1, 1, 2], tp: [0, 1, 1, 2], normal: 2, anomalous: 2 }, 0.5, 0.5), 1);
});

test("keys move by one point, by a twentieth, or to an end", () => {
  const steps = (points) => (key) => stepOf(key, points);
  const keys = ["ArrowLeft", "ArrowDown", "ArrowRight", "ArrowUp", "PageUp", "PageDown", "Home", "End"];
  assert.deepEqual(keys.map(steps(1102)), [-1, -1, 1, 1, 55, -55, -1101, 1101]);
  assert.equal(stepOf("PageUp", 5), 1);
  assert.deepEqual(["Tab", "a", "toString"].map(steps(1102)), [undefined, undefined, undefined]);
});

test("no move leaves the curve", () => {
  assert.deepEqual(
    [-1, 0, 6, 7].map((index) => held(index, 7)),
    [0, 0, 6, 6],
  );
});

test("a release is overtaken by a later one for three seconds", () => {
  const sent = [
    [5, 1000],
    [7, 1500],
  ];
  assert.equal(isOvertaken(sent, 5, 2000), true);
  assert.equal(isOvertaken(sent, 7, 2000), false);
  assert.equal(isOvertaken(sent, 6, 2000), false);
  assert.equal(isOvertaken(sent, 5, 4000), false);
});

test("of close markers, each has the number of those to its right", () => {
  const places = [
    [0.1, 0.9],
    [0.12, 0.92],
    [0.12, 0.92],
    [0.5, 0.95],
    [0.13, 0.5],
  ];
  assert.deepEqual(
    places.map((_, n) => closeToTheRight(places, n)),
    [2, 1, 0, 0, 0],
  );
});

test("a line goes from the lower left to the upper right", () => {
  assert.equal(linePath([0, 0.25, 1], [0, 0.5, 1]), "M0.0 1000.0L250.0 500.0L1000.0 0.0");
});

test("the threshold above every score is said in words", () => {
  assert.equal(thresholdText(null), "above every score");
  assert.equal(thresholdText(0.0021249), "0.002125");
});

test("an empty cell of the matrix is uncoloured, and one clip already shows whether it is right or wrong", () => {
  assert.equal(tintOf(0, 1000), 0);
  assert.equal(tintOf(1, 1000), 12);
  assert.equal(tintOf(500, 1000), 27);
  assert.equal(tintOf(1000, 1000), 42);
});

// Contrast as WCAG 2 defines it.
const luminance = (rgb) => {
  const [r, g, b] = rgb.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (a, b) => {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
};
const mixed = (colour, ground, percent) => colour.map((c, i) => (c * percent + ground[i] * (100 - percent)) / 100);

test("the text of a cell can be read on blue and on orange in both themes", () => {
  const themes = [
    { text: [49, 51, 63], ground: [255, 255, 255] },
    { text: [250, 250, 250], ground: [14, 17, 23] },
  ];
  for (const { text, ground } of themes) {
    for (const colour of [
      [0, 114, 178],
      [213, 94, 0],
    ]) {
      assert.ok(contrast(text, mixed(colour, ground, tintOf(1, 1))) >= 4.5);
    }
  }
});
