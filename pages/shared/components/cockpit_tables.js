// The cockpit's numbers: rates, confusion matrix, per class, and what rare faults make of them.

import { costOf, ratesOf, realShare, wilsonHigh } from "./decisions.js";
import { find, make } from "./elements.js";
import { fourDigits, percent, rate, ratio, whole } from "./numbers.js";

const DAY_S = 86_400;
const CELL_WORDS = { tn: "right", fp: "false alarms", fn: "missed", tp: "right" };

// How strongly a cell is coloured, in percent: more with its share of the class, and never so little that right and
// wrong could not be told apart, nor so much that its text could not be read.
export const tintOf = (k, of) => (k === 0 ? 0 : Math.round(12 + (30 * k) / of));

function drawMatrix(root, counts) {
  const of = { tn: counts.tn + counts.fp, fn: counts.fn + counts.tp };
  Object.assign(of, { fp: of.tn, tp: of.fn });
  for (const [name, word] of Object.entries(CELL_WORDS)) {
    const cell = find(root, `[data-cell=${name}]`);
    const [k, n] = [counts[name], of[name]];
    cell.replaceChildren(make("strong", whole(k)), " ", make("small", `${percent(k, n)} ${word}`));
    cell.style.setProperty("--tint", `${tintOf(k, n)}%`);
  }
}

// `right` clips of a class out of those `judged` and those `truly` of it.
function drawClass(out, name, { right, judged, truly }) {
  const share = (k, n) => [make("span", percent(k, n)), " ", make("small", ratio(k, n))];
  out(`${name}-precision`).replaceChildren(...share(right, judged));
  out(`${name}-recall`).replaceChildren(...share(right, truly));
  out(`${name}-f1`).textContent = judged + truly ? ((2 * right) / (judged + truly)).toFixed(3) : "\u2013";
}

export function drawCounts(root, counts) {
  const { tn, fp, fn, tp } = counts;
  const out = (name) => find(root, `[data-out=${name}]`);
  out("false-alarm-rate").textContent = rate(fp, tn + fp);
  out("detection-rate").textContent = rate(tp, tp + fn);
  out("accuracy").textContent = rate(tn + tp, tn + fp + fn + tp);
  drawMatrix(root, counts);
  drawClass(out, "normal", { right: tn, judged: tn + fn, truly: tn + fp });
  drawClass(out, "anomalous", { right: tp, judged: tp + fp, truly: tp + fn });
}

// "of 100 alarms 7 are real", and no more certain than the test clips allow.
export function realText(share) {
  if (share === null) return "no alarm at all";
  const real = Math.round(100 * share);
  if (real === 0) return `of 1,000 alarms ${whole(Math.round(1000 * share))} are real`;
  return `of 100 alarms ${real} ${real === 1 ? "is" : "are"} real`;
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
  find(root, "[data-out=real]").textContent = realText(realShare(fpr, tpr, prior));
  find(root, "[data-out=none]").textContent = most;
  find(root, "[data-out=a-day]").textContent = perDayText((DAY_S / every_s) * (prior * tpr + (1 - prior) * fpr));
  const cost = 1000 * costOf(fpr, tpr, { ratio: costRatio, prior });
  find(root, "[data-out=cost]").textContent = `1,000 clips cost as much as ${fourDigits(cost)} false alarms.`;
}
