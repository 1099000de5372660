import assert from "node:assert/strict";
import test from "node:test";
import { fresh, isOvertaken, keyStep, recorded, undone } from "../../pages/shared/components/cockpit_state.js";

const point = (threshold) => ({ hand: 0, thresholds: [[threshold]] });

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

test("an echo of a release is passed over once a later one is on its way", () => {
  const sent = [
    [point(1), 1000],
    [point(2), 1500],
  ];
  assert.equal(isOvertaken(sent, point(1), 1800), true);
  assert.equal(isOvertaken(sent, point(2), 1800), false);
  assert.equal(isOvertaken(sent, point(3), 1800), false);
  assert.equal(isOvertaken(sent, point(1), 6000), false);
});

test("arrows move by one step, pages by a twentieth, Home and End to the ends", () => {
  assert.deepEqual(
    ["ArrowLeft", "ArrowUp", "PageUp", "PageDown", "Home", "End", "a"].map((key) => keyStep(key, 100)),
    [-1, 1, 5, -5, -100, 100, undefined],
  );
  assert.equal(keyStep("PageUp", 3), 1);
});
