import assert from "node:assert/strict";
import { test } from "node:test";
import { lastTwo, neighbour, otherOfTwo, wantedWith } from "../../pages/shared/components/listed.js";

const IDS = ["a", "b", "c"];

test("the neighbour of a row is above or below it, and beyond the ends there is none", () => {
  assert.equal(neighbour(IDS, "a", 1), "b");
  assert.equal(neighbour(IDS, "c", -1), "b");
  assert.equal(neighbour(IDS, "c", 1), undefined);
  assert.equal(neighbour(IDS, "a", -1), undefined);
});

test("where no row is current, the first one is next", () => {
  assert.equal(neighbour(IDS, undefined, 1), "a");
  assert.equal(neighbour(IDS, "gone", -1), "a");
});

test("the sound that is heard is asked for last, after those heard before and the next one", () => {
  assert.deepEqual(wantedWith([], "a", undefined), ["a"]);
  assert.deepEqual(wantedWith(["a"], "b", "c"), ["a", "c", "b"]);
  assert.deepEqual(wantedWith(["a", "c", "b"], "c", undefined), ["a", "b", "c"]);
});

test("few sounds are asked for at a time, the ones heard last", () => {
  assert.deepEqual(wantedWith(["a", "b", "c", "d"], "e", "f"), ["c", "d", "f", "e"]);
});

test("one goes back and forth between the two sounds heard last", () => {
  assert.deepEqual(lastTwo(["a", "b"], "b"), ["a", "b"]);
  const two = ["a", "b", "b", "c"].reduce(lastTwo, []);
  assert.deepEqual(two, ["b", "c"]);
  assert.equal(otherOfTwo(two, "c"), "b");
  assert.deepEqual(lastTwo(two, "b"), ["c", "b"]);
  assert.equal(otherOfTwo(["c", "b"], "b"), "c");
  assert.equal(otherOfTwo(["a"], "a"), undefined);
});
