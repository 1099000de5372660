import assert from "node:assert/strict";
import test from "node:test";
import { columnsOf, fitted, placeOn } from "../../pages/shared/components/ranking_layout.js";

test("the columns of a wide picture follow one another and end at its edge", () => {
  for (const [width, n] of [
    [820, 3],
    [820, 6],
    [1500, 7],
  ]) {
    const at = columnsOf(width, n);
    assert.ok(!at.narrow && at.area[1] >= 120);
    assert.ok(at.area[0] + at.area[1] < at.against && at.against + n * at.cell < at.rates[0][0]);
    assert.ok(at.rates[0][0] + at.rates[0][1] < at.rates[1][0]);
    assert.ok(Math.abs(at.rates[1][0] + at.rates[1][1] - width) < 1e-9);
  }
});

test("one detector alone has nobody to be held against and leaves no gap for that", () => {
  const at = columnsOf(820, 1);
  assert.equal(at.rates[0][0], at.area[0] + at.area[1] + 18);
});

test("a narrow picture gives the area all of its width and halves to the rates", () => {
  const at = columnsOf(360, 6);
  assert.ok(at.narrow);
  assert.deepEqual(at.area, [0, 360]);
  assert.equal(at.rates[1][0] + at.rates[1][1], 360);
  assert.ok(at.against + 6 * at.cell <= 360);
});

test("a value lies on its axis in proportion and never beyond its ends", () => {
  assert.equal(placeOn([100, 200], 0.75, 0.5, 1), 200);
  assert.equal(placeOn([100, 200], 0.2, 0.5, 1), 100);
  assert.equal(placeOn([100, 200], 1.1, 0.5, 1), 300);
});

test("a long text ends in an ellipsis, a short one is left as it is", () => {
  assert.equal(fitted("LSTM", 140, 14), "LSTM");
  const cut = fitted("Log-mel statistics + one-class SVM", 140, 12);
  assert.ok(cut.endsWith("\u2026") && cut.length * 0.52 * 12 <= 140);
});
