import assert from "node:assert/strict";
import test from "node:test";
import { banded, bandGain, commonGain, excerptOf, transform } from "../../pages/shared/components/band.js";

const SR = 16000;
const tone = (hz, n) => Float64Array.from({ length: n }, (_, i) => Math.sin((2 * Math.PI * hz * i) / SR));
const rms = (sound) => Math.sqrt(sound.reduce((sum, y) => sum + y * y, 0) / sound.length);

test("a transform there and back is the sound times its length", () => {
  const sound = tone(700, 256);
  const [re, im] = [Float64Array.from(sound), new Float64Array(256)];
  transform(re, im, -1);
  transform(re, im, 1);
  assert.ok(sound.every((y, i) => Math.abs(re[i] / 256 - y) < 1e-12 && Math.abs(im[i]) < 1e-9));
});

test("the transform of a tone is one line at its frequency", () => {
  const [re, im] = [tone(1000, 256), new Float64Array(256)];
  transform(re, im, -1);
  const size = Array.from(re, (x, k) => Math.hypot(x, im[k]));
  assert.ok(Math.abs(size[16] - 128) < 1e-9 && size.filter((x) => x > 1e-6).length === 2);
});

test("a band passes its tones as they are and leaves out those an octave away", () => {
  const band = { low: 900, high: 1100 };
  assert.ok(Math.abs(rms(banded(tone(1000, 4096), band, SR)) - Math.SQRT1_2) < 1e-6);
  assert.ok(rms(banded(tone(2000, 4096), band, SR)) < 1e-6);
  assert.ok(rms(banded(tone(500, 4096), band, SR)) < 1e-6);
});

test("a band's edges fall over a sixth of an octave", () => {
  const gain = (hz) => bandGain(hz, 1000, 2000, 8000);
  assert.deepEqual([1000, 1500, 2000].map(gain), [1, 1, 1]);
  assert.ok(Math.abs(gain(2000 * 2 ** (1 / 12)) - 0.5) < 1e-9 && Math.abs(gain(1000 / 2 ** (1 / 12)) - 0.5) < 1e-9);
  assert.ok(gain(2000 * 2 ** (1 / 5)) === 0 && gain(0) === 0);
  assert.deepEqual(
    [0, 50, 8000].map((hz) => bandGain(hz, 0, 8000, 8000)),
    [1, 1, 1],
  );
});

test("an excerpt is the stretch alone, faded, at the sound's own level", () => {
  const samples = Int16Array.from({ length: SR }, (_, i) => (i < SR / 2 ? 0 : 16384));
  const sound = excerptOf(samples, { from: 0.5, to: 0.7, low: 0, high: 8000 }, SR);
  assert.equal(sound.length, 3200);
  assert.equal(sound[1600], 0.5);
  assert.ok(sound[0] === 0 && sound.at(-1) === 0 && Math.abs(sound[160] - 0.25) < 1e-6);
});

test("all sounds are raised by one gain, up to a peak of 0.7", () => {
  assert.equal(commonGain([Float32Array.from([0.1, -0.35]), Float32Array.from([0.2])]), 0.7 / Math.fround(0.35));
  assert.equal(commonGain([new Float32Array(3)]), 1);
});
