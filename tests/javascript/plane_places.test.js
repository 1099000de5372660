import assert from "node:assert/strict";
import test from "node:test";
import { cornersOf, isLasso, nearestPlace, shareOn, written } from "../../pages/shared/components/plane_places.js";

test("a value lies in proportion on an axis, by powers on a logarithmic one", () => {
  assert.equal(shareOn({ low: 2, high: 6, log: false }, 3), 0.25);
  assert.ok(Math.abs(shareOn({ low: 0.01, high: 1, log: true }, 0.1) - 0.5) < 1e-12);
});

test("the nearest place is found within reach alone", () => {
  const places = [
    [10, 10],
    [20, 10],
    [21, 10],
  ];
  assert.equal(nearestPlace(places, [20.6, 10], 5), 2);
  assert.equal(nearestPlace(places, [12, 11], 5), 0);
  assert.equal(nearestPlace(places, [40, 40], 5), -1);
});

test("an outline keeps its first corner and no more corners than asked for", () => {
  const outline = Array.from({ length: 200 }, (_, n) => [n, n * n]);
  const corners = cornersOf(outline, 40);
  assert.equal(corners.length, 40);
  assert.deepEqual(corners[0], [0, 0]);
  assert.ok(corners.at(-1)[0] >= 190);
  assert.equal(cornersOf(outline.slice(0, 5), 40).length, 5);
});

test("a corner is written with three digits and never outside of the plane", () => {
  assert.deepEqual([0.12345, -0.2, 1.7].map(written), [0.123, 0, 1]);
});

test("a press that trembles is no lasso, a stroke is", () => {
  const tremble = [
    [5, 5],
    [6, 5],
    [6, 6],
    [5, 6],
    [5, 5],
  ];
  assert.ok(!isLasso(tremble, 8));
  assert.ok(isLasso([...tremble, [30, 40]], 8));
});
