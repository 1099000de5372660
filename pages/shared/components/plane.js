// Clips as marks on a plane: a press chooses the nearest one, a stroke around some selects them.

import { find, make, shape } from "./elements.js";
import { cornersOf, isLasso, nearestPlace, shareOn, written } from "./plane_places.js";

const MARGIN = { left: 58, right: 14, top: 10, bottom: 44 };
const MOST_CORNERS = 28;
const REACH = 18;
const FORMS = {
  circle: "M-4.2 0a4.2 4.2 0 1 0 8.4 0a4.2 4.2 0 1 0-8.4 0z",
  square: "M-3.8-3.8h7.6v7.6h-7.6z",
  diamond: "M0-5.4L5.4 0 0 5.4-5.4 0z",
  cross: "M-1.6-5h3.2v3.4h3.4v3.2h-3.4v3.4h-3.2v-3.4h-3.4v-3.2h3.4z",
  "triangle-up": "M0-5l5 9h-10z",
  "triangle-down": "M0 5l5-9h-10z",
  "triangle-right": "M5 0l-9 5v-10z",
  "triangle-left": "M-5 0l9 5v-10z",
};

const memories = new WeakMap();

function sizeOf(box) {
  const width = Math.max(260, box.clientWidth);
  return { width, height: width < 520 ? 340 : Math.min(640, Math.max(420, 0.42 * width)) };
}

// From shares of the two axes to pixels of the picture, and back.
function frameOf({ width, height }) {
  const across = width - MARGIN.left - MARGIN.right;
  const up = height - MARGIN.top - MARGIN.bottom;
  return {
    width,
    height,
    place: ([x, y]) => [MARGIN.left + across * x, MARGIN.top + up * (1 - y)],
    share: ([px, py]) => [(px - MARGIN.left) / across, 1 - (py - MARGIN.top) / up],
  };
}

function line(className, [x1, y1], [x2, y2]) {
  return shape("line", { class: className, x1, y1, x2, y2 });
}

function label(text, x, y, attributes) {
  const element = shape("text", { x, y, "font-size": 12, ...attributes });
  element.textContent = text;
  return element;
}

function axisParts({ axes, lines }, frame) {
  const parts = [];
  const [across, up] = axes;
  for (const tick of across.ticks) {
    const at = shareOn(across, tick.at);
    const [x, y] = frame.place([at, 0]);
    parts.push(line("grid", [x, y], frame.place([at, 1])), label(tick.text, x, y + 16, { "text-anchor": "middle" }));
  }
  for (const tick of up.ticks) {
    const at = shareOn(up, tick.at);
    const [x, y] = frame.place([0, at]);
    parts.push(line("grid", [x, y], frame.place([1, at])), label(tick.text, x - 6, y + 4, { "text-anchor": "end" }));
  }
  const [right, bottom] = frame.place([1, 0]);
  const turned = { class: "title", "text-anchor": "middle", transform: "rotate(-90)" };
  parts.push(label(across.title, right, bottom + 36, { class: "title", "text-anchor": "end" }));
  parts.push(label(up.title, -(MARGIN.top + bottom) / 2, 13, turned));
  const [x, y] = lines;
  if (x !== null) parts.push(limit(frame, [shareOn(across, x.at), 0], [shareOn(across, x.at), 1], x.text));
  if (y !== null) parts.push(limit(frame, [0, shareOn(up, y.at)], [1, shareOn(up, y.at)], y.text));
  return parts;
}

function limit(frame, from, to, text) {
  const element = line("limit", frame.place(from), frame.place(to));
  const title = shape("title", {});
  title.textContent = text;
  element.append(title);
  return element;
}

const drawnMark = (group, [x, y]) =>
  shape("path", { class: "mark", d: FORMS[group.form], fill: group.colour, transform: `translate(${x} ${y})` });

const outlineOf = (corners) => `M${corners.map((corner) => corner.map((at) => at.toFixed(1)).join(" ")).join("L")}Z`;

function placesOf({ axes, xs, ys }, frame) {
  return xs.map((x, n) => frame.place([shareOn(axes[0], x), shareOn(axes[1], ys[n])]));
}

function draw(root, memory) {
  const { data } = memory;
  const box = find(root, ".chart");
  memory.frame = frameOf(sizeOf(box));
  memory.places = placesOf(data, memory.frame);
  const { width, height } = memory.frame;
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": data.alt });
  svg.append(...axisParts(data, memory.frame));
  svg.append(...memory.places.map((place, n) => drawnMark(data.groups[data.kinds[n]], place)));
  if (data.ring) {
    const [cx, cy] = memory.frame.place(data.ring.map((value, n) => shareOn(data.axes[n], value)));
    svg.append(shape("circle", { class: "ring", cx, cy, r: 10 }));
  }
  memory.lasso = shape("path", { class: "lasso", d: "" });
  if (data.lasso.length) memory.lasso.setAttribute("d", outlineOf(data.lasso.map(memory.frame.place)));
  svg.append(memory.lasso);
  find(root, ".chart svg")?.remove();
  box.prepend(svg);
  listen(svg, root, memory);
}

function pointOf(event, svg) {
  const box = svg.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

function showTip(root, memory, point) {
  const tip = find(root, ".tip");
  const found = point ? nearestPlace(memory.places, point, REACH) : -1;
  tip.hidden = found < 0;
  if (found < 0) return;
  tip.textContent = memory.data.titles[found];
  const [x, y] = memory.places[found];
  const isRight = x > memory.frame.width / 2;
  Object.assign(tip.style, {
    left: isRight ? "" : `${x + 12}px`,
    right: isRight ? `${memory.frame.width - x + 12}px` : "",
    top: `${y + 8}px`,
  });
}

function ended(memory, tell) {
  const { outline } = memory;
  memory.outline = null;
  if (!outline) return;
  if (isLasso(outline, 8)) {
    const corners = cornersOf(outline, MOST_CORNERS).map((corner) => memory.frame.share(corner).map(written));
    tell("lasso", { plane: memory.data.plane, corners });
    return;
  }
  const found = nearestPlace(memory.places, outline[0], REACH);
  if (found >= 0) tell("pick", { plane: memory.data.plane, mark: found });
}

function listen(svg, root, memory) {
  if (memory.data.still) return;
  svg.onpointerdown = (event) => {
    if (event.button !== 0) return;
    memory.outline = [pointOf(event, svg)];
    svg.setPointerCapture(event.pointerId);
    showTip(root, memory, null);
  };
  svg.onpointermove = (event) => {
    const point = pointOf(event, svg);
    if (!memory.outline) {
      showTip(root, memory, point);
      return;
    }
    memory.outline.push(point);
    if (isLasso(memory.outline, 8)) memory.lasso.setAttribute("d", outlineOf(memory.outline));
  };
  svg.onpointerup = () => ended(memory, memory.tell);
  svg.onpointercancel = () => {
    memory.outline = null;
    draw(root, memory);
  };
  svg.onpointerleave = () => showTip(root, memory, null);
}

function legendRow(group) {
  const row = make("li");
  const svg = shape("svg", { viewBox: "-7 -7 14 14", "aria-hidden": "true" });
  svg.append(shape("path", { d: FORMS[group.form], fill: group.colour }));
  row.append(svg, make("span", group.name));
  return row;
}

export default function ({ data, parentElement: root, setTriggerValue }) {
  const memory = memories.get(root) ?? {};
  memories.set(root, memory);
  Object.assign(memory, { data, tell: setTriggerValue, outline: null });
  find(root, ".hint").textContent = data.hint;
  find(root, ".legend").replaceChildren(...data.groups.map(legendRow));
  const clear = find(root, ".clear");
  clear.hidden = !data.lasso.length;
  clear.onclick = () => setTriggerValue("lasso", { plane: data.plane, corners: [] });
  draw(root, memory);
  const width = find(root, ".chart").clientWidth;
  const watch = new ResizeObserver(() => {
    if (find(root, ".chart").clientWidth !== width) draw(root, memory);
  });
  watch.observe(find(root, ".chart"));
  return () => watch.disconnect();
}
