import assert from "node:assert/strict";
import test from "node:test";
import { isOurs } from "../../pages/shared/components/gestures.js";

test("a finger draws sideways or after a long press; else the page scrolls", () => {
  const finger = { pointerType: "touch", isHeld: false };
  assert.equal(isOurs(finger, 20, 5), true);
  assert.equal(isOurs(finger, 5, 20), false);
  assert.equal(isOurs({ ...finger, isHeld: true }, 5, 20), true);
});

test("a mouse draws in every direction", () => {
  assert.equal(isOurs({ pointerType: "mouse", isHeld: false }, 0, 20), true);
});
