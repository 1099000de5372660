import assert from "node:assert/strict";
import test from "node:test";
import { levelOf, levelText, paletteLevels } from "../../pages/shared/components/readout.js";

const STOPS = ["#000000", "#ff8000", "#ffffff"];
const DB = { from: -75, to: -5, unit: "dB" };

test("every colour of a palette is read back as its level", () => {
  const levels = paletteLevels(STOPS);
  assert.equal(levels.size, 256);
  assert.equal(levelOf(levels, [0, 0, 0]), 0);
  assert.equal(levelOf(levels, [255, 255, 255]), 255);
  assert.equal(levelOf(levels, [100, 50, 0]), 50);
});

test("a colour that rounding has changed is read as the nearest one", () => {
  const levels = paletteLevels(STOPS);
  assert.equal(levelOf(levels, [101, 49, 1]), 50);
  assert.equal(levelOf(levels, [255, 255, 254]), 255);
});

test("a level is told with its unit, and as a limit at both ends of the scale", () => {
  assert.equal(levelText(128, DB), "\u221240 dB");
  assert.equal(levelText(0, DB), "\u221275 dB or less");
  assert.equal(levelText(255, DB), "\u22125 dB or more");
});

test("a number is no finer than a step of the palette", () => {
  assert.equal(levelText(64, { from: 0, to: 12, unit: "\u00d7 normal" }), "3.0 \u00d7 normal");
  assert.equal(levelText(64, { from: 0, to: 0.012, unit: "" }), "0.0030");
});
