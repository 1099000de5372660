import assert from "node:assert/strict";
import test from "node:test";
import { placeIn, setHeard, startLoop, stopLoop } from "../../pages/shared/components/loop.js";

test("a looped stretch starts again at its beginning, another one ends", () => {
  const stretch = { from: 2, to: 4 };
  assert.deepEqual(
    [0, 1.5, 2, 5].map((seconds) => placeIn(seconds, stretch, true)),
    [2, 3.5, 2, 3],
  );
  assert.deepEqual(
    [0, 1.5, 2, 5].map((seconds) => placeIn(seconds, stretch, false)),
    [2, 3.5, null, null],
  );
});

function fakeContext() {
  const started = [];
  const node = (extra) => ({ connect: (next) => next, disconnect() {}, ...extra });
  const level = () => {
    const gain = { value: 1, setTargetAtTime: (value) => Object.assign(gain, { value }) };
    return node({ gain });
  };
  return {
    started,
    currentTime: 100,
    destination: node({}),
    createBuffer: (_, length) => ({ length, copyToChannel() {} }),
    createBufferSource: () => node({ start: (...when) => started.push(when), stop: () => started.push("stop") }),
    createGain: level,
  };
}

test("both sounds start at one place, one of them silent, and change without a new start", () => {
  const context = fakeContext();
  const plan = { context, sr: 16000, stretch: { from: 2, to: 4 }, offset: 0.5, isLooped: true, gain: 2, heard: 0 };
  const loop = startLoop([new Float32Array(4), new Float32Array(4)], { ...plan, volume: 0.5 });
  const gains = () => loop.tracks.map(({ level }) => level.gain.value);
  assert.deepEqual(context.started, [
    [0, 0.5],
    [0, 0.5],
  ]);
  assert.deepEqual(gains(), [1, 0]);
  setHeard(loop, { heard: 1 });
  assert.deepEqual(gains(), [0, 1]);
  setHeard(loop, { volume: 0.25 });
  assert.deepEqual(gains(), [0, 0.5]);
  assert.equal(context.started.length, 2);
  stopLoop(loop);
  assert.deepEqual(context.started.slice(2), ["stop", "stop"]);
});
