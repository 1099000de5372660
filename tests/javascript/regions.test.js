import assert from "node:assert/strict";
import test from "node:test";
import {
  bandBetween,
  dragged,
  followedRegion,
  heightAt,
  hzAt,
  partUnder,
  regionAround,
  regionBetween,
  regionText,
  stretchBetween,
} from "../../pages/shared/components/regions.js";

const EDGES = [0, 100, 300, 700, 8000];
const LIMITS = { edges: EDGES, duration: 10, top: 8000 };

test("a height of a picture is a frequency between the edges of its bands, and back", () => {
  assert.deepEqual(
    [0, 0.25, 0.375, 1, 2].map((at) => hzAt(EDGES, at)),
    [0, 100, 200, 8000, 8000],
  );
  assert.deepEqual(
    [0, 100, 200, 8000, 9000].map((hz) => heightAt(EDGES, hz)),
    [0, 0.25, 0.375, 1, 1],
  );
  assert.equal(hzAt(null, 0.5), null);
  assert.equal(heightAt(undefined, 100), null);
});

test("a band has whole bands of the picture, one at least, whichever corner came first", () => {
  assert.deepEqual(bandBetween(EDGES, 0.3, 0.7, 8000), [100, 700]);
  assert.deepEqual(bandBetween(EDGES, 0.7, 0.3, 8000), [100, 700]);
  assert.deepEqual(bandBetween(EDGES, 0.5, 0.5, 8000), [300, 700]);
  assert.deepEqual(bandBetween(EDGES, 1, 1, 8000), [700, 8000]);
  assert.deepEqual(bandBetween(null, 0.2, 0.4, 8000), [0, 8000]);
});

test("a stretch lies in the clip, in hundredths of a second, and is never empty", () => {
  assert.deepEqual(stretchBetween(3.333, 1.118, 10), [1.12, 3.33]);
  assert.deepEqual(stretchBetween(-5, 50, 10), [0, 10]);
  const [from, to] = stretchBetween(10, 10, 10);
  assert.ok(to - from >= 0.049 && to <= 10);
});

test("a rectangle between two corners is a region", () => {
  const region = regionBetween({ seconds: 4, height: 0.74 }, { seconds: 2, height: 0.26 }, LIMITS);
  assert.deepEqual(region, { from: 2, to: 4, low: 100, high: 700 });
});

test("a spot is widened by half a second and half an octave or so", () => {
  assert.deepEqual(regionAround({ seconds: 5, height: 0.5 }, LIMITS), { from: 4.5, to: 5.5, low: 300, high: 700 });
  assert.deepEqual(regionAround({ seconds: 0, height: 0.5 }, { ...LIMITS, edges: null }), {
    from: 0,
    to: 0.5,
    low: 0,
    high: 8000,
  });
});

const BOX = { left: 100, right: 200, top: 50, bottom: 90 };

test("a pointer takes the side that is near, else the inside, else nothing", () => {
  const part = (x, y) => partUnder(BOX, x, y, 6);
  assert.deepEqual(
    [part(97, 70), part(204, 70), part(150, 52), part(150, 95), part(150, 70), part(90, 70), part(150, 99)],
    ["left", "right", "top", "bottom", "inside", null, null],
  );
});

const REGION = { from: 2, to: 4, low: 100, high: 700 };

test("a side that is dragged moves alone, and past the other one they change places", () => {
  const drag = (part, seconds, height) =>
    dragged(REGION, part, { seconds: 3, height: 0.5 }, { seconds, height }, LIMITS);
  assert.deepEqual(drag("left", 1, 0.9), { ...REGION, from: 1 });
  assert.deepEqual(drag("right", 1, 0.9), { ...REGION, from: 1, to: 2 });
  assert.deepEqual(drag("top", 9, 1), { ...REGION, high: 8000 });
  assert.deepEqual(drag("bottom", 9, 0), { ...REGION, low: 0 });
});

test("a region that is moved keeps its length and its band, and stays in the clip", () => {
  const move = (seconds) => dragged(REGION, "inside", { seconds: 3, height: 0.5 }, { seconds, height: 1 }, LIMITS);
  assert.deepEqual(move(4.5), { ...REGION, from: 3.5, to: 5.5 });
  assert.deepEqual(move(99), { ...REGION, from: 8, to: 10 });
  assert.deepEqual(move(-99), { ...REGION, from: 0, to: 2 });
});

test("a region is told in seconds and Hz", () => {
  assert.equal(regionText({ from: 8.9, to: 9.6, low: 521.4, high: 5620 }, 8000), "8.90 to 9.60 s, 521 Hz to 5.6 kHz");
  assert.equal(regionText({ from: 0, to: 1, low: 0, high: 8000 }, 8000), "0.00 to 1.00 s, all frequencies");
});

test("Python's region is followed, but not the late echo of one that was sent", () => {
  const other = { ...REGION, from: 1 };
  assert.equal(followedRegion(REGION, undefined, []), REGION);
  assert.equal(followedRegion(REGION, other, []), other);
  assert.equal(followedRegion(REGION, other, [{ ...other }, { ...REGION }]), REGION);
  assert.equal(followedRegion(REGION, null, []), null);
  assert.equal(followedRegion(REGION, null, [null]), REGION);
});
