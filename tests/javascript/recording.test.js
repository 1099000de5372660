import assert from "node:assert/strict";
import test from "node:test";
import {
  alongMeter,
  base64,
  clipCutter,
  decibels,
  levelWord,
  loudness,
  wavBytes,
} from "../../pages/shared/components/recording.js";

const sine = (amplitude, n = 4800) => Float32Array.from({ length: n }, (_, i) => amplitude * Math.sin(i / 7));

test("loudness is the peak, the RMS, and how many samples lie at the end of the scale", () => {
  const { peak, rms, cut } = loudness(Float32Array.of(0.5, -0.5, 0.5, -0.5));
  assert.deepEqual([peak, rms, cut], [0.5, 0.5, 0]);
  assert.equal(loudness(Float32Array.of(1, -1, 0.2)).cut, 2);
  assert.deepEqual(loudness(new Float32Array(0)), { peak: 0, rms: 0, cut: 0 });
});

test("a clip is silent, quiet, clipped or good", () => {
  const words = [sine(0), sine(0.0005), sine(0.3)].map((samples) => levelWord(loudness(samples)));
  assert.deepEqual(words, ["silent", "quiet", "good"]);
  const loud = sine(3).map((x) => Math.min(1, Math.max(-1, x)));
  assert.equal(levelWord(loudness(loud)), "clipped");
});

test("a few samples at full scale are no clipping", () => {
  const samples = sine(0.3);
  samples.fill(1, 0, 9);
  assert.equal(levelWord(loudness(samples)), "good");
  samples.fill(1, 0, 10);
  assert.equal(levelWord(loudness(samples)), "clipped");
});

test("the meter goes from -60 dBFS to full scale", () => {
  assert.deepEqual([0, 0.001, 1, 2].map(alongMeter), [0, 0, 1, 1]);
  assert.ok(Math.abs(alongMeter(10 ** (-30 / 20)) - 0.5) < 1e-9);
  assert.equal(decibels(0), Number.NEGATIVE_INFINITY);
});

test("blocks of any length become clips of equal length, and no sample is lost or doubled", () => {
  const cutter = clipCutter(10);
  const clips = [];
  const all = Float32Array.from({ length: 35 }, (_, i) => i);
  for (const [from, to] of [
    [0, 3],
    [3, 9],
    [9, 30],
    [30, 35],
  ])
    clips.push(...cutter.add(all.subarray(from, to)));
  assert.equal(clips.length, 3);
  assert.deepEqual(
    clips.flatMap((clip) => [...clip]),
    [...all.subarray(0, 30)],
  );
  assert.equal(cutter.share(), 0.5);
});

test("a WAV has its length, rate and samples, and nothing beyond full scale wraps around", () => {
  const bytes = wavBytes(Float32Array.of(0, 1, -1, 1.5), 48000);
  const view = new DataView(bytes.buffer);
  const text = (from, to) => String.fromCharCode(...bytes.subarray(from, to));
  assert.deepEqual([text(0, 4), text(8, 16), text(36, 40)], ["RIFF", "WAVEfmt ", "data"]);
  assert.equal(view.getUint32(4, true), bytes.length - 8);
  assert.deepEqual([view.getUint16(22, true), view.getUint32(24, true), view.getUint32(28, true)], [1, 48000, 96000]);
  assert.equal(view.getUint32(40, true), 8);
  assert.deepEqual(
    [0, 1, 2, 3].map((n) => view.getInt16(44 + 2 * n, true)),
    [0, 32767, -32767, 32767],
  );
});

test("base64 is that of the bytes, longer than one call can take", () => {
  const bytes = Uint8Array.from({ length: 100_000 }, (_, n) => n % 251);
  assert.equal(base64(bytes), Buffer.from(bytes).toString("base64"));
});
