import assert from "node:assert/strict";
import { test } from "node:test";
import { actOfKey, arrowIsFree, isTyping, wallScale } from "../../pages/shared/components/presenting.js";

const element = (...selectors) => ({ matches: (asked) => selectors.some((each) => asked.split(", ").includes(each)) });

test("keys and a clicker's button are acts, whatever the case", () => {
  const acts = ["n", "N", "PageDown", "p", "r", "R", "x", " ", "Escape", "PageUp"].map((key) => actOfKey(key, true));
  assert.deepEqual(acts, ["next", "next", "next", "play", "reveal", "reveal", ...Array(4).fill(undefined)]);
});

test("the arrow is for whatever has the focus, and means next where nothing does", () => {
  assert.equal(actOfKey("ArrowRight", true), "next");
  assert.equal(actOfKey("ArrowRight", false), undefined);
  assert.equal(actOfKey("n", false), "next");
  assert.deepEqual(
    ["[role=slider]", "[tabindex]", "audio", "button"].map((each) => arrowIsFree(element(each))),
    [false, false, false, true],
  );
  assert.equal(arrowIsFree(null), true);
});

test("letters typed into a field are no acts", () => {
  assert.deepEqual(
    ["input", "textarea", "button"].map((each) => isTyping(element(each))),
    [true, true, false],
  );
  assert.equal(isTyping(null), false);
});

test("the page is drawn as much larger as the wall is, within limits, and not on a telephone", () => {
  assert.equal(wallScale(1920, 1080), 1.4);
  assert.equal(wallScale(1280, 720), 1.2);
  assert.equal(wallScale(3840, 2160), 2.8);
  assert.equal(wallScale(1920, 900), 1.2);
  assert.equal(wallScale(9999, 9999), 3);
  assert.equal(wallScale(400, 800), 1);
});
