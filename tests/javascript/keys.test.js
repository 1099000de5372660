import assert from "node:assert/strict";
import { test } from "node:test";
import { addressedPlayer, isTaken } from "../../pages/shared/components/keys.js";

// An element that matches selectors naming its tag, or its `type`, where that is excluded.
const element = (tag, { type = "text", role = "" } = {}) => ({
  matches: (selectors) =>
    selectors.split(/,\s*(?![^(]*\))/).some((selector) => {
      const [name, excluded = ""] = selector.split(":not(");
      const isNamed = name === tag || name === `[role=${role}]`;
      return isNamed && !excluded.includes(`[type=${type}]`);
    }),
});

const box = (isUnderPointer = false) => ({ matches: (selector) => selector === ":hover" && isUnderPointer });

test("a field that is typed in keeps every key", () => {
  for (const key of [" ", "b", "?", "ArrowUp", "Escape"]) {
    assert.ok(isTaken(element("textarea"), key));
    assert.ok(isTaken(element("input"), key));
  }
});

test("a button keeps the space bar, a slider the arrows, and neither a letter", () => {
  assert.ok(isTaken(element("button"), " "));
  assert.ok(!isTaken(element("button"), "ArrowUp"));
  assert.ok(isTaken(element("input", { type: "range" }), "ArrowLeft"));
  assert.ok(isTaken(element("input", { type: "range" }), "Home"));
  assert.ok(!isTaken(element("input", { type: "range" }), "b"));
  assert.ok(isTaken(element("button", { role: "tab" }), "ArrowRight"));
});

test("nothing else keeps a key", () => {
  assert.ok(!isTaken(element("div"), " "));
  assert.ok(!isTaken(undefined, " "));
});

test("a key is for the player with the focus, else for the one under the pointer", () => {
  const [first, second] = [box(), box(true)];
  assert.equal(addressedPlayer([first, second], [first], " "), first);
  assert.equal(addressedPlayer([first, second], [], " "), second);
  assert.equal(addressedPlayer([box(), box()], [], " "), null);
});

test("the list of keys opens for the only player wherever the pointer is", () => {
  const only = box();
  assert.equal(addressedPlayer([only], [], "?"), only);
  assert.equal(addressedPlayer([only], [], " "), null);
  assert.equal(addressedPlayer([only, box()], [], "?"), null);
});
