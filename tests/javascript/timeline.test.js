import assert from "node:assert/strict";
import test from "node:test";
import {
  drawnTrace,
  envelope,
  extent,
  heightScale,
  nearestTime,
  outlinePath,
  samplesOf,
  secondsByKey,
  seekable,
  shareAlong,
  spacedTicks,
  tickSeconds,
  tracePath,
  traceTicks,
} from "../../pages/shared/components/timeline.js";

const DURATION_S = 10;
const LANE = { left: 58, width: 400 };

test("a pixel of the lane is a moment of the clip, and ends at its edges", () => {
  const seconds = (clientX) => shareAlong(LANE, clientX) * DURATION_S;
  assert.deepEqual([58, 158, 258, 458].map(seconds), [0, 2.5, 5, 10]);
  assert.deepEqual([0, 57, 459, 2000].map(seconds), [0, 0, 10, 10]);
});

test("the playhead stays inside the clip", () => {
  assert.deepEqual(
    [-1, 0, 4.25, 10, 11].map((s) => seekable(s, DURATION_S)),
    [0, 0, 4.25, 9.999, 9.999],
  );
});

test("arrows move by half a second, Home and End to the ends", () => {
  const keys = ["ArrowLeft", "ArrowRight", "Home", "End", " ", "toString"];
  assert.deepEqual(
    keys.map((key) => secondsByKey(key, 3, DURATION_S)),
    [2.5, 3.5, 0, 10, undefined, undefined],
  );
});

test("an axis has ticks from 0 to its end, and few enough to read", () => {
  assert.deepEqual(tickSeconds(10), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  assert.equal(tickSeconds(0.3).length, 4);
  for (let duration = 0.05; duration < 20_000; duration *= 1.07) {
    const ticks = tickSeconds(duration);
    assert.ok(ticks.length <= 13 && (ticks.length >= 3 || duration < 0.2), `${ticks.length} ticks in ${duration} s`);
    assert.ok(
      ticks.at(-1) <= duration + 1e-5 && duration - ticks.at(-1) < (ticks[1] ?? 0.1),
      `the last in ${duration} s`,
    );
  }
});

test("ticks closer than a line of text are left out, from the bottom", () => {
  const ticks = [
    [0.9, "8k"],
    [0, "0"],
    [0.1, "50"],
    [0.2, "100"],
    [0.95, "9k"],
  ];
  assert.deepEqual(
    spacedTicks(ticks, 100).map(([, text]) => text),
    ["0", "100", "8k"],
  );
  assert.deepEqual(ticks[0], [0.9, "8k"]);
});

const chunk = (name, content) => {
  const size = Buffer.alloc(4);
  size.writeUInt32LE(content.length);
  return Buffer.concat([Buffer.from(name), size, content, Buffer.alloc(content.length % 2)]);
};

function wav(bits, data, ...others) {
  const format = Buffer.alloc(16);
  format.writeUInt16LE(bits, 14);
  const parts = [chunk("fmt ", format), ...others, chunk("data", data)];
  return Uint8Array.from(Buffer.concat([Buffer.from("RIFF....WAVE"), ...parts]));
}

const bytesOf = (...samples) => Buffer.from(Int16Array.from(samples).buffer);

test("samples are found after other chunks, of odd length too", () => {
  const bytes = wav(16, bytesOf(0, 1, -32768, 32767), chunk("LIST", Buffer.from("odd")));
  assert.deepEqual([...samplesOf(bytes)], [0, 1, -32768, 32767]);
});

test("what is no 16-bit sound has no samples", () => {
  assert.equal(samplesOf(wav(24, bytesOf(1, 2, 3))).length, 0);
  assert.equal(samplesOf(Uint8Array.from(Buffer.from("fLaC and then something else"))).length, 0);
  assert.equal(samplesOf(new Uint8Array(0)).length, 0);
});

test("an envelope holds the extremes of each column, and every sample belongs to one", () => {
  const samples = Int16Array.from([0, 16384, -32768, 8192, -8192, 0, 32767]);
  assert.deepEqual(envelope(samples, 3), [
    [0, -1, -0.25],
    [0.5, 0.25, 32767 / 32768],
  ]);
  for (let columns = 1; columns <= 7; columns += 1) {
    const [lows, highs] = envelope(samples, columns);
    assert.equal(Math.min(...lows), -1);
    assert.equal(Math.max(...highs), 32767 / 32768);
  }
});

test("the outline runs along the highs and back along the lows", () => {
  assert.equal(outlinePath([-0.5, -1], [0.5, 1], 2), "M0 0.750L1 0.500L1 1.500L0 1.250Z");
});

test("a trace's axis holds its values and its threshold, with room at both ends", () => {
  assert.deepEqual(extent([3, null, 1], 4), [1, 4]);
  assert.deepEqual(extent([3, null, 1], null), [1, 3]);
  assert.deepEqual(extent([null], null), [0, 0]);
  const share = heightScale([1, 3]);
  assert.ok(Math.abs(share(2) - 0.5) < 1e-12);
  assert.ok(share(1) > 0.05 && share(3) < 0.95);
  assert.equal(heightScale([5, 5])(5), 0.5);
});

test("a trace has a tick at each end, one where it is flat", () => {
  const share = heightScale([1, 3]);
  assert.deepEqual(traceTicks([1, 3], share), [
    [share(1), "1"],
    [share(3), "3"],
  ]);
  assert.deepEqual(traceTicks([5, 5], heightScale([5, 5])), [[0.5, "5"]]);
});

test("an unknown value breaks the line", () => {
  assert.equal(
    tracePath([0, 1, 2, 3], [0, 1, null, 0.25], (value) => value),
    "M0 1.0000L1 0.0000M3 0.7500",
  );
});

test("the only value of a short clip is drawn along all of it", () => {
  assert.deepEqual(drawnTrace([0.48], [7], 1), [
    [0, 1],
    [7, 7],
  ]);
  assert.deepEqual(drawnTrace([0.5, 1], [7, 8], 2), [
    [0.5, 1],
    [7, 8],
  ]);
});

test("the value at the playhead is that of the nearest time", () => {
  const times = [0.5, 1.5, 2.5];
  assert.deepEqual(
    [0, 0.9, 1, 1.1, 9].map((seconds) => nearestTime(times, seconds)),
    [0, 0, 0, 1, 2],
  );
  assert.equal(nearestTime([], 1), -1);
});
