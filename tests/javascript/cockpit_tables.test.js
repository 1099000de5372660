import assert from "node:assert/strict";
import test from "node:test";
import { realText } from "../../pages/shared/components/cockpit_tables.js";

test("how many alarms are real is said of 100, of 1,000 where they are rarer, and in the singular of one", () => {
  const said = [null, 0.07, 0.0129, 0.004, 0.0009, 0.0001].map(realText);
  assert.deepEqual(said, [
    "no alarm at all",
    "of 100 alarms 7 are real",
    "of 100 alarms 1 is real",
    "of 1,000 alarms 4 are real",
    "of 1,000 alarms 1 is real",
    "of 1,000 alarms hardly one is real",
  ]);
});
