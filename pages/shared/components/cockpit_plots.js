// The two pictures of the cockpit as SVG: the ROC, and the scores or the precision over the recall.

import { binned, cheapestRank, drawnRanks, hullOf, isoCost, ratesAt, realShare } from "./decisions.js";
import { shape } from "./elements.js";
import { short } from "./numbers.js";

export const ROC_BOX = { left: 40, top: 8, width: 312, height: 290 };
export const PANEL_BOX = { left: 40, top: 14, width: 372, height: 138 };
const TICKS = [0, 0.2, 0.4, 0.6, 0.8, 1];
const ID_DASHES = ["7 3", "2 3", "9 3 2 3", "4 2", "1 4", "12 4", "6 2 1 2", "3 6"];

export const dashOf = (i) => ID_DASHES[i % ID_DASHES.length];

const placeX = (box, share) => box.left + box.width * share;
const placeY = (box, share) => box.top + box.height * (1 - share);

export function lineIn(box, points) {
  const spots = points.map(([x, y]) => `${placeX(box, x).toFixed(1)} ${placeY(box, y).toFixed(1)}`);
  return spots.length ? `M${spots.join("L")}` : "";
}

const layers = (picture) => picture.children; // [what stands still, what moves]

// Where an event lies in a picture's box, as shares from its lower left corner.
export function sharesOf(picture, box, event) {
  const svg = layers(picture)[1];
  const view = svg.viewBox.baseVal;
  const seen = svg.getBoundingClientRect();
  const x = ((event.clientX - seen.left) / seen.width) * view.width;
  const y = ((event.clientY - seen.top) / seen.height) * view.height;
  return [(x - box.left) / box.width, 1 - (y - box.top) / box.height];
}

function words(text, x, y, options = {}) {
  return Object.assign(shape("text", { x, y, ...options }), { textContent: text });
}

const tickText = (share) => (share === 0 || share === 1 ? `${share}` : share.toFixed(1));

function rateFrame(box, xTitle, yTitle) {
  const { left, top, width, height } = box;
  const grid = TICKS.map((t) => `M${placeX(box, t)} ${top}v${height}M${left} ${placeY(box, t)}h${width}`).join("");
  const below = top + height;
  return [
    shape("path", { class: "grid", d: grid }),
    ...TICKS.map((t) => words(tickText(t), placeX(box, t), below + 14, { "text-anchor": "middle" })),
    ...TICKS.map((t) => words(tickText(t), left - 5, placeY(box, t) + 4, { "text-anchor": "end" })),
    words(xTitle, left + width / 2, below + 29, { "text-anchor": "middle" }),
    words(yTitle, 10, top + height / 2, {
      "text-anchor": "middle",
      transform: `rotate(-90 10 ${top + height / 2})`,
    }),
  ];
}

export const curvePath = (list) =>
  lineIn(
    ROC_BOX,
    drawnRanks(list).map((rank) => ratesAt(list, rank)),
  );

function handle(name, label) {
  const group = shape("g", { class: "handle", role: "slider", tabindex: 0, "aria-label": label, "data-handle": name });
  group.append(shape("circle", { class: "grip", r: 22 }), shape("circle", { class: "knob", r: 8 }));
  return group;
}

function curveLine({ isThin, list, colour, dash }) {
  const line = shape("path", { class: isThin ? "curve thin" : "curve", d: curvePath(list) });
  Object.assign(line.style, { stroke: colour, strokeDasharray: dash ?? "" });
  return line;
}

function curveDot({ name, label, letter, colour, isFree }) {
  const dot = isFree ? handle(name, label) : shape("g", { class: "dot", "data-handle": name });
  if (!isFree) dot.append(shape("circle", { class: "knob", r: 4.5 }));
  dot.style.setProperty("--curve", colour);
  if (letter) dot.append(words(letter, 7, 14, { class: "small tag" }));
  return dot;
}

// Everything of the ROC that does not follow a move. `curves`: { name, list, colour, dash, label, isThin, isFree }.
export function drawRoc(picture, curves) {
  const { left, top, width, height } = ROC_BOX;
  const diagonal = [
    [0, 0],
    [1, 1],
  ];
  const backwards = [...curves].reverse();
  const [still, moving] = layers(picture);
  still.replaceChildren(
    shape("rect", { class: "band", x: left, y: top, width: width / 10, height }),
    words("pAUC region", left + width / 10 + 4, top + height - 5, { class: "small" }),
    ...rateFrame(ROC_BOX, "False-alarm rate (FPR)", "Detection rate (TPR)"),
    shape("path", { class: "chance", d: lineIn(ROC_BOX, diagonal) }),
    shape("path", { class: "hull" }),
    ...backwards.map(curveLine),
    shape("g", { class: "marks" }),
  );
  moving.replaceChildren(
    shape("path", { class: "iso" }),
    shape("path", { class: "cross" }),
    ...backwards.map(curveDot),
  );
}

export function placeHandle(picture, name, [fpr, tpr]) {
  const spot = picture.querySelector(`[data-handle="${CSS.escape(name)}"]`);
  spot?.setAttribute("transform", `translate(${placeX(ROC_BOX, fpr)} ${placeY(ROC_BOX, tpr)})`);
  return spot;
}

export function drawCross(picture, [fpr, tpr]) {
  picture.querySelector(".cross").setAttribute(
    "d",
    lineIn(ROC_BOX, [
      [0, tpr],
      [fpr, tpr],
      [fpr, 0],
    ]),
  );
}

// How many close marks lie to the right of the n-th: so far its letter moves out of their way.
function closeToTheRight(places, n) {
  const [x, y] = places[n];
  const isClose = ([a, b]) => Math.abs(a - x) < 0.08 && Math.abs(b - y) < 0.08;
  return places.filter((place, k) => isClose(place) && (place[0] > x || (place[0] === x && k > n))).length;
}

// Diamonds with letters where rules put the threshold. `marks`: { letter, rates, title }.
export function drawMarks(picture, marks) {
  const places = marks.map((mark) => mark.rates);
  const drawn = marks.map(({ letter, rates, title }, n) => {
    const [x, y] = [placeX(ROC_BOX, rates[0]), placeY(ROC_BOX, rates[1])];
    const group = shape("g", { class: "mark", transform: `translate(${x} ${y})` });
    const shift = 14 * Math.min(closeToTheRight(places, n), 2);
    group.append(
      Object.assign(shape("title", {}), { textContent: title }),
      shape("path", { d: "M0 -5L5 0L0 5L-5 0Z" }),
      words(letter, 9, 15 - shift, { class: "letter" }),
    );
    return group;
  });
  picture.querySelector(".marks").replaceChildren(...drawn);
}

// The hull once per curve; the line of equal costs at each move. `costs` null: neither.
export function drawHull(picture, list, costs) {
  picture.querySelector(".hull").setAttribute("d", costs ? lineIn(ROC_BOX, hullOf(list)) : "");
  return costs ? cheapestRank(list, costs) : null;
}

export function drawIso(picture, rates, costs) {
  picture.querySelector(".iso").setAttribute("d", costs ? lineIn(ROC_BOX, isoCost(rates, costs)) : "");
}

function barPath(counts, of, top, sign) {
  const { left, width, height, top: upper } = PANEL_BOX;
  const zero = upper + height / 2;
  const step = width / counts.length;
  let path = `M${left} ${zero}`;
  counts.forEach((count, i) => {
    const y = zero - (sign * (height / 2) * (of ? count / of : 0)) / top;
    path += `L${(left + i * step).toFixed(1)} ${y.toFixed(1)}h${step.toFixed(1)}`;
  });
  return `${path}L${left + width} ${zero}Z`;
}

function lineHandle() {
  const group = shape("g", { class: "line", role: "slider", tabindex: 0, "data-handle": "scores" });
  const { top, height } = PANEL_BOX;
  group.append(
    shape("rect", { class: "grip", x: -11, y: top - 10, width: 22, height: height + 12 }),
    shape("path", { class: "rule", d: `M0 ${top - 4}v${height + 4}` }),
    shape("path", { class: "knob", d: `M-7 ${top - 13}h14l-7 10Z` }),
  );
  return group;
}

// What share of the larger bars lies in the left half: words go where there is room.
function leftShare({ normal, faulty }) {
  const most = [...normal].map((count, i) =>
    Math.max(count / Math.max(...normal, 1), faulty[i] / Math.max(...faulty, 1)),
  );
  const sum = (bars) => bars.reduce((a, b) => a + b, 0);
  return sum(most.slice(0, most.length / 2)) / (sum(most) || 1);
}

// Normal clips upwards, anomalous ones downwards, each as a share of its class. Returns what lies beyond the axis.
export function drawScores(picture, list, edges) {
  const bins = binned(list, edges);
  const share = (counts, of) => Math.max(...counts) / (of || 1);
  const top = Math.max(share(bins.normal, list.normal), share(bins.faulty, list.faulty)) || 1;
  const { left, width, height, top: upper } = PANEL_BOX;
  const zero = upper + height / 2;
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((at) => [placeX(PANEL_BOX, at), edges[0] + at * (edges.at(-1) - edges[0])]);
  const anchors = ["start", "middle", "middle", "middle", "end"];
  const topText = `${Math.round(100 * top)} %`;
  const isFullOnTheLeft = leftShare(bins) > 0.5;
  const beside = (y) => (isFullOnTheLeft ? [left + width - 3, y, { "text-anchor": "end" }] : [left + 3, y]);
  const [still, moving] = layers(picture);
  still.replaceChildren(
    shape("path", { class: "grid", d: `M${left} ${upper}h${width}M${left} ${upper + height}h${width}` }),
    shape("path", { class: "bars normal", d: barPath(bins.normal, list.normal, top, 1) }),
    shape("path", { class: "bars anomalous", d: barPath(bins.faulty, list.faulty, top, -1) }),
    shape("path", { class: "zero", d: `M${left} ${zero}h${width}` }),
    words(topText, left - 5, upper + 4, { "text-anchor": "end" }),
    words("0", left - 5, zero + 4, { "text-anchor": "end" }),
    words(topText, left - 5, upper + height + 4, { "text-anchor": "end" }),
    ...ticks.map(([x, at], i) => words(short(at), x, upper + height + 16, { "text-anchor": anchors[i] })),
    words("Anomaly score (higher = more anomalous)", left + width / 2, upper + height + 31, {
      "text-anchor": "middle",
    }),
    words("normal \u2191", ...beside(upper + 11)),
    words("anomalous \u2193", ...beside(upper + height - 4)),
  );
  moving.replaceChildren(lineHandle());
  return bins;
}

export function placeLine(picture, threshold, edges) {
  const share = (threshold - edges[0]) / (edges.at(-1) - edges[0]);
  const within = Math.max(0, Math.min(1, share));
  const line = picture.querySelector(".line");
  line?.setAttribute("transform", `translate(${placeX(PANEL_BOX, within)} 0)`);
  line?.classList.toggle("beyond-axis", share !== within);
  return line;
}

function precisionPath(list, prior) {
  const points = drawnRanks(list)
    .filter((rank) => rank > 0)
    .map((rank) => ratesAt(list, rank))
    .map(([fpr, tpr]) => [tpr, realShare(fpr, tpr, prior)]);
  return lineIn(
    PANEL_BOX,
    points.filter(([, precision]) => precision !== null),
  );
}

// Precision over recall: as the test clips are mixed, and where faults are as rare as on a machine in use.
export function drawPrecision(picture, list, { prior, colour }) {
  const mix = list.faulty / (list.normal + list.faulty);
  const [tested, rare] = [shape("path", { class: "curve" }), shape("path", { class: "curve rare-curve" })];
  tested.setAttribute("d", precisionPath(list, mix));
  rare.setAttribute("d", precisionPath(list, prior));
  for (const line of [tested, rare]) line.style.stroke = colour;
  const dots = ["tested", "rare"].map((name) => {
    const dot = shape("g", { class: `dot ${name}` });
    dot.style.setProperty("--curve", colour);
    dot.append(shape("circle", { class: "knob", r: 5 }));
    return dot;
  });
  const [still, moving] = layers(picture);
  still.replaceChildren(...rateFrame(PANEL_BOX, "Recall of the anomalous class", "Precision"), tested, rare);
  moving.replaceChildren(...dots);
}

export function placePrecision(picture, list, [fpr, tpr], prior) {
  const mix = list.faulty / (list.normal + list.faulty);
  for (const [name, share] of Object.entries({ tested: mix, rare: prior })) {
    const precision = realShare(fpr, tpr, share);
    const dot = picture.querySelector(`.dot.${name}`);
    if (!dot) continue;
    dot.style.visibility = precision === null ? "hidden" : "visible";
    if (precision === null) continue;
    dot.setAttribute("transform", `translate(${placeX(PANEL_BOX, tpr)} ${placeY(PANEL_BOX, precision)})`);
  }
}

export function lineSample(colour, dash) {
  const sample = shape("svg", { viewBox: "0 0 22 8", "aria-hidden": "true" });
  const line = shape("path", { d: "M0 4h22" });
  Object.assign(line.style, { stroke: colour, strokeDasharray: dash ?? "" });
  sample.append(line);
  return sample;
}
