import assert from "node:assert/strict";
import test from "node:test";
import { carriedOver, evenVolumes, laneByKey, loudness } from "../../pages/shared/components/hearing.js";

test("a digit chooses the lane of its number, a letter that of its place", () => {
  assert.deepEqual(
    ["1", "3", "4", "0", "12", " ", "a", "c", "d", "l"].map((key) => laneByKey(key, 3)),
    [0, 2, undefined, undefined, undefined, undefined, 0, 2, undefined, undefined],
  );
  assert.equal(laneByKey("l", 12), undefined, "it repeats");
});

test("the playhead stays where it is, or goes to the end of a shorter sound", () => {
  assert.equal(carriedOver(4, 10), 4);
  assert.equal(carriedOver(8, 5), 4.999);
});

test("loudness is the root of the mean square, full scale being 1", () => {
  assert.equal(loudness(new Int16Array([16384, -16384])), 0.5);
  assert.equal(loudness(new Int16Array(0)), 0);
});

test("louder sounds are turned down to the quietest that is not silent", () => {
  assert.deepEqual(evenVolumes([0.5, 0.25, 0]), [0.5, 1, 1]);
  assert.deepEqual(evenVolumes([0, 0]), [1, 1]);
});
