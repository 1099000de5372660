import assert from "node:assert/strict";
import { test } from "node:test";
import { columnsOf, sparkline } from "../../pages/shared/components/sparkline.js";

test("the highest score is at the top, and the threshold on the same scale", () => {
  assert.deepEqual(sparkline([1, 3, 2], 5), { line: "M0 100L50 50L100 75", limit: "M0 0H100" });
});

test("a clip without a score is a gap", () => {
  assert.equal(sparkline([1, null, 2, 3], null).line, "M0 100M66.67 50L100 0");
  assert.equal(sparkline([1, 2], null).limit, "");
});

test("fewer than two scores draw nothing, and equal ones a line in the middle", () => {
  assert.deepEqual(sparkline([1, null], 2), { line: "", limit: "" });
  assert.deepEqual(sparkline([], null), { line: "", limit: "" });
  assert.equal(sparkline([2, 2], 2).line, "M0 50L100 50");
});

test("tiles fill a wide wall, and stand below each other on a tall one", () => {
  assert.deepEqual(
    [1, 2, 3, 4, 5, 6, 7, 8].map((n) => columnsOf(n, 1920, 1080)),
    [1, 2, 2, 2, 3, 3, 4, 4],
  );
  assert.deepEqual(
    [1, 6, 8].map((n) => columnsOf(n, 400, 900)),
    [1, 1, 2],
  );
});
