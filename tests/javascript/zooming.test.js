import assert from "node:assert/strict";
import test from "node:test";
import {
  followedView,
  isWhole,
  LEAST_SECONDS,
  pannedView,
  secondsAt,
  shareOf,
  ticksIn,
  viewOf,
  wholeView,
  zoomedView,
} from "../../pages/shared/components/zooming.js";

test("a place of the width is a moment of the view, and back", () => {
  const view = { from: 2, to: 6 };
  assert.deepEqual(
    [0, 0.25, 1].map((share) => secondsAt(view, share)),
    [2, 3, 6],
  );
  assert.deepEqual(
    [2, 3, 6, 8].map((seconds) => shareOf(view, seconds)),
    [0, 0.25, 1, 1.5],
  );
});

test("what is under the pointer stays there, inside the clip", () => {
  const nearer = zoomedView(wholeView(10), 0.5, 0.3, 10);
  assert.deepEqual(nearer, { from: 1.5, to: 6.5 });
  assert.equal(secondsAt(nearer, 0.3), 3);
  assert.deepEqual(zoomedView(wholeView(10), 0.5, 0, 10), { from: 0, to: 5 });
  assert.ok(isWhole(zoomedView(nearer, 100, 0.5, 10), 10));
});

test("no view is shorter than a fifth of a second, or than a shorter clip", () => {
  const { from, to } = zoomedView(wholeView(10), 1e-9, 0.5, 10);
  assert.ok(Math.abs(to - from - LEAST_SECONDS) < 1e-9);
  assert.deepEqual(zoomedView(wholeView(0.1), 0.5, 0.5, 0.1), { from: 0, to: 0.1 });
});

test("a view is moved as far as the clip goes", () => {
  assert.deepEqual(pannedView({ from: 2, to: 4 }, 3, 10), { from: 5, to: 7 });
  assert.deepEqual(pannedView({ from: 2, to: 4 }, 30, 10), { from: 8, to: 10 });
  assert.deepEqual(pannedView({ from: 2, to: 4 }, -30, 10), { from: 0, to: 2 });
});

test("the view of a region shows a quarter of its length to each side", () => {
  assert.deepEqual(viewOf({ from: 4, to: 6 }, 10), { from: 3.5, to: 6.5 });
  assert.deepEqual(viewOf({ from: 0, to: 2 }, 10), { from: 0, to: 3 });
});

test("the view turns like a page where the playhead leaves it", () => {
  const view = { from: 2, to: 4 };
  assert.equal(followedView(view, 3, 10), view);
  assert.deepEqual(followedView(view, 4.1, 10), { from: 4.1, to: 6.1 });
  assert.deepEqual(followedView(view, 9.5, 10), { from: 8, to: 10 });
  assert.deepEqual(followedView(view, 0, 10), { from: 0, to: 2 });
});

test("a view's ticks lie inside it, at most 13, however near it is", () => {
  assert.deepEqual(ticksIn(wholeView(10)), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  for (let length = 0.2; length < 600; length *= 1.1) {
    const view = { from: 1.234, to: 1.234 + length };
    const ticks = ticksIn(view);
    assert.ok(ticks.length >= 2 && ticks.length <= 13, `${ticks.length} ticks in ${length} s`);
    assert.ok(ticks.every((tick) => tick >= view.from - 1e-5 && tick <= view.to + 1e-5));
  }
});
