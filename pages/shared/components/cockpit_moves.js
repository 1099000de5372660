// Moving the cockpit's thresholds: by a drag, by keys, by typing, and back again.

import { inHand, thresholdsOf } from "./cockpit_detectors.js";
import { sharesOf } from "./cockpit_plots.js";
import { keyStep, undone } from "./cockpit_state.js";
import { draw, drawStill, sayThreshold } from "./cockpit_view.js";
import { nearestRank, rankOf, steppedRank, thresholdAtRank } from "./decisions.js";
import { find } from "./elements.js";
import { readNumber } from "./numbers.js";
import { isPresented } from "./presenting.js";

const NUMBERS = { one_in: [1, 100_000], every_s: [0.1, 86_400], ratio: [0.01, 1000] };

const holding = (memory, hand, thresholds) => ({
  hand,
  thresholds: memory.point.thresholds.map((own, each) => (each === hand ? thresholds : own)),
});

export function takeAll(memory, threshold, hand = memory.point.hand) {
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

export function bindHandles(root, memory) {
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

// How far beside its middle a handle is pressed.
function besideMiddle(spot, picture, { box, at }) {
  const { x, y, width, height } = (spot.querySelector(".knob") ?? spot).getBoundingClientRect();
  const middle = sharesOf(picture, box, { clientX: x + width / 2, clientY: y + height / 2 });
  return at.map((share, axis) => share - middle[axis]);
}

// What a press takes: the handle under it, which a press alone does not move, or the curve's own point, which comes there.
function takenBy(event, { picture, box, fallback }) {
  const at = sharesOf(picture, box, event);
  const spot = event.target.closest("[role=slider]");
  if (spot) return { name: spot.dataset.handle, beside: besideMiddle(spot, picture, { box, at }) };
  const name = fallback();
  return name && at.every((share) => share >= -0.05) ? { name, beside: [0, 0], comesTo: at } : null;
}

export function bindDrag(root, memory, { picture, box, fallback }) {
  const end = () => {
    memory.drag = null;
    picture.classList.remove("dragging");
  };
  picture.onpointerdown = (event) => {
    const taken = event.button !== 0 || memory.drag ? null : takenBy(event, { picture, box, fallback });
    if (!taken) return;
    event.preventDefault();
    grasp(root, memory, taken.name);
    memory.drag = { id: event.pointerId, ...taken };
    picture.setPointerCapture(event.pointerId);
    picture.classList.add("dragging");
    picture.querySelector(`[data-handle="${CSS.escape(taken.name)}"]`)?.focus({ preventScroll: true });
    if (taken.comesTo) moveTo(root, memory, taken.name, taken.comesTo);
  };
  picture.onpointermove = (event) => {
    if (memory.drag?.id !== event.pointerId) return;
    const [{ name, beside }, at] = [memory.drag, sharesOf(picture, box, event)];
    moveTo(root, memory, name, [at[0] - beside[0], at[1] - beside[1]]);
  };
  picture.onpointerup = (event) => {
    if (memory.drag?.id !== event.pointerId) return;
    end();
    draw(root, memory);
    memory.commit();
  };
  picture.onpointercancel = (event) => {
    if (memory.drag?.id !== event.pointerId) return;
    end();
    memory.point = memory.before;
    draw(root, memory);
  };
}

export function stepBack(root, memory, by) {
  const history = undone(memory.history, by);
  if (history.at === memory.history.at) return;
  memory.before = { ...memory.point, hand: history.past[history.at].hand };
  memory.history = history;
  memory.point = history.past[history.at];
  drawStill(root, memory);
  memory.send();
}

export function typed(root, memory) {
  const input = find(root, ".threshold input");
  const value = readNumber(input.value);
  if (isPresented()) input.blur(); // the next key is the presenter's
  if (Number.isFinite(value)) {
    memory.before = memory.point;
    takeAll(memory, value);
    memory.commit();
  }
  draw(root, memory);
  sayThreshold(root, memory);
}

export function typedNumber(root, memory, input) {
  const name = input.dataset.number;
  const value = readNumber(input.value, { isGrouped: true });
  const [low, high] = NUMBERS[name];
  if (isPresented()) input.blur();
  if (value >= low && value <= high) {
    const found = name === "one_in" ? { prior: 1 / value } : { [name]: value };
    memory.numbers = { ...memory.numbers, ...found };
    memory.tell("numbers", memory.numbers);
  }
  drawStill(root, memory);
}
