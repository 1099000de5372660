import assert from "node:assert/strict";
import test from "node:test";
import {
  dbfs,
  fourDigits,
  percent,
  raisedText,
  rate,
  readNumber,
  short,
} from "../../pages/shared/components/numbers.js";

test("thresholds and scores have four significant digits, in powers of ten where they are tiny or huge", () => {
  const texts = [0, 0.0021249, -1.59, 12.3456, 9999.96, 0.0000123456, 54321].map(fourDigits);
  assert.deepEqual(texts, ["0", "0.002125", "\u22121.590", "12.35", "1.000e+4", "1.235e\u22125", "5.432e+4"]);
});

test("rounding noise around a boundary at 0 is written as 0, and a small score is not", () => {
  assert.deepEqual([3.6e-14, -8e-16, 2e-9].map(fourDigits), ["0", "0", "2.000e\u22129"]);
});

test("the ends of an axis are short", () => {
  assert.deepEqual([0, -0.25, 0.33333, 12345, 0.00012].map(short), [
    "0",
    "\u22120.25",
    "0.333",
    "1.2e+4",
    "1.2e\u22124",
  ]);
});

test("a level is in decibels of full scale", () => {
  assert.equal(dbfs(1), "0.0 dBFS");
  assert.equal(dbfs(0.5), "\u22126.0 dBFS");
});

test("a rate has its counts beside it, and a dash where there is nothing to count", () => {
  assert.equal(rate(1234, 5000), "24.7 % (1,234/5,000)");
  assert.equal(percent(0, 0), "\u2013");
});

test("a gain is told as how much a sound is raised or lowered", () => {
  assert.equal(raisedText(10), "raised by 20 dB");
  assert.equal(raisedText(0.5), "lowered by 6 dB");
  assert.equal(raisedText(1), "raised by 0 dB");
});

test("a number is read as it is typed, with a decimal comma, and a thousand where numbers are written so", () => {
  assert.deepEqual(
    ["1.05", " 1,05 ", "\u22120.5", "1e-3", "1,000"].map((text) => readNumber(text)),
    [1.05, 1.05, -0.5, 0.001, 1],
  );
  const grouped = (text) => readNumber(text, { isGrouped: true });
  assert.deepEqual(["1,000", "12,500.5", "0,125", "2,5"].map(grouped), [1000, 12500.5, 0.125, 2.5]);
  for (const text of ["", " ", "abc", "1,2,3", "one per id"]) assert.ok(Number.isNaN(readNumber(text)), text);
});
