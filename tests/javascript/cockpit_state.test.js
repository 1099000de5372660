import assert from "node:assert/strict";
import test from "node:test";
import { fresh, isOlder, keyStep, pointTold, recorded, undone } from "../../pages/shared/components/cockpit_state.js";

const point = (threshold) => ({ hand: 0, thresholds: [[threshold]] });

test("a threshold of 0 is an id's own, and the second detector has one for all", () => {
  const told = { hand: 1, thresholds: [0.5, 0.7], per_id: [0, -1] };
  assert.deepEqual(pointTold([2, 3], told), {
    hand: 1,
    thresholds: [
      [0, -1],
      [0.7, 0.7, 0.7],
    ],
  });
  assert.deepEqual(pointTold([2], { ...told, per_id: null }), { hand: 0, thresholds: [[0.5, 0.5]] });
});

test("a move can be undone and redone, and a new one forgets what was undone", () => {
  let history = recorded(recorded(fresh(point(1)), point(2)), point(3));
  history = undone(history, -1);
  assert.deepEqual(history.past[history.at], point(2));
  assert.deepEqual(undone(history, 1).past[undone(history, 1).at], point(3));
  history = recorded(history, point(9));
  assert.deepEqual(undone(history, 1).at, history.at);
  assert.deepEqual(undone(history, -5).past[0], point(1));
  assert.equal(undone(history, -5).at, 0);
});

test("a move to where one is changes nothing", () => {
  const history = recorded(fresh(point(1)), point(1));
  assert.equal(history.past.length, 1);
});

test("what Python says is older until it has heard of the last release", () => {
  assert.equal(isOlder(null, null), false);
  assert.equal(isOlder(null, "a"), false);
  assert.equal(isOlder("b", "a"), true);
  assert.equal(isOlder("b", null), true);
  assert.equal(isOlder("b", "b"), false);
});

test("arrows move by one step, pages by a twentieth, Home and End to the ends", () => {
  assert.deepEqual(
    ["ArrowLeft", "ArrowUp", "PageUp", "PageDown", "Home", "End", "a"].map((key) => keyStep(key, 100)),
    [-1, 1, 5, -5, -100, 100, undefined],
  );
  assert.equal(keyStep("PageUp", 3), 1);
});
