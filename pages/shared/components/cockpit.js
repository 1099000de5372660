// Threshold, curve, matrix and the clips that change class, in one piece: while something moves, all is computed here.
// Python hears of a threshold once it is let go, and of what is shown.

import { bindFlipSound, drawFlips, MOST_FLIPS, markPlaying, playFetched, pressFlip } from "./cockpit_flips.js";
import { askForSound, hearNow } from "./cockpit_now.js";
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
  PANEL_BOX,
  placeHandle,
  placeLine,
  placePrecision,
  ROC_BOX,
  sharesOf,
} from "./cockpit_plots.js";
import { fresh, isOlder, keyStep, recorded, samePoint, undone } from "./cockpit_state.js";
import { drawCounts, drawRare } from "./cockpit_tables.js";
import {
  countsAtRank,
  flipped,
  nearestRank,
  ranking,
  rankOf,
  ratesAt,
  ratesOf,
  stepAt,
  steppedRank,
  summed,
  thresholdAtRank,
} from "./decisions.js";
import { find, make } from "./elements.js";
import { hasKeys } from "./keys.js";
import { fourDigits, rate, whole } from "./numbers.js";
import { givesWay } from "./one_sound.js";
import { isPresented, onPresented } from "./presenting.js";

const ID_WAYS = { together: "Ids together", curves: "Curve per id", thresholds: "Threshold per id" };
const PANELS = { scores: "Scores", pr: "Precision and recall" };
const NUMBERS = { one_in: [1, 100_000], every_s: [0.1, 86_400], ratio: [0.01, 1000] };

const KEYS = [
  ["Space", "play, pause the clip that changed class"],
  ["Up, down", "the clip before, after it"],
  ["Arrows on the point", "move it by one step"],
  ["Page up, down, Home, End", "by a twentieth, to either end"],
  ["Ctrl+Z, Ctrl+Shift+Z", "undo, redo"],
];

const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

// A detector's clips as they came: by falling score, with their class and the number of their id.
function readDetector(told) {
  const scores = new Float64Array(bytesOf(told.scores).buffer);
  const anomalous = bytesOf(told.anomalous);
  const ids = new Uint16Array(bytesOf(told.ids).buffer);
  const list = { ...ranking(scores, anomalous), ids };
  const byId = told.id_names.map((_, id) => {
    const own = [...ids.keys()].filter((i) => ids[i] === id);
    return ranking(
      Float64Array.from(own, (i) => scores[i]),
      Uint8Array.from(own, (i) => anomalous[i]),
    );
  });
  return { ...told, list, byId };
}

const isCurve = (list) => list.normal > 0 && list.faulty > 0;
const inHand = (memory) => memory.detectors[memory.point.hand];
const thresholdsOf = (memory, hand = memory.point.hand) => memory.point.thresholds[hand];
const isOne = (thresholds) => thresholds.every((threshold) => threshold === thresholds[0]);

function countsOf(memory, hand = memory.point.hand) {
  const [{ list, byId }, thresholds] = [memory.detectors[hand], thresholdsOf(memory, hand)];
  if (isOne(thresholds)) return countsAtRank(list, rankOf(list, thresholds[0]));
  return summed(byId.map((own, id) => countsAtRank(own, rankOf(own, thresholds[id]))));
}

function thresholdText(detector, threshold) {
  return threshold > detector.list.scores[0] ? `${fourDigits(threshold)}, above every score` : fourDigits(threshold);
}

// ---- what is drawn once per choice of curves and pictures

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

function drawLegend(root, memory, choose) {
  const [main] = memory.detectors;
  const all = main.id_names.length > 1 ? ", ids pooled" : "";
  const rows = memory.detectors.map((each) => legendRow(lineSample(each.colour), each.short + all, each.areas.pooled));
  if (main.id_names.length > 1) rows.splice(1, 0, legendRow(make("span"), "mean over ids", main.areas.mean));
  for (const { name, dash, colour, letter } of memory.curves.filter((curve) => curve.isThin))
    rows.push(legendRow(lineSample(colour, dash), `id ${letter}`, main.areas.per_id[Number(name.slice(2))]));
  rows.push(...memory.marks.map((mark) => markRow(mark, choose)));
  find(root, ".legend").replaceChildren(...rows);
}

function precisionText({ normal, faulty }, prior) {
  const mix = Math.round((100 * faulty) / (normal + faulty));
  return `Solid: among the test clips (${mix} % anomalous). Dashed: one faulty clip in ${whole(Math.round(1 / prior))}.`;
}

function drawPanel(root, memory) {
  const [svg, detector] = [find(root, "svg.panel"), inHand(memory)];
  memory.bins = null;
  if (memory.look.panel === "pr" && isCurve(detector.list)) {
    drawPrecision(svg, detector.list, { prior: memory.numbers.prior, colour: detector.colour });
    find(root, ".beyond").textContent = precisionText(detector.list, memory.numbers.prior);
    return;
  }
  memory.bins = drawScores(svg, detector.list, detector.edges);
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
function drawStill(root, memory) {
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
  find(root, ".roc").style.display = hasCurve ? "" : "none";
  find(root, ".one-class").hidden = hasCurve;
  if (hasCurve) drawRoc(find(root, ".roc"), memory.curves);
  memory.marks = marksOf(root, memory, hasCurve);
  drawLegend(root, memory, (threshold) => {
    takeAll(memory, threshold);
    draw(root, memory);
    memory.commit();
  });
  drawPanel(root, memory);
  drawChoices(root, memory);
  find(root, ".matrix .of").textContent =
    memory.detectors.length > 1
      ? `${inHand(memory).short}, ${whole(list.scores.length)} test clips`
      : `${whole(list.scores.length)} test clips`;
  bindHandles(root, memory);
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
  const svg = find(root, ".roc");
  memory.detectors.forEach((detector, hand) => {
    if (!isCurve(detector.list)) return;
    const counts = countsOf(memory, hand);
    const spot = placeHandle(svg, `d${hand}`, ratesOf(counts));
    spot?.classList.toggle("off-curve", !isOne(thresholdsOf(memory, hand)));
    sayHandle(memory, spot, { detector, threshold: thresholdsOf(memory, hand)[0], counts });
  });
  const [main] = memory.detectors;
  for (const { name } of memory.curves.filter((curve) => curve.isThin)) {
    const id = Number(name.slice(2));
    const [own, threshold] = [main.byId[id], thresholdsOf(memory, 0)[id]];
    const rank = rankOf(own, threshold);
    const spot = placeHandle(svg, name, ratesAt(own, rank));
    sayHandle(memory, spot, { detector: { list: own }, threshold, counts: countsAtRank(own, rank) });
  }
}

function drawThreshold(root, memory, counts) {
  const [detector, thresholds] = [inHand(memory), thresholdsOf(memory)];
  const input = find(root, ".threshold input");
  const said = isOne(thresholds) ? fourDigits(thresholds[0]) : "one per id";
  if (input.getRootNode().activeElement !== input) input.value = said;
  input.title = thresholdText(detector, thresholds[0]);
  if (memory.bins) {
    const line = placeLine(find(root, "svg.panel"), thresholds[0], detector.edges);
    if (line) line.ariaLabel = "Threshold among the scores";
    sayHandle(memory, line, { detector, threshold: thresholds[0], counts });
  } else placePrecision(find(root, "svg.panel"), detector.list, ratesOf(counts), memory.numbers.prior);
}

// Everything that follows the point; called at each move of a drag.
function draw(root, memory) {
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

// ---- moves

const holding = (memory, hand, thresholds) => ({
  hand,
  thresholds: memory.point.thresholds.map((own, each) => (each === hand ? thresholds : own)),
});

function takeAll(memory, threshold, hand = memory.point.hand) {
  memory.point = holding(
    memory,
    hand,
    memory.detectors[hand].id_names.map(() => threshold),
  );
}

function takeId(memory, id, threshold) {
  const own = thresholdsOf(memory, 0).map((before, each) => (each === id ? threshold : before));
  memory.point = holding(memory, 0, own);
}

// The list that a handle moves along, and how it takes a threshold.
function railOf(memory, name) {
  if (name.startsWith("id")) {
    const id = Number(name.slice(2));
    return {
      list: memory.detectors[0].byId[id],
      hand: 0,
      now: thresholdsOf(memory, 0)[id],
      take: (t) => takeId(memory, id, t),
    };
  }
  const hand = name === "scores" ? memory.point.hand : Number(name.slice(1));
  const { list } = memory.detectors[hand];
  return { list, hand, now: thresholdsOf(memory, hand)[0], take: (t) => takeAll(memory, t, hand) };
}

function moveTo(root, memory, name, shares) {
  const rail = railOf(memory, name);
  if (name === "scores") {
    const edges = inHand(memory).edges;
    const at = edges[0] + Math.max(0, Math.min(1, shares[0])) * (edges.at(-1) - edges[0]);
    rail.take(Number(at.toPrecision(4)));
  } else rail.take(thresholdAtRank(rail.list, nearestRank(rail.list, ...shares)));
  draw(root, memory);
}

function grasp(root, memory, name) {
  memory.before = memory.point;
  const { hand } = railOf(memory, name);
  if (hand === memory.point.hand) return;
  memory.point = { ...memory.point, hand };
  memory.before = memory.point;
  drawStill(root, memory);
}

// A key that is held down repeats: Python hears of the point once, when it is let go.
function keyMove(root, memory, { name, event }) {
  const step = keyStep(event.key, railOf(memory, name).list.steps.length);
  if (step === undefined || memory.drag) return;
  event.preventDefault();
  if (memory.keyed !== name) grasp(root, memory, name);
  memory.keyed = name;
  const { list, now, take } = railOf(memory, name);
  take(thresholdAtRank(list, steppedRank(list, rankOf(list, now), name === "scores" ? -step : step)));
  draw(root, memory);
  root.querySelector(`[role=slider][data-handle="${CSS.escape(name)}"]`)?.focus({ preventScroll: true });
}

const isForBrowser = (event) => event.altKey || event.ctrlKey || event.metaKey;

function bindHandles(root, memory) {
  for (const spot of root.querySelectorAll("[role=slider]")) {
    const name = spot.dataset.handle;
    spot.onkeydown = (event) => {
      if (!isForBrowser(event)) keyMove(root, memory, { name, event });
    };
    spot.onkeyup = spot.onblur = () => {
      if (!memory.keyed) return;
      memory.keyed = null;
      memory.commit();
    };
  }
}

// The handle under a pointer, else the curve's own point, which then comes there.
function handleUnder(event, fallback) {
  const spot = event.target.closest("[role=slider]");
  return spot ? spot.dataset.handle : fallback;
}

function bindDrag(root, memory, { svg, box, fallback }) {
  const end = () => {
    memory.drag = null;
    svg.classList.remove("dragging");
  };
  svg.onpointerdown = (event) => {
    const name = handleUnder(event, fallback());
    if (event.button !== 0 || memory.drag || !name) return;
    event.preventDefault();
    const shares = sharesOf(svg, box, event);
    if (fallback() === name && (shares[0] < -0.05 || shares[1] < -0.05)) return;
    grasp(root, memory, name);
    memory.drag = { id: event.pointerId, name };
    svg.setPointerCapture(event.pointerId);
    svg.classList.add("dragging");
    svg.querySelector(`[data-handle="${CSS.escape(name)}"]`)?.focus({ preventScroll: true });
    moveTo(root, memory, name, shares);
  };
  svg.onpointermove = (event) => {
    if (memory.drag?.id === event.pointerId) moveTo(root, memory, memory.drag.name, sharesOf(svg, box, event));
  };
  svg.onpointerup = (event) => {
    if (memory.drag?.id !== event.pointerId) return;
    end();
    draw(root, memory);
    memory.commit();
  };
  svg.onpointercancel = (event) => {
    if (memory.drag?.id !== event.pointerId) return;
    end();
    memory.point = memory.before;
    draw(root, memory);
  };
}

function stepBack(root, memory, by) {
  const history = undone(memory.history, by);
  if (history.at === memory.history.at) return;
  memory.before = { ...memory.point, hand: history.past[history.at].hand };
  memory.history = history;
  memory.point = history.past[history.at];
  drawStill(root, memory);
  memory.send();
}

function typed(root, memory) {
  const input = find(root, ".threshold input");
  const value = Number(input.value.replace("\u2212", "-").replaceAll(",", ""));
  if (input.value.trim() === "" || !Number.isFinite(value)) return;
  memory.before = memory.point;
  takeAll(memory, value);
  draw(root, memory);
  memory.commit();
}

function typedNumber(root, memory, input) {
  const name = input.dataset.number;
  const value = Number(input.value.replaceAll(",", ""));
  const [low, high] = NUMBERS[name];
  if (input.value.trim() !== "" && value >= low && value <= high) {
    const found = name === "one_in" ? { prior: 1 / value } : { [name]: value };
    memory.numbers = { ...memory.numbers, ...found };
    memory.tell("numbers", memory.numbers);
  }
  drawStill(root, memory);
}

// ---- choices

function bindGroup(root, memory, { group, options, name }) {
  const box = find(root, group);
  if (!box.children.length)
    box.append(...Object.entries(options).map(([value, text]) => make("button", text, { type: "button", value })));
  for (const button of box.children)
    button.onclick = () => {
      look(root, memory, { [name]: button.value });
    };
}

function look(root, memory, change) {
  const wasPerId = memory.look.ids === "thresholds";
  memory.look = { ...memory.look, ...change };
  if (wasPerId && memory.look.ids !== "thresholds" && !isOne(thresholdsOf(memory, 0))) {
    memory.before = { ...memory.point, hand: 0 };
    takeAll(memory, memory.told.thresholds[0], 0);
  }
  drawStill(root, memory);
  memory.tell("look", memory.look);
}

function bindChoices(root, memory) {
  bindGroup(root, memory, { group: ".group.ids", options: ID_WAYS, name: "ids" });
  bindGroup(root, memory, { group: ".group.panels", options: PANELS, name: "panel" });
  find(root, ".group.ids").hidden = memory.detectors[0].id_names.length < 2;
  find(root, ".costs").onclick = () => look(root, memory, { costs: !memory.look.costs });
  find(root, ".undo").onclick = () => stepBack(root, memory, -1);
  find(root, ".redo").onclick = () => stepBack(root, memory, 1);
  find(root, ".threshold input").onchange = () => typed(root, memory);
  for (const input of root.querySelectorAll("[data-number]")) input.onchange = () => typedNumber(root, memory, input);
  for (const cell of root.querySelectorAll("[data-cell]")) cell.onclick = () => memory.tell("cell", cell.dataset.cell);
  find(root, ".cockpit").onkeydown = (event) => {
    if (event.key.toLowerCase() !== "z" || !(event.ctrlKey || event.metaKey) || event.target.matches("input")) return;
    event.preventDefault();
    stepBack(root, memory, event.shiftKey ? 1 : -1);
  };
}

// ---- Python and the presenter

function pointOf(memory, told) {
  const thresholds = memory.detectors.map((detector, hand) =>
    detector.id_names.map((_, id) => (hand === 0 && told.per_id?.[id]) || told.thresholds[hand]),
  );
  return { hand: Math.min(told.hand, memory.detectors.length - 1), thresholds };
}

// Python's point wins, except over a drag in progress and where it has not heard of the last release yet.
function follow(root, memory, told) {
  if (told.about !== memory.data.about) return;
  const { sounds, ...rest } = told;
  memory.sounds = sounds;
  playFetched(root, memory);
  const said = JSON.stringify(rest);
  if (memory.said === said) return; // only sounds have come
  memory.said = said;
  takeSaid(memory, told);
  memory.drawnFlips = null;
  drawStill(root, memory);
}

function takeSaid(memory, told) {
  const point = pointOf(memory, told);
  const isFirst = !memory.told;
  const isMoved = !isFirst && !samePoint(memory.given, point);
  Object.assign(memory, { told, given: point, look: told.look, numbers: told.numbers });
  if (isFirst) Object.assign(memory, { point, before: point, reported: point, history: fresh(point) });
  else if (isOlder(memory.awaited, told.heard)) return;
  memory.awaited = null;
  if (isMoved) takeTold(memory, point);
}

function takeTold(memory, point) {
  memory.reported = point;
  if (memory.drag || memory.keyed || samePoint(memory.point, point)) return;
  memory.before = { ...memory.point, hand: point.hand };
  memory.point = point;
  memory.history = recorded(memory.history, point);
}

function bindMessages(root, memory, setTriggerValue) {
  memory.tell = (name, value) =>
    setTriggerValue(name, { about: memory.data.about, ...(typeof value === "object" ? value : { value }) });
  memory.send = () => {
    const thresholds = thresholdsOf(memory);
    memory.reported = memory.point;
    memory.awaited = crypto.randomUUID?.() ?? `${Math.random()}`; // without TLS there is no `randomUUID`
    memory.tell("move", {
      token: memory.awaited,
      hand: memory.point.hand,
      threshold: isOne(thresholds) ? thresholds[0] : memory.told.thresholds[0],
      per_id: isOne(thresholds) ? null : thresholds,
    });
  };
  memory.commit = () => {
    if (samePoint(memory.point, memory.reported)) return;
    memory.history = recorded(memory.history, memory.point);
    memory.revealed = false;
    hide(root, memory);
    draw(root, memory);
    memory.send();
  };
}

function hide(root, memory) {
  const hides = isPresented() && !memory.revealed;
  find(root, ".cockpit").classList.toggle("hides", hides);
  find(root, ".cockpit").classList.toggle("wall", isPresented());
  find(root, ".reveal").hidden = !isPresented();
  find(root, ".reveal").textContent = memory.revealed ? "Hide (R)" : "Reveal (R)";
}

function bindPresenter(root, memory) {
  const reveal = () => {
    memory.revealed = !memory.revealed;
    hide(root, memory);
  };
  const playAt = (at) => {
    const clip = memory.clips?.[at];
    if (!clip) return;
    memory.at = at;
    pressFlip(root, memory, clip.rank);
  };
  const acts = {
    reveal,
    next: () => playAt(((memory.at ?? -1) + 1) % Math.max(memory.clips?.length ?? 0, 1)),
    play: () => playAt(memory.at ?? 0),
    changed: () => hide(root, memory),
  };
  const beside = (by) => playAt(Math.max(0, Math.min(memory.clips.length - 1, (memory.at ?? -by) + by)));
  const commands = { " ": acts.play, ArrowDown: () => beside(1), ArrowUp: () => beside(-1) };
  find(root, ".reveal").onclick = reveal;
  hasKeys(find(root, ".cockpit"), { keys: KEYS, commandOf: (key) => commands[key] });
  return onPresented(({ act }) => acts[act]?.());
}

function load(memory, data) {
  if (memory.data?.about === data.about) return;
  Object.assign(memory, {
    told: null,
    said: null,
    still: null,
    sounds: {},
    drag: null,
    keyed: null,
    clips: [],
  });
  Object.assign(memory, { awaited: null, played: null, waits: null, at: null, ask: askForSound });
  memory.detectors = data.detectors.map(readDetector);
}

// Called again at each change of data or theme: handlers are assigned, not added, and memory lives on the element.
export default function ({ data, parentElement: root, setTriggerValue }) {
  const box = find(root, ".cockpit");
  box.memory ??= { revealed: false };
  const memory = box.memory;
  load(memory, data);
  memory.data = data;
  for (const [name, colour] of Object.entries(data.colours)) box.style.setProperty(`--${name}`, colour);
  bindMessages(root, memory, setTriggerValue);
  bindChoices(root, memory);
  bindFlipSound(root, memory);
  const [roc, panel, audio] = [find(root, ".roc"), find(root, "svg.panel"), find(root, "audio")];
  bindDrag(root, memory, { svg: roc, box: ROC_BOX, fallback: () => `d${memory.point.hand}` });
  bindDrag(root, memory, { svg: panel, box: PANEL_BOX, fallback: () => (memory.bins ? "scores" : null) });
  memory.ends?.forEach((end) => {
    end();
  });
  const quiet = givesWay(
    (other) => other === audio,
    () => audio.pause(),
  );
  memory.ends = [quiet, bindPresenter(root, memory), hearNow((told) => follow(root, memory, told))];
  hide(root, memory);
  return () => {
    audio.pause();
    box.endKeys();
    memory.ends.forEach((end) => {
      end();
    });
  };
}
