// The cockpit's numbers: rates, confusion matrix, per class, and what rare faults make of them.

import { costOf, ratesOf, realShare, wilsonHigh } from "./decisions.js";
import { find, make } from "./elements.js";
import { fourDigits, percent, rate, ratio, whole } from "./numbers.js";

const DAY_S = 86_400;
const CELL_WORDS = { tn: "right", fp: "false alarms", fn: "missed", tp: "right" };

// How strongly a cell is coloured, in percent: more with its share of the class, and never so little that right and
// wrong could not be told apart, nor so much that its text could not be read.
export const tintOf = (k, of) => (k === 0 ? 0 : Math.round(12 + (30 * k) / of));

// Text is changed in place: at each move of a drag new elements would cost more than all that is computed.
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// The element's two parts, made once: the number, and what it is of.
function pairIn(element, tag) {
  if (element.children.length < 2) element.replaceChildren(make(tag), " ", make("small"));
  return element.children;
}

function drawMatrix(root, counts) {
  const of = { tn: counts.tn + counts.fp, fn: counts.fn + counts.tp };
  Object.assign(of, { fp: of.tn, tp: of.fn });
  for (const [name, word] of Object.entries(CELL_WORDS)) {
    const cell = find(root, `[data-cell=${name}]`);
    const [k, n] = [counts[name], of[name]];
    const [number, share] = pairIn(cell, "strong");
    say(number, whole(k));
    say(share, `${percent(k, n)} ${word}`);
    cell.style.setProperty("--tint", `${tintOf(k, n)}%`);
  }
}

// `right` clips of a class out of those `judged` and those `truly` of it.
function drawClass(out, name, { right, judged, truly }) {
  for (const [figure, of] of [
    ["precision", judged],
    ["recall", truly],
  ]) {
    const [share, counts] = pairIn(out(`${name}-${figure}`), "span");
    say(share, percent(right, of));
    say(counts, ratio(right, of));
  }
  say(out(`${name}-f1`), judged + truly ? ((2 * right) / (judged + truly)).toFixed(3) : "\u2013");
}

export function drawCounts(root, counts) {
  const { tn, fp, fn, tp } = counts;
  const out = (name) => find(root, `[data-out=${name}]`);
  say(out("false-alarm-rate"), rate(fp, tn + fp));
  say(out("detection-rate"), rate(tp, tp + fn));
  say(out("accuracy"), rate(tn + tp, tn + fp + fn + tp));
  drawMatrix(root, counts);
  drawClass(out, "normal", { right: tn, judged: tn + fn, truly: tn + fp });
  drawClass(out, "anomalous", { right: tp, judged: tp + fp, truly: tp + fn });
}

const isOrAre = (n) => (n === 1 ? "is" : "are");

// "of 100 alarms 7 are real", and no more certain than the test clips allow.
export function realText(share) {
  if (share === null) return "no alarm at all";
  const real = Math.round(100 * share);
  if (real > 0) return `of 100 alarms ${real} ${isOrAre(real)} real`;
  const ofThousand = Math.round(1000 * share);
  return ofThousand > 0
    ? `of 1,000 alarms ${ofThousand} ${isOrAre(ofThousand)} real`
    : "of 1,000 alarms hardly one is real";
}

export function perDayText(perDay) {
  if (perDay >= 1.5)
    return `about ${whole(perDay < 10 ? Math.round(perDay) : Number(perDay.toPrecision(2)))} alarms a day`;
  return perDay * 365 >= 1.5 ? `about ${Math.round(perDay * 365)} alarms a year` : "hardly ever an alarm";
}

// What the rates mean where a share `prior` of the clips is anomalous.
export function drawRare(root, counts, { prior, every_s, ratio: costRatio }) {
  const [fpr, tpr] = ratesOf(counts);
  const normal = counts.tn + counts.fp;
  const none = counts.fp === 0 && normal > 0;
  const most = none
    ? ` None of ${whole(normal)} normal clips was a false alarm; up to ${percent(wilsonHigh(0, normal), 1)} may be.`
    : "";
  say(find(root, "[data-out=real]"), realText(realShare(fpr, tpr, prior)));
  say(find(root, "[data-out=none]"), most);
  say(find(root, "[data-out=a-day]"), perDayText((DAY_S / every_s) * (prior * tpr + (1 - prior) * fpr)));
  const cost = 1000 * costOf(fpr, tpr, { ratio: costRatio, prior });
  say(find(root, "[data-out=cost]"), `1,000 clips cost as much as ${fourDigits(cost)} false alarms.`);
}
