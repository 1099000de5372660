// Threshold, curve, matrix and the clips that change class, in one piece: while something moves, all is computed here.
// Python hears of a threshold once it is let go, and of what is shown.

import { isOne, readDetector, thresholdsOf } from "./cockpit_detectors.js";
import { bindFlipSound, playFetched, pressFlip } from "./cockpit_flips.js";
import { bindDrag, bindHandles, stepBack, takeAll, typed, typedNumber } from "./cockpit_moves.js";
import { askForSound, hearNow } from "./cockpit_now.js";
import { PANEL_BOX, ROC_BOX } from "./cockpit_plots.js";
import { fresh, isOlder, pointTold, recorded, samePoint } from "./cockpit_state.js";
import { draw, drawStill } from "./cockpit_view.js";
import { find, make } from "./elements.js";
import { hasKeys } from "./keys.js";
import { givesWay } from "./one_sound.js";
import { isPresented, onPresented, tellRevealed } from "./presenting.js";

const ID_WAYS = { together: "Ids together", curves: "Curve per id", thresholds: "Threshold per id" };
const PANELS = { scores: "Scores", pr: "Precision and recall" };

const KEYS = [
  ["Space", "play, pause the clip that changed class"],
  ["Up, down", "the clip before, after it"],
  ["Arrows on the point", "move it by one step"],
  ["Page up, down, Home, End", "by a twentieth, to either end"],
  ["Ctrl+Z, Ctrl+Shift+Z", "undo, redo"],
];

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
  const point = pointTold(
    memory.detectors.map((detector) => detector.id_names.length),
    told,
  );
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
  tellRevealed(!hides);
  for (const cell of root.querySelectorAll("[data-cell]")) cell.ariaLabel = hides ? "Hidden until revealed" : null;
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
  memory.bindHandles = () => bindHandles(root, memory);
  memory.choose = (threshold) => {
    memory.before = memory.point;
    takeAll(memory, threshold);
    draw(root, memory);
    memory.commit();
  };
  bindChoices(root, memory);
  bindFlipSound(root, memory);
  const [roc, panel, audio] = [find(root, ".roc"), find(root, ".panel"), find(root, "audio")];
  bindDrag(root, memory, { picture: roc, box: ROC_BOX, fallback: () => `d${memory.point.hand}` });
  bindDrag(root, memory, { picture: panel, box: PANEL_BOX, fallback: () => (memory.bins ? "scores" : null) });
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
