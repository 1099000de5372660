// A list of sounds to listen to, one press each. Python is asked for a sound's address as its row is pressed; the browser
// fetches it from there, so that a long list costs nothing before.

import { find, make, shape } from "./elements.js";
import { hasKeys } from "./keys.js";
import { lastTwo, neighbour, otherOfTwo, wantedWith } from "./listed.js";
import { givesWay, soundsAlone } from "./one_sound.js";
import { onPresented } from "./presenting.js";
import { PAUSE, PLAY } from "./stage.js";
import { secondsByKey, seekable } from "./timeline.js";

const NOT_FETCHED = "This sound could not be fetched";
const KEYS = [
  ["Space", "play, pause"],
  ["Up, down", "play the row above, below"],
  ["Left, right", "half a second back, forward"],
  ["Home, End", "to the start, to the end"],
  ["B", "back and forth between the last two sounds, at the same place"],
];

const idsOf = (memory) => memory.data.rows.map((row) => row.id);
const fresh = () => ({
  current: undefined,
  two: [],
  wanted: [],
  waits: false,
  problem: "",
  revealed: new Set(),
  items: new Map(),
});

function say(root, memory) {
  const audio = find(root, "audio");
  const known = Number.isFinite(audio.duration) && audio.src;
  const seconds = known ? `${audio.currentTime.toFixed(1)} / ${audio.duration.toFixed(1)} s` : "";
  const text = memory.problem || (memory.waits ? "Fetching \u2026" : seconds);
  const time = find(root, ".time");
  if (time.textContent !== text) time.textContent = text;
  time.ariaLive = audio.paused || memory.problem ? "polite" : "off"; // a screen reader would read out every second
  const place = find(root, ".place");
  place.disabled = !known;
  place.value = known ? audio.currentTime / audio.duration : 0;
  place.ariaValueText = seconds;
}

function draw(root, memory) {
  const isOn = !find(root, "audio").paused || memory.waits;
  find(root, ".play path").setAttribute("d", isOn ? PAUSE : PLAY);
  find(root, ".play").ariaLabel = isOn ? "Pause" : "Play";
  for (const [id, button] of memory.buttons) {
    const isCurrent = id === memory.current;
    button.setAttribute("aria-current", String(isCurrent));
    find(button, "path").setAttribute("d", isCurrent && isOn ? PAUSE : PLAY);
  }
  say(root, memory);
}

function follow(root, memory) {
  cancelAnimationFrame(memory.frame);
  say(root, memory);
  if (!find(root, "audio").paused) memory.frame = requestAnimationFrame(() => follow(root, memory));
}

function fails(root, memory, words) {
  memory.waits = false;
  memory.problem = words;
  draw(root, memory);
}

async function sound(root, memory, address) {
  const audio = find(root, "audio");
  memory.waits = false;
  if (memory.address !== address) audio.src = address;
  if (memory.address !== address && memory.from) audio.currentTime = memory.from;
  memory.address = address;
  try {
    await audio.play();
  } catch (error) {
    if (error.name === "AbortError" || memory.address !== address) return; // a pause right after is no fault
    memory.address = undefined;
    fails(root, memory, NOT_FETCHED);
  }
}

// The row's sound may become another one, as a change of it is dialled in: it goes on at the same place.
function becomesAnother(root, memory, address) {
  const audio = find(root, "audio");
  if (!memory.address || !address || memory.address === address) return;
  memory.from = audio.currentTime;
  if (audio.paused) memory.address = undefined;
  else sound(root, memory, address);
}

// What Python has said of the sound that is waited for.
function answered(root, memory) {
  const { addresses, problems } = memory.data;
  if (!memory.waits) {
    becomesAnother(root, memory, addresses[memory.current]);
    return;
  }
  if (problems[memory.current]) fails(root, memory, problems[memory.current]);
  else if (addresses[memory.current]) sound(root, memory, addresses[memory.current]);
}

function quiet(root) {
  const audio = find(root, "audio");
  audio.pause();
  audio.removeAttribute("src");
  audio.load();
}

// `from`: seconds of the sound at which it starts. `isTold`: the page asks for it, not somebody at the list.
function hear(root, memory, id, from = 0, isTold = false) {
  if (id === undefined) return;
  quiet(root);
  Object.assign(memory, {
    from,
    current: id,
    address: undefined,
    waits: true,
    problem: "",
    two: lastTwo(memory.two, id),
  });
  const next = memory.playsOn ? neighbour(idsOf(memory), id, 1) : undefined;
  memory.wanted = wantedWith(memory.wanted, id, next);
  memory.tell("wanted", memory.wanted);
  if (memory.data.picks && !isTold) memory.tell("picked", id);
  moveFocus(root, memory, id, isTold);
  answered(root, memory);
  draw(root, memory);
}

// One row is reached by Tab; the focus goes along where it is on a row. The page itself is not scrolled unasked.
function moveFocus(root, memory, id, isTold) {
  for (const [each, button] of memory.buttons) button.tabIndex = each === id ? 0 : -1;
  const button = memory.buttons.get(id);
  if (find(root, ".rows").contains(root.activeElement ?? document.activeElement)) button.focus({ preventScroll: true });
  if (!isTold) button.scrollIntoView({ block: "nearest" });
}

function toggle(root, memory) {
  const audio = find(root, "audio");
  if (memory.waits) memory.waits = false;
  else if (!audio.paused) audio.pause();
  else if (memory.address) sound(root, memory, memory.address);
  else hear(root, memory, memory.current ?? idsOf(memory)[0]);
  draw(root, memory);
}

const step = (root, memory, by) => hear(root, memory, neighbour(idsOf(memory), memory.current, by));

function marked(button, row, isHidden) {
  const mark = find(button, ".mark");
  mark.dataset.tone = isHidden ? "" : row.tone;
  mark.style.setProperty("--tone", isHidden ? "transparent" : row.colour);
  find(button, ".truth").textContent = isHidden ? "" : row.truth;
}

function drawTruth(memory) {
  for (const row of memory.data.rows)
    marked(memory.buttons.get(row.id), row, memory.data.hides && !memory.revealed.has(row.id));
}

function rowOfSound(root, memory, row) {
  const button = make("button", "", { type: "button", tabIndex: -1 });
  const sign = shape("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" });
  sign.append(shape("path", { d: PLAY }));
  const part = (name, text) => make("span", text, { className: name });
  const texts = part("texts", "");
  texts.append(part("truth", ""), part("row-title", row.title), part("row-note", row.note));
  button.append(sign, part("mark", ""), texts);
  button.onclick = () => (memory.current === row.id ? toggle(root, memory) : hear(root, memory, row.id));
  const item = make("li");
  item.append(button);
  return item;
}

// The rows' elements in order; rows that stay keep theirs.
function itemsOf(root, memory, rows) {
  return new Map(
    rows.map((row) => {
      const text = JSON.stringify(row);
      return [text, memory.items.get(text) ?? rowOfSound(root, memory, row)];
    }),
  );
}

// Rows that stay are left where they are, with the focus and what is scrolled.
function drawRows(root, memory, data) {
  const list = find(root, ".rows");
  list.ariaLabel = data.list;
  const items = itemsOf(root, memory, data.rows);
  for (const [text, item] of memory.items) if (!items.has(text)) item.remove();
  for (const [i, item] of [...items.values()].entries())
    if (list.children[i] !== item) list.insertBefore(item, list.children[i] ?? null);
  memory.items = items;
  memory.buttons = new Map(data.rows.map((row, i) => [row.id, find(list.children[i], "button")]));
  forgetGone(root, memory);
  memory.buttons.get(memory.current ?? data.rows[0].id).tabIndex = 0;
}

// A sound whose row is gone is heard no longer.
function forgetGone(root, memory) {
  memory.two = memory.two.filter((id) => memory.buttons.has(id));
  if (memory.current === undefined || memory.buttons.has(memory.current)) return;
  quiet(root);
  Object.assign(memory, { current: undefined, address: undefined, waits: false, problem: "" });
}

function bindSound(root, memory) {
  const audio = find(root, "audio");
  audio.onplay = () => {
    soundsAlone(audio);
    draw(root, memory);
    follow(root, memory);
  };
  audio.onpause = audio.onseeked = audio.onloadedmetadata = () => draw(root, memory);
  audio.onended = () => {
    if (memory.playsOn) step(root, memory, 1);
  };
  audio.onerror = () => {
    if (audio.getAttribute("src")) fails(root, memory, NOT_FETCHED);
  };
  memory.ends?.();
  memory.ends = givesWay(
    (other) => other === audio,
    () => {
      memory.waits = false;
      audio.pause();
      draw(root, memory);
    },
  );
}

function bindPlaysOn(root, memory, data) {
  const box = find(root, ".on input");
  if (memory.toldOn !== data.plays_on) memory.toldOn = memory.playsOn = data.plays_on; // another list has changed it
  box.checked = memory.playsOn;
  find(root, ".on span").textContent = data.plays_on_label;
  find(root, ".on").hidden = data.rows.length < 2;
  box.onchange = () => {
    memory.playsOn = box.checked;
    memory.tell("plays_on", box.checked);
  };
}

function seek(root, seconds) {
  const audio = find(root, "audio");
  if (Number.isFinite(audio.duration)) audio.currentTime = seekable(seconds, audio.duration);
}

function bindKeysOfList(root, memory) {
  const audio = find(root, "audio");
  const commands = {
    " ": () => toggle(root, memory),
    ArrowUp: () => step(root, memory, -1),
    ArrowDown: () => step(root, memory, 1),
    b: () => hear(root, memory, otherOfTwo(memory.two, memory.current), audio.ended ? 0 : audio.currentTime),
  };
  hasKeys(find(root, ".play-list"), {
    keys: KEYS,
    commandOf: (key) => {
      const to = secondsByKey(key, audio.currentTime, audio.duration);
      return to === undefined ? commands[key] : () => seek(root, to);
    },
  });
  find(root, ".play").onclick = () => toggle(root, memory);
  find(root, ".place").oninput = (event) => seek(root, Number(event.target.value) * audio.duration);
}

// Play what the page asks for, as the count says that it asks anew.
function obey(root, memory, { id, count }) {
  const isNew = memory.toldCount !== undefined && memory.toldCount !== count;
  memory.toldCount = count;
  if (isNew && memory.buttons.has(id)) hear(root, memory, id, 0, true);
}

// Reveal the row that is heard, or all rows where none is.
function reveal(memory) {
  for (const id of memory.current === undefined ? idsOf(memory) : [memory.current]) memory.revealed.add(id);
}

// What whoever presents does; a change of the mode hides the truth again.
function presented(root, memory, act) {
  const acts = {
    next: () => step(root, memory, 1),
    play: () => toggle(root, memory),
    reveal: () => reveal(memory),
    changed: () => memory.revealed.clear(),
  };
  acts[act]?.();
  drawTruth(memory);
}

function release(root, memory) {
  const audio = find(root, "audio");
  audio.onpause = audio.onerror = null;
  audio.pause();
  cancelAnimationFrame(memory.frame);
  memory.ends();
  memory.endPresented();
  find(root, ".play-list").endKeys();
}

// Called again at each change of data or theme: handlers are assigned, not added, and memory lives on the element.
export default function ({ data, parentElement: root, setStateValue }) {
  const box = find(root, ".play-list");
  box.memory ??= fresh();
  const memory = box.memory;
  Object.assign(memory, { data, tell: setStateValue });
  box.style.setProperty("--most-height", `${data.height}px`);
  drawRows(root, memory, data);
  drawTruth(memory);
  bindSound(root, memory);
  bindPlaysOn(root, memory, data);
  bindKeysOfList(root, memory);
  memory.endPresented?.();
  memory.endPresented = onPresented(({ act }) => {
    if (data.hides) presented(root, memory, act);
  });
  obey(root, memory, data.told);
  answered(root, memory);
  draw(root, memory);
  return () => release(root, memory);
}
