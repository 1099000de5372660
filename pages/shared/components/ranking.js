// Detectors ranked by their mean AUC in one picture: intervals, who beats whom, rates, and what they are held against.

import { find, make, shape } from "./elements.js";
import { columnsOf, fitted, placeOn } from "./ranking_layout.js";

const SIGNS = { better: "\u25B2", worse: "\u25BC", even: "=" };
const TYPE = 14;
const SMALL = 12;
const HEAD = 42;
const ROW = { wide: 54, narrow: 158 };
const REFERENCE = { wide: 23, narrow: 42 };
const TITLE = 26;

const rowHeight = (at) => (at.narrow ? ROW.narrow : ROW.wide);
const referenceHeight = (at) => (at.narrow ? REFERENCE.narrow : REFERENCE.wide);

function words(text, x, y, { size = TYPE, className = "", anchor = "start" } = {}) {
  const element = shape("text", { x, y, "font-size": size, class: className, "text-anchor": anchor });
  element.textContent = text;
  return element;
}

function stretch(className, x1, y1, x2, y2) {
  return shape("line", { class: className, x1, y1, x2, y2 });
}

function tooltip(element, text) {
  const title = shape("title", {});
  title.textContent = text;
  element.append(title);
  return element;
}

// A detector's mark: its shape in a box of 16 by 16, in its colour.
function markOf(row, x, y, size) {
  const group = shape("g", {
    transform: `translate(${x - size / 2} ${y - size / 2}) scale(${size / 16})`,
    fill: row.colour,
  });
  const template = new DOMParser().parseFromString(
    `<svg xmlns="http://www.w3.org/2000/svg">${row.shape}</svg>`,
    "image/svg+xml",
  );
  for (const node of [...template.documentElement.children]) {
    const drawn = document.importNode(node, true);
    drawn.setAttribute("class", "outline");
    group.append(drawn);
  }
  return group;
}

// A figure in bold with its interval or counts beside it, each marked for those who read the page by program.
function figure(name, [value, beside], x, y) {
  const text = words("", x, y, { className: `figure ${name}` });
  const bold = shape("tspan", { class: "value" });
  bold.textContent = value;
  const range = shape("tspan", { class: "range", "font-size": SMALL, dx: 5 });
  range.textContent = beside;
  text.append(bold, range);
  return text;
}

function intervalOn(row, axis, limits, y, low, high) {
  if (!limits) return [];
  const [from, to] = limits.map((value) => placeOn(axis, value, low, high));
  const parts = [
    stretch("interval", from, y, to, y),
    stretch("interval", from, y - 4, from, y + 4),
    stretch("interval", to, y - 4, to, y + 4),
  ];
  for (const part of parts) part.style.stroke = row.colour;
  return parts;
}

function drawName(row, at, y) {
  const width = at.narrow ? at.against - 30 : 140;
  const name = words(fitted(row.name, width - 42, TYPE + 1), 42, y + 19, { size: TYPE + 1, className: "head name" });
  const long = words(fitted(row.title, width, SMALL - 0.5), 0, y + 39, { size: SMALL - 0.5, className: "small" });
  const parts = [
    words(row.auc ? `${row.rank}` : "\u2013", 0, y + 19, { size: TYPE + 1, className: "small rank" }),
    markOf(row, 27, y + 14, 16),
    tooltip(name, row.title),
  ];
  return row.title === row.name ? parts : [...parts, tooltip(long, row.title)];
}

function drawArea(row, data, at, y) {
  const parts = [figure("auc", row.aucText, at.area[0], y + 17)];
  if (!row.auc) return parts;
  const { low, high } = data.axis;
  const x = placeOn(at.area, row.auc[0], low, high);
  return [...parts, ...intervalOn(row, at.area, row.auc[1], y + 34, low, high), markOf(row, x, y + 34, 15)];
}

function drawRate(rate, row, at, column, y) {
  const name = column ? "detection" : "false-alarms";
  if (!rate) return [figure(name, ["\u2013", ""], at.rates[column][0], y + 17)];
  const track = [at.rates[column][0], at.rates[column][1] - 6];
  const dot = shape("circle", {
    cx: placeOn(track, rate.share, 0, 1),
    cy: y + 29,
    r: 4.5,
    fill: row.colour,
    class: "outline",
  });
  return [
    figure(name, rate.text, track[0], y + 17),
    stretch("track", track[0], y + 29, track[0] + track[1], y + 29),
    ...intervalOn(row, track, rate.limits, y + 29, 0, 1),
    dot,
    words(rate.range, track[0], y + 46, { size: SMALL - 0.5, className: `small ${name}-range` }),
  ];
}

function cellOf(state, row, other, against, x, y, size) {
  const cell = shape("g", {
    class: `cell ${against.outcome}`,
    role: "button",
    tabindex: 0,
    "aria-label": against.words,
    "aria-pressed": `${state.pressed === against.words}`,
    "data-row": row.name,
    "data-other": other.name,
  });
  const sign = words(SIGNS[against.outcome], x + size / 2, y + size / 2 + 5, { size: TYPE });
  cell.append(shape("rect", { x: x + 1, y: y + 1, width: size - 2, height: size - 2, rx: 4 }), sign);
  cell.onclick = () => state.press(against.words);
  cell.onkeydown = (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    event.stopPropagation();
    state.press(against.words);
  };
  return tooltip(cell, against.words);
}

function drawAgainst(state, row, data, at, y) {
  return row.against.flatMap((against, n) => {
    const x = at.against + n * at.cell;
    const name = at.narrow ? [markOf(data.rows[n], x + at.cell / 2, y - 9, 11)] : [];
    if (against) return [...name, cellOf(state, row, data.rows[n], against, x, y, at.cell)];
    return [...name, words("\u00B7", x + at.cell / 2, y + at.cell / 2 + 5, { className: "small", anchor: "middle" })];
  });
}

// A narrow picture has no axis above its rows: each area lies on a line with the numbers of its ends.
function drawEnds(data, at, y) {
  if (!data.axis) return [];
  const [start, length] = at.area;
  const { low, high } = data.axis;
  return [
    stretch("track", start, y, start + length, y),
    words(`${low}`, start, y + 15, { size: SMALL - 1, className: "tick" }),
    words(`${high}`, start + length, y + 15, { size: SMALL - 1, className: "tick", anchor: "end" }),
  ];
}

function drawRow(state, row, data, at, y) {
  if (!at.narrow) {
    return [
      ...drawName(row, at, y),
      ...drawArea(row, data, at, y),
      ...drawAgainst(state, row, data, at, y + (rowHeight(at) - at.cell) / 2 - 2),
      ...row.rates.flatMap((rate, column) => drawRate(rate, row, at, column, y)),
    ];
  }
  return [
    ...drawName(row, at, y),
    ...drawAgainst(state, row, data, at, y + 22),
    ...drawEnds(data, at, y + 86),
    ...drawArea(row, data, at, y + 52),
    ...row.rates.flatMap((rate, column) => drawRate(rate, row, at, column, y + 104)),
  ];
}

function drawReference(reference, data, at, y) {
  const { low, high } = data.axis;
  const x = placeOn(at.area, reference.auc, low, high);
  const line = at.narrow ? y + 30 : y + 12;
  const mark = shape("circle", { cx: x, cy: line, r: 5, class: "reference" });
  const left = at.narrow ? 0 : at.area[0] + at.area[1] + 18;
  const room = data.width - left - 48;
  const text = figure("held", [reference.text, fitted(reference.name, room, SMALL)], left, y + 16);
  return [tooltip(mark, reference.name), tooltip(text, `${reference.text} ${reference.name}`)];
}

// References lie beside their group's name, or below it where there is little room.
function drawGroup(group, data, at, y) {
  const start = at.narrow ? TITLE : 0;
  const title = at.narrow ? `${group.title}, ${group.note}` : group.title;
  const parts = [
    words(fitted(title, at.narrow ? data.width : 150, SMALL + 1), 0, y + 16, { size: SMALL + 1, className: "head" }),
  ];
  if (!at.narrow && group.references.length > 1)
    parts.push(words(group.note, 0, y + 33, { size: SMALL - 0.5, className: "small" }));
  group.references.forEach((reference, n) => {
    parts.push(...drawReference(reference, data, at, y + start + n * referenceHeight(at)));
  });
  return { parts, height: start + group.references.length * referenceHeight(at) + 6 };
}

function drawHead(data, at) {
  if (at.narrow)
    return [
      words("Mean AUC over ids; then false-alarm rate, detection rate", 0, 14, { size: SMALL, className: "head" }),
    ];
  const head = (text, x) => words(text, x, 14, { size: SMALL + 0.5, className: "head" });
  const parts = [
    head("Mean AUC over ids, 95 % interval", at.area[0]),
    head("False-alarm rate", at.rates[0][0]),
    head("Detection rate", at.rates[1][0]),
  ];
  if (data.rows.length > 1) {
    const centre = (n) => at.against + (n + 0.5) * at.cell;
    parts.push(...data.rows.map((row, n) => tooltip(markOf(row, centre(n), 30, 13), row.title)));
    parts.push(head(data.rows.length > 2 ? "Against" : "vs", at.against));
  }
  return parts;
}

function drawAxis(data, at, bottom) {
  if (at.narrow || !data.axis) return [];
  const { low, high, ticks } = data.axis;
  const parts = ticks.flatMap((tick) => {
    const x = placeOn(at.area, tick.at, low, high);
    return [
      stretch("grid", x, HEAD - 4, x, bottom),
      words(tick.text, x, HEAD - 9, { size: SMALL - 1, className: "tick", anchor: "middle" }),
    ];
  });
  if (data.trivial === null) return parts;
  const x = placeOn(at.area, data.trivial, low, high);
  return [...parts, stretch("trivial", x, HEAD - 4, x, bottom)];
}

function pictureOf(state, data, width, unit) {
  const at = columnsOf(width, data.rows.length);
  const sized = { ...data, width };
  const top = at.narrow ? 24 : HEAD;
  const parts = [];
  let y = top;
  for (const row of data.rows) {
    if (y > top) parts.push(stretch("rule", 0, y - 2, width, y - 2));
    const line = shape("g", { class: "row", role: "group", "aria-label": row.alt, "data-detector": row.name });
    line.append(...drawRow(state, row, sized, at, y));
    parts.push(line);
    y += rowHeight(at);
  }
  for (const group of data.groups) {
    parts.push(stretch("rule", 0, y - 2, width, y - 2));
    const drawn = drawGroup(group, sized, at, y + 2);
    parts.push(...drawn.parts);
    y += drawn.height;
  }
  const svg = shape("svg", {
    viewBox: `0 0 ${width} ${y}`,
    width: width * unit,
    height: y * unit,
    role: "group",
    "aria-label": data.alt,
  });
  svg.append(...drawHead(sized, at), ...drawAxis(sized, at, y - 4), ...parts);
  return svg;
}

const unitOf = (box) => Number.parseFloat(getComputedStyle(box).fontSize) / TYPE || 1;

function draw(root, state, data) {
  const box = find(root, ".picture");
  const focused = root.activeElement?.getAttribute?.("aria-label") ?? null;
  const unit = unitOf(box);
  const width = Math.max(260, Math.floor(box.clientWidth / unit));
  box.replaceChildren(pictureOf(state, data, width, unit));
  find(root, ".pair").textContent = state.pressed ?? "";
  if (focused) [...box.querySelectorAll(".cell")].find((cell) => cell.getAttribute("aria-label") === focused)?.focus();
}

const states = new WeakMap();

export default function ({ data, parentElement: root }) {
  const state = states.get(root) ?? { pressed: null };
  states.set(root, state);
  const redraw = () => draw(root, state, data);
  state.press = (text) => {
    state.pressed = state.pressed === text ? null : text;
    redraw();
  };
  const lead = find(root, ".lead");
  lead.replaceChildren(...data.lead.map((text, n) => (n % 2 ? make("b", text) : document.createTextNode(text))));
  find(root, ".key").textContent = data.key;
  redraw();
  const watch = new ResizeObserver(redraw);
  watch.observe(find(root, ".picture"));
  return () => watch.disconnect();
}
