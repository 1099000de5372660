import assert from "node:assert/strict";
import test from "node:test";
import { clipAt, clipsHeard, hiddenShare, lineAt, litUpTo, otherPlace } from "../../pages/shared/components/moments.js";

const ENDS = [10, 20];

test("a clip sounds up to its end, the last one ever after", () => {
  assert.deepEqual(
    [0, 9.99, 10, 19, 20, 25].map((now) => clipAt(ENDS, now)),
    [0, 0, 1, 1, 1, 1],
  );
});

test("a clip has been heard at its end, or where its sound stops just before", () => {
  assert.deepEqual(
    [0, 9.9, 9.96, 10, 19.9, 20].map((now) => clipsHeard(ENDS, now)),
    [0, 0, 1, 1, 1, 2],
  );
});

test("pictures stay lit as far as was heard", () => {
  assert.equal(litUpTo(4, 6, 20, false), 6);
  assert.equal(litUpTo(6, 2, 20, false), 6);
  assert.equal(litUpTo(19, 21, 20, false), 20);
});

test("without motion everything is lit at once", () => {
  assert.equal(litUpTo(0, 0, 20, true), 20);
});

test("a picture is hidden from the lit moment to its end", () => {
  assert.equal(hiddenShare([10, 20], 5), 1);
  assert.equal(hiddenShare([10, 20], 12.5), 0.75);
  assert.equal(hiddenShare([10, 20], 30), 0);
  assert.equal(hiddenShare([10, 10], 0), 0);
});

test("a line has its values between its points, its last one after them, and none before", () => {
  const [times, values] = [
    [1, 2, 4],
    [0, 10, 30],
  ];
  assert.deepEqual(
    [1, 1.5, 2, 3, 4, 9].map((now) => lineAt(times, values, now)),
    [0, 5, 10, 20, 30, 30],
  );
  assert.equal(lineAt(times, values, 0.5), null);
  assert.equal(lineAt([], [], 1), null);
});

test("the same place in the other of two clips, however long they are", () => {
  assert.equal(otherPlace([10, 20], 3), 13);
  assert.equal(otherPlace([10, 20], 13), 3);
  assert.equal(otherPlace([10, 14], 9), 14);
  assert.equal(otherPlace([4, 14], 13), 4);
});
