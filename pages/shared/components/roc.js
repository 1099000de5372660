// The ROC with an operating point to drag. While it moves, everything is computed here; Python hears of the release.

import {
  closeToTheRight,
  countsAt,
  held,
  isOvertaken,
  linePath,
  nearestPoint,
  placeAt,
  stepOf,
  thresholdText,
  tintOf,
} from "./curve.js";
import { find, make } from "./elements.js";
import { percent, rate, ratio, whole } from "./numbers.js";

const TICKS = [0, 0.2, 0.4, 0.6, 0.8, 1];
const LETTER_SHIFTS = ["7px 5px", "-24px -20px", "-24px -38px"];

function tickLabels(side) {
  return TICKS.map((share) => {
    const tick = make("span", share === 0 || share === 1 ? `${share}` : share.toFixed(1));
    tick.style[side] = `${100 * share}%`;
    return tick;
  });
}

function drawFrame(root, { data }) {
  const box = find(root, ".roc");
  for (const name of ["curve", "normal", "anomalous", "right", "wrong"])
    box.style.setProperty(`--${name}`, data.colours[name]);
  find(root, "[data-out=title]").textContent = data.title;
  find(root, ".xticks").replaceChildren(...tickLabels("left"));
  find(root, ".yticks").replaceChildren(...tickLabels("bottom"));
  const setPath = (name, d) => find(root, name).setAttribute("d", d);
  setPath(".grid", TICKS.map((share) => `M${1000 * share} 0V1000M0 ${1000 * share}H1000`).join(""));
  setPath(".chance", "M0 1000L1000 0");
  box.style.setProperty("--other", data.other?.colour || "var(--muted)");
  setPath(".other", data.other ? linePath(data.other.fpr, data.other.tpr) : "");
  const rates = (counts, clips) => counts.map((count) => count / clips);
  setPath(".curve", linePath(rates(data.fp, data.normal), rates(data.tp, data.anomalous)));
}

// The diamond on the curve and its letter.
function markerMark(letter, places, n) {
  const [x, y] = places[n];
  const at = { left: `${100 * x}%`, top: `${100 - 100 * y}%` };
  const [dot, tag] = [make("i"), make("b", letter)];
  Object.assign(dot.style, at);
  Object.assign(tag.style, at, { translate: LETTER_SHIFTS[Math.min(closeToTheRight(places, n), 2)] });
  return [dot, tag];
}

// The marker's button in the key, which also brings the point there.
function markerRow(letter, marker, choose) {
  const button = make("button", "", { type: "button", onclick: () => choose(marker.index) });
  button.append(make("b", letter), make("span", marker.label, { className: "name" }));
  if (marker.usesLabels) button.append(make("em", "uses test labels"));
  const row = make("li");
  row.append(button);
  return row;
}

function drawMarkers(root, { data }, choose) {
  const letters = data.markers.map((_, n) => String.fromCharCode(65 + n));
  const places = data.markers.map((marker) => placeAt(data, marker.index));
  const rows = data.markers.map((marker, n) => markerRow(letters[n], marker, choose));
  if (data.other) {
    const row = make("li");
    row.append(make("i"), make("span", data.other.label));
    rows.push(row);
  }
  find(root, ".marks").replaceChildren(...letters.flatMap((letter, n) => markerMark(letter, places, n)));
  find(root, ".key ul").replaceChildren(...rows);
}

function drawMatrix(root, { data }, counts) {
  const words = { tn: "right", fp: "false alarms", fn: "missed", tp: "right" };
  for (const name of ["tn", "fp", "fn", "tp"]) {
    const [k, of] = [counts[name], name === "tn" || name === "fp" ? data.normal : data.anomalous];
    const cell = find(root, `[data-cell=${name}]`);
    cell.replaceChildren(make("strong", whole(k)), make("small", `${percent(k, of)} ${words[name]}`));
    cell.style.setProperty("--tint", `${tintOf(k, of)}%`);
  }
}

// `right` clips of a class out of those `judged` and those `truly` of it.
function drawClass(out, name, right, judged, truly) {
  const share = (k, n) => [make("span", percent(k, n)), " ", make("small", ratio(k, n))];
  out(`${name}-precision`).replaceChildren(...share(right, judged));
  out(`${name}-recall`).replaceChildren(...share(right, truly));
  out(`${name}-f1`).textContent = ((2 * right) / (judged + truly)).toFixed(3);
}

function drawFigures(root, { data }, { fp, tp, tn, fn }, threshold) {
  const out = (name) => find(root, `[data-out=${name}]`);
  out("threshold").textContent = threshold;
  out("false-alarm-rate").textContent = rate(fp, data.normal);
  out("detection-rate").textContent = rate(tp, data.anomalous);
  out("accuracy").textContent = rate(tn + tp, data.normal + data.anomalous);
  drawClass(out, "normal", tn, tn + fn, data.normal);
  drawClass(out, "anomalous", tp, tp + fp, data.anomalous);
}

// Everything that follows the point; called at each move of a drag.
function draw(root, memory) {
  const { data, index } = memory;
  const [x, y] = placeAt(data, index);
  const counts = countsAt(data, index);
  const exact = data.exact !== null && index === data.index;
  const threshold = thresholdText(exact ? data.exact : data.thresholds[index]);
  const handle = find(root, ".handle");
  Object.assign(handle.style, { left: `${100 * x}%`, top: `${100 - 100 * y}%` });
  find(root, ".cross").setAttribute("d", `M0 ${1000 - 1000 * y}H${1000 * x}V1000`);
  drawFigures(root, memory, counts, threshold);
  drawMatrix(root, memory, counts);
  handle.ariaLabel = `Operating point: ${data.title}`;
  handle.ariaValueMax = `${data.fp.length - 1}`;
  handle.ariaValueNow = `${index}`;
  const rates = `false-alarm rate ${rate(counts.fp, data.normal)}, detection rate ${rate(counts.tp, data.anomalous)}`;
  handle.ariaValueText = `threshold ${threshold}, ${rates}`;
}

function pointUnder(root, { data }, event) {
  const box = find(root, ".plot").getBoundingClientRect();
  return nearestPoint(data, (event.clientX - box.left) / box.width, (box.bottom - event.clientY) / box.height);
}

// Python's point wins, except over a drag in progress and over an echo of a release that another has overtaken.
function follow(memory, data) {
  const fresh = memory.curve !== data.curve;
  const moved = data.index !== memory.given;
  Object.assign(memory, { data, curve: data.curve, given: data.index });
  if (fresh) Object.assign(memory, { index: data.index, reported: data.index, drag: null, sent: [] });
  if (fresh || !moved || isOvertaken(memory.sent, data.index, Date.now())) return;
  Object.assign(memory, { reported: data.index, sent: [] });
  if (memory.drag === null && !memory.keyed) memory.index = data.index;
}

function bindPointer(root, memory, move, commit) {
  const plot = find(root, ".plot");
  const end = () => {
    memory.drag = null;
    plot.classList.remove("dragging");
  };
  plot.onpointerdown = (event) => {
    if (event.button !== 0 || memory.drag !== null) return;
    event.preventDefault();
    Object.assign(memory, { drag: event.pointerId, before: memory.index });
    plot.setPointerCapture(event.pointerId);
    plot.classList.add("dragging");
    find(root, ".handle").focus({ preventScroll: true });
    move(pointUnder(root, memory, event));
  };
  plot.onpointermove = (event) => {
    if (event.pointerId === memory.drag) move(pointUnder(root, memory, event));
  };
  plot.onpointerup = (event) => {
    if (event.pointerId !== memory.drag) return;
    end();
    commit();
  };
  plot.onpointercancel = (event) => {
    if (event.pointerId !== memory.drag) return;
    end();
    move(memory.before);
  };
}

// A key that is held down repeats: Python hears of the point once, when it is let go.
function bindKeys(root, memory, move, commit) {
  const handle = find(root, ".handle");
  handle.onkeydown = (event) => {
    const step = stepOf(event.key, memory.data.fp.length);
    if (step === undefined || memory.drag !== null || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    memory.keyed = true;
    move(memory.index + step);
  };
  handle.onkeyup = handle.onblur = () => {
    if (!memory.keyed) return;
    memory.keyed = false;
    commit();
  };
}

// Called again at each change of data or theme: handlers are assigned, not added, and memory lives on the element.
export default function ({ data, parentElement: root, setTriggerValue }) {
  const box = find(root, ".roc");
  box.memory ??= { drag: null, keyed: false, sent: [] };
  const memory = box.memory;
  const move = (to) => {
    memory.index = held(to, memory.data.fp.length);
    draw(root, memory);
  };
  const commit = () => {
    if (memory.index === memory.reported) return;
    memory.reported = memory.index;
    memory.sent.push([memory.index, Date.now()]);
    setTriggerValue("point", { curve: memory.curve, index: memory.index });
  };
  const choose = (index) => {
    move(index);
    commit();
  };
  follow(memory, data);
  drawFrame(root, memory);
  drawMarkers(root, memory, choose);
  draw(root, memory);
  bindPointer(root, memory, move, commit);
  bindKeys(root, memory, move, commit);
}
