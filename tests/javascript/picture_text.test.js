import assert from "node:assert/strict";
import { test } from "node:test";
import { linesWithin, pictureName, readableColour, xmlSafe } from "../../pages/shared/components/picture_text.js";

test("a file's name holds letters, digits and hyphens alone, whatever the data set is called", () => {
  assert.equal(pictureName("hark-threshold-roc-simulated-small · slider"), "hark-threshold-roc-simulated-small-slider");
  assert.equal(pictureName("../../etc/passwd\u0000.svg"), "etc-passwd-svg");
  assert.equal(pictureName('a"<b>\\c:d|e?*\u202egpj.exe'), "a-b-c-d-e-gpj-exe");
  assert.equal(pictureName("Übung_Ñ 数据"), "Übung_Ñ-数据");
  assert.equal(pictureName(" .. "), "picture");
});

test("a file's name is short enough for every disk, and whole characters are cut", () => {
  assert.equal([...pictureName("𝒳".repeat(500))].length, 120);
});

test("what XML cannot hold and what turns a text around is left out, and everything else stays", () => {
  assert.equal(xmlSafe("a\u0000b\u001bc\uFFFFd\ud800e"), "abcde");
  assert.equal(xmlSafe("a\u202eb\u2066c"), "abc");
  assert.equal(xmlSafe("tab\t, line\n, ü, 🙂, <&>"), "tab\t, line\n, ü, 🙂, <&>");
});

test("a caption is broken between words, at the width that is there", () => {
  const letters = (text) => text.length;
  assert.deepEqual(linesWithin("one two three four", 9, letters), ["one two", "three", "four"]);
  assert.deepEqual(linesWithin("one two", 7, letters), ["one two"]);
});

test("a caption keeps its own lines, and a word that is too long has one to itself", () => {
  const letters = (text) => text.length;
  assert.deepEqual(linesWithin("a b\nData set: incomprehensibilities x", 10, letters), [
    "a b",
    "Data set:",
    "incomprehensibilities",
    "x",
  ]);
  assert.deepEqual(linesWithin("", 10, letters), []);
});

test("mixed colours are written as every program reads them", () => {
  assert.equal(readableColour("color(srgb 1 0.5 0 / 0.25)"), "rgba(255, 128, 0, 0.25)");
  assert.equal(readableColour("color(srgb 0 0.2 1.2)"), "rgb(0, 51, 255)");
  assert.equal(readableColour("rgb(1, 2, 3)"), "rgb(1, 2, 3)");
});
