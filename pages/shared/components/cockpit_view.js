// The cockpit as it is seen: what is drawn once per choice of curves and pictures, and what follows each move.

import { countsOf, inHand, isCurve, isOne, thresholdsOf, thresholdText } from "./cockpit_detectors.js";
import { drawFlips, MOST_FLIPS, markPlaying, pressFlip } from "./cockpit_flips.js";
import {
  dashOf,
  drawCross,
  drawHull,
  drawIso,
  drawMarks,
  drawPrecision,
  drawRoc,
  drawScores,
  lineSample,
  placeHandle,
  placeLine,
  placePrecision,
} from "./cockpit_plots.js";
import { samePoint } from "./cockpit_state.js";
import { drawCounts, drawRare } from "./cockpit_tables.js";
import { countsAtRank, flipped, rankOf, ratesAt, ratesOf, stepAt, thresholdAtRank } from "./decisions.js";
import { find, make } from "./elements.js";
import { fourDigits, rate, whole } from "./numbers.js";

function curvesOf(memory) {
  const curves = memory.detectors.map((detector, hand) => ({
    name: `d${hand}`,
    list: detector.list,
    colour: detector.colour,
    label: `Operating point: ${detector.title}`,
    isFree: true,
  }));
  if (memory.look.ids === "together") return curves;
  const [main] = memory.detectors;
  const isFree = memory.look.ids === "thresholds";
  const own = main.id_names.slice(0, main.most_ids).map((name, id) => ({
    name: `id${id}`,
    list: main.byId[id],
    colour: `color-mix(in srgb, ${main.colour} 55%, var(--st-text-color))`,
    dash: dashOf(id),
    label: `Operating point of id ${name}: ${main.title}`,
    letter: name,
    isThin: true,
    isFree,
  }));
  return [...curves, ...own.filter((curve) => isCurve(curve.list))];
}

function legendRow(sample, name, area) {
  const row = make("li");
  row.append(sample, make("span", name), make("small", area ? `AUC ${area}` : "no AUC: one class only"));
  return row;
}

function markRow({ letter, label, uses_labels, threshold }, choose) {
  const button = make("button", "", { type: "button", onclick: () => choose(threshold) });
  button.append(make("b", letter), make("span", label));
  if (uses_labels) button.append(make("em", "uses test labels"));
  const row = make("li");
  row.append(button);
  return row;
}

function drawLegend(root, memory) {
  const [main] = memory.detectors;
  const all = main.id_names.length > 1 ? ", ids pooled" : "";
  const rows = memory.detectors.map((each) => legendRow(lineSample(each.colour), each.short + all, each.areas.pooled));
  if (main.id_names.length > 1) rows.splice(1, 0, legendRow(make("span"), "mean over ids", main.areas.mean));
  for (const { name, dash, colour, letter } of memory.curves.filter((curve) => curve.isThin))
    rows.push(legendRow(lineSample(colour, dash), `id ${letter}`, main.areas.per_id[Number(name.slice(2))]));
  rows.push(...memory.marks.map((mark) => markRow(mark, memory.choose)));
  find(root, ".legend").replaceChildren(...rows);
}

function precisionText({ normal, faulty }, prior) {
  const mix = Math.round((100 * faulty) / (normal + faulty));
  return `Solid: among the test clips (${mix} % anomalous). Dashed: one faulty clip in ${whole(Math.round(1 / prior))}.`;
}

function drawPanel(root, memory) {
  const [picture, detector] = [find(root, ".panel"), inHand(memory)];
  memory.bins = null;
  if (memory.look.panel === "pr" && isCurve(detector.list)) {
    drawPrecision(picture, detector.list, { prior: memory.numbers.prior, colour: detector.colour });
    find(root, ".beyond").textContent = precisionText(detector.list, memory.numbers.prior);
    return;
  }
  memory.bins = drawScores(picture, detector.list, detector.edges);
  const { below, above } = memory.bins;
  const parts = [below ? `${whole(below)} below` : "", above ? `${whole(above)} above` : ""].filter(Boolean);
  find(root, ".beyond").textContent = parts.length ? `Clips beyond the axis: ${parts.join(", ")}.` : "";
}

function drawChoices(root, memory) {
  const press = (group, value) => {
    for (const button of find(root, group).children) button.ariaPressed = `${button.value === value}`;
  };
  press(".group.ids", memory.look.ids);
  press(".group.panels", memory.look.panel);
  find(root, ".costs").ariaPressed = `${memory.look.costs}`;
  find(root, ".of-costs").hidden = !memory.look.costs;
  const { prior, every_s, ratio } = memory.numbers;
  const texts = { one_in: Number((1 / prior).toPrecision(4)), every_s, ratio };
  for (const [name, value] of Object.entries(texts)) {
    const input = find(root, `[data-number=${name}]`);
    if (root.activeElement !== input && input.getRootNode().activeElement !== input) input.value = whole(value);
  }
}

const costsOf = (memory) => (memory.look.costs ? memory.numbers : null);

// Everything that follows a choice of what is shown, unless it is drawn already; the handle with the focus keeps it.
export function drawStill(root, memory) {
  const still = JSON.stringify([memory.look, memory.numbers, memory.told.marks, memory.point.hand, memory.data.about]);
  if (memory.still === still) draw(root, memory);
  else {
    const focused = root.activeElement?.dataset.handle;
    memory.still = still;
    drawAll(root, memory);
    if (focused) root.querySelector(`[data-handle="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }
}

function drawAll(root, memory) {
  const { list } = inHand(memory);
  memory.curves = curvesOf(memory).filter((curve) => isCurve(curve.list));
  const hasCurve = memory.curves.length > 0;
  find(root, ".roc").hidden = !hasCurve;
  find(root, ".one-class").hidden = hasCurve;
  if (hasCurve) drawRoc(find(root, ".roc"), memory.curves);
  memory.marks = marksOf(root, memory, hasCurve);
  drawLegend(root, memory);
  drawPanel(root, memory);
  drawChoices(root, memory);
  find(root, ".matrix .of").textContent =
    memory.detectors.length > 1
      ? `${inHand(memory).short}, ${whole(list.scores.length)} test clips`
      : `${whole(list.scores.length)} test clips`;
  memory.bindHandles();
  draw(root, memory);
}

// Where the rules put the threshold on the first detector's curve, and the cheapest point where costs are shown.
function marksOf(root, memory, hasCurve) {
  const [{ list }] = memory.detectors;
  const marks = memory.told.marks.map((mark) => ({ ...mark, rates: ratesAt(list, rankOf(list, mark.threshold)) }));
  if (!hasCurve) return marks.map((mark, n) => ({ ...mark, letter: String.fromCharCode(65 + n) }));
  const cheapest = drawHull(find(root, ".roc"), list, costsOf(memory));
  if (cheapest !== null) {
    const threshold = thresholdAtRank(list, cheapest);
    marks.push({ threshold, label: "cheapest", uses_labels: true, rates: ratesAt(list, cheapest) });
  }
  const lettered = marks.map((mark, n) => ({ ...mark, letter: String.fromCharCode(65 + n), title: mark.label }));
  drawMarks(find(root, ".roc"), lettered);
  return lettered;
}

// ---- what follows each move

function sayHandle(memory, spot, { detector, threshold, counts }) {
  if (!spot || memory.drag) return;
  const { fp, tp, tn, fn } = counts;
  spot.ariaValueMin = "0";
  spot.ariaValueMax = `${detector.list.steps.length - 1}`;
  spot.ariaValueNow = `${stepAt(detector.list, rankOf(detector.list, threshold))}`;
  spot.ariaValueText = `threshold ${thresholdText(detector, threshold)}, false-alarm rate ${rate(fp, fp + tn)}, detection rate ${rate(tp, tp + fn)}`;
}

// A drag is not read out: what is said of a handle waits until it is let go.
function drawHandles(root, memory) {
  const picture = find(root, ".roc");
  memory.detectors.forEach((detector, hand) => {
    if (!isCurve(detector.list)) return;
    const counts = countsOf(memory, hand);
    const spot = placeHandle(picture, `d${hand}`, ratesOf(counts));
    spot?.classList.toggle("off-curve", !isOne(thresholdsOf(memory, hand)));
    sayHandle(memory, spot, { detector, threshold: thresholdsOf(memory, hand)[0], counts });
  });
  const [main] = memory.detectors;
  for (const { name } of memory.curves.filter((curve) => curve.isThin)) {
    const id = Number(name.slice(2));
    const [own, threshold] = [main.byId[id], thresholdsOf(memory, 0)[id]];
    const rank = rankOf(own, threshold);
    const spot = placeHandle(picture, name, ratesAt(own, rank));
    sayHandle(memory, spot, { detector: { list: own }, threshold, counts: countsAtRank(own, rank) });
  }
}

export function sayThreshold(root, memory) {
  const thresholds = thresholdsOf(memory);
  find(root, ".threshold input").value = isOne(thresholds) ? fourDigits(thresholds[0]) : "one per id";
}

function drawThreshold(root, memory, counts) {
  const [detector, thresholds] = [inHand(memory), thresholdsOf(memory)];
  const input = find(root, ".threshold input");
  if (input.getRootNode().activeElement !== input) sayThreshold(root, memory);
  input.title = thresholdText(detector, thresholds[0]);
  find(root, ".cockpit").dataset.now = isOne(thresholds)
    ? `threshold ${fourDigits(thresholds[0])}, `
    : "one threshold per machine id, ";
  if (memory.bins) {
    const line = placeLine(find(root, ".panel"), thresholds[0], detector.edges);
    if (line) line.ariaLabel = "Threshold among the scores";
    line?.classList.toggle("one-of-several", !isOne(thresholds));
    sayHandle(memory, line, { detector, threshold: thresholds[0], counts });
  } else placePrecision(find(root, ".panel"), detector.list, ratesOf(counts), memory.numbers.prior);
}

// Everything that follows the point; called at each move of a drag.
export function draw(root, memory) {
  const counts = countsOf(memory);
  if (memory.curves.length) {
    drawHandles(root, memory);
    drawCross(find(root, ".roc"), ratesOf(counts));
    drawIso(find(root, ".roc"), ratesOf(counts), costsOf(memory));
  }
  drawThreshold(root, memory, counts);
  drawCounts(root, counts);
  drawRare(root, counts, memory.numbers);
  drawFlipped(root, memory);
  const { past, at } = memory.history;
  find(root, ".undo").disabled = at === 0 && samePoint(past[at], memory.point);
  find(root, ".redo").disabled = at === past.length - 1;
}

function drawFlipped(root, memory) {
  const { list, id_names: names } = inHand(memory);
  const before =
    memory.before.hand === memory.point.hand ? memory.before.thresholds[memory.point.hand] : thresholdsOf(memory);
  const found = flipped(list, before, thresholdsOf(memory), MOST_FLIPS);
  const clips = found.ranks.map((rank) => ({
    rank,
    isNow: list.scores[rank] >= thresholdsOf(memory)[list.ids[rank]],
    label: list.anomalous[rank] ? "anomalous" : "normal",
    id: names[list.ids[rank]],
  }));
  const key = JSON.stringify([found, clips]);
  if (memory.drawnFlips === key) return;
  memory.drawnFlips = key;
  memory.clips = clips;
  drawFlips(root, found, clips, (rank) => pressFlip(root, memory, rank));
  markPlaying(root, memory);
}
