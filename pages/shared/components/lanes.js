// Several sounds with their pictures, stacked on one time axis with one playhead. One of them is heard; choosing another
// one leaves the playhead where it is. Python hears of nothing.

import { find, make, shape } from "./elements.js";
import { carriedOver, evenVolumes, laneByKey, loudness } from "./hearing.js";
import { hasKeys } from "./keys.js";
import { short } from "./numbers.js";
import { givesWay, soundsAlone } from "./one_sound.js";
import { colourScale, drawAxis, inPercent, PAUSE, PLAY, play, rowOf } from "./stage.js";
import { envelope, outlinePath, samplesOf, secondsByKey, seekable, shareAlong } from "./timeline.js";

const KEYS = [
  ["Space", "play, pause"],
  ["Left, right", "half a second back, forward"],
  ["Home, End", "to the start, to the end"],
  ["L", "repeat"],
];
const CHOICES = [
  ["A, B, \u2026 or 1, 2, \u2026", "hear that sound, at the same place"],
  ["The same key", "pressed again: back to the sound before"],
];
const TICK_EDGE = 0.1;
const WAVEFORM_COLUMNS = 1200;
const WAVEFORM_PX = 40;
const WAVEFORM_ROOM = 1.15; // half the height over that of the loudest sample

function waveform(sound, lane, data) {
  const columns = Math.min(WAVEFORM_COLUMNS, sound.samples.length);
  const [lows, highs] = envelope(sound.samples, columns);
  const top = data.peak * WAVEFORM_ROOM;
  const edge = 0.5 / WAVEFORM_ROOM;
  const ticks = [
    [0.5 - edge, short(-data.peak)],
    [0.5 + edge, short(data.peak)],
  ];
  const { body, view } = rowOf(ticks, WAVEFORM_PX, TICK_EDGE);
  const box = { viewBox: `0 0 ${columns - 1} 2`, preserveAspectRatio: "none" };
  const svg = shape("svg", { ...box, role: "img", "aria-label": `Waveform of ${lane.title}, full scale is 1` });
  svg.style.width = inPercent(lane.duration / data.duration);
  svg.append(
    shape("path", { class: "zero", d: `M0 1H${columns}` }),
    shape("path", { class: "wave", d: outlinePath(lows, highs, top) }),
  );
  view.append(svg);
  return body;
}

function picture(lane, data) {
  const { body, view } = rowOf(lane.ticks, data.height, TICK_EDGE);
  const img = make("img", "", { alt: lane.alt, draggable: false, src: `data:image/png;base64,${lane.png}` });
  const [from, to] = lane.span;
  Object.assign(img.style, { left: inPercent(from / data.duration), width: inPercent((to - from) / data.duration) });
  view.append(img);
  return body;
}

function laneElement(sound, lane, i, data) {
  const head = make("div", "", { className: "head-row" });
  const mark = make("i");
  mark.style.background = lane.colour;
  head.append(mark, make("b", `${lane.letter}  ${lane.title}`), make("span", lane.note, { className: "note" }));
  if (i === 0) head.append(colourScale(data.scale));
  const element = make("div", "", { className: "panel" });
  element.append(head);
  if (sound.samples.length) element.append(waveform(sound, lane, data));
  element.append(picture(lane, data));
  return element;
}

function soundOf(lane) {
  const bytes = Uint8Array.from(atob(lane.wav), (c) => c.charCodeAt(0));
  const samples = samplesOf(bytes);
  const url = URL.createObjectURL(new Blob([bytes], { type: "audio/wav" }));
  const audio = make("audio", "", { preload: "auto", src: url });
  return { id: lane.sound, samples, level: loudness(samples), url, audio };
}

function silence(memory) {
  for (const { audio, url } of memory.sounds) {
    audio.onplay = audio.onpause = audio.onended = audio.onseeked = null;
    audio.pause();
    audio.remove();
    URL.revokeObjectURL(url);
  }
}

// The same sounds are kept, so that they play on while pictures change.
function loadSounds(root, memory, data) {
  const ids = data.lanes.map((lane) => lane.sound).join();
  if (memory.ids === ids) return;
  silence(memory);
  const heard = Math.min(memory.heard, data.lanes.length - 1);
  Object.assign(memory, { ids, sounds: data.lanes.map(soundOf), heard, heardBefore: heard });
  for (const { audio } of memory.sounds) {
    find(root, ".lanes").append(audio);
    bindSound(root, memory, audio);
  }
}

const heardAudio = (memory) => memory.sounds[memory.heard].audio;

function setVolumes(root, memory) {
  const full = Number(find(root, ".volume input").value);
  const even = find(root, ".even input").checked;
  const volumes = even ? evenVolumes(memory.sounds.map((sound) => sound.level)) : memory.sounds.map(() => 1);
  memory.sounds.forEach(({ audio }, i) => {
    audio.volume = full * volumes[i];
    audio.loop = find(root, ".loop input").checked;
  });
}

function draw(root, memory) {
  const [audio, lane, { duration }] = [heardAudio(memory), find(root, ".lane"), memory.data];
  const now = Math.min(audio.currentTime, duration);
  find(root, ".head").style.left = inPercent(now / duration);
  find(root, ".time").textContent = `${now.toFixed(2)} / ${duration.toFixed(2)} s`;
  find(root, ".play path").setAttribute("d", audio.paused ? PLAY : PAUSE);
  find(root, ".play").ariaLabel = audio.paused ? "Play" : "Pause";
  root.querySelectorAll(".panel").forEach((panel, i) => {
    panel.classList.toggle("sounds", memory.sounds.length > 1 && i === memory.heard);
  });
  if (!audio.paused) return; // a screen reader would read out every frame
  lane.ariaValueNow = now.toFixed(2);
  lane.ariaValueText = `${now.toFixed(2)} s of ${duration.toFixed(2)} s, heard: ${memory.data.lanes[memory.heard].title}`;
}

function bindSound(root, memory, audio) {
  const tick = () => {
    draw(root, memory);
    if (!heardAudio(memory).paused) memory.frame = requestAnimationFrame(tick);
  };
  audio.onplay = () => {
    soundsAlone(audio);
    cancelAnimationFrame(memory.frame);
    tick();
  };
  audio.onpause = audio.onended = audio.onseeked = () => draw(root, memory);
}

function hear(root, memory, i) {
  const before = heardAudio(memory);
  const isOn = !before.paused;
  const now = before.currentTime;
  before.pause();
  if (i !== memory.heard) memory.heardBefore = memory.heard;
  memory.heard = i;
  const audio = heardAudio(memory);
  audio.currentTime = carriedOver(now, memory.data.lanes[i].duration);
  root.querySelectorAll(".choices input").forEach((input, at) => {
    input.checked = at === i;
  });
  if (isOn) play(root, audio);
  draw(root, memory);
}

function drawChoices(root, memory, data) {
  const choices = data.lanes.map((lane, i) => {
    const input = make("input", "", { type: "radio", name: "heard", checked: i === memory.heard });
    input.onchange = () => hear(root, memory, i);
    const label = make("label");
    label.append(input, document.createTextNode(`${i + 1}: ${lane.short}`));
    return label;
  });
  find(root, ".choices").replaceChildren(...choices);
}

function bindPointer(root, memory, seek) {
  const [lane, ghost] = [find(root, ".lane"), find(root, ".ghost")];
  const seconds = (event) => shareAlong(lane.getBoundingClientRect(), event.clientX) * memory.data.duration;
  lane.onclick = (event) => seek(seconds(event));
  lane.onpointermove = (event) => {
    lane.classList.toggle("hover", event.pointerType === "mouse");
    ghost.style.left = inPercent(seconds(event) / memory.data.duration);
    ghost.firstElementChild.textContent = `${seconds(event).toFixed(2)} s`;
    if (event.buttons === 1 && event.pointerType === "mouse") seek(seconds(event));
  };
  lane.onpointerleave = () => lane.classList.remove("hover");
}

function bindControls(root, memory) {
  const seek = (seconds) => {
    heardAudio(memory).currentTime = seekable(seconds, memory.data.lanes[memory.heard].duration);
    draw(root, memory);
  };
  const toggle = () => {
    const audio = heardAudio(memory);
    if (audio.paused) play(root, audio);
    else audio.pause();
  };
  const commands = { " ": toggle, l: () => find(root, ".loop input").click() };
  find(root, ".play").onclick = toggle;
  for (const name of [".even", ".loop", ".volume"])
    find(root, `${name} input`).oninput = () => setVolumes(root, memory);
  hasKeys(find(root, ".lanes"), {
    keys: memory.sounds.length > 1 ? [...KEYS, ...CHOICES] : KEYS,
    commandOf: (key) => {
      const lane = laneByKey(key, memory.sounds.length);
      if (lane !== undefined) return () => hear(root, memory, lane === memory.heard ? memory.heardBefore : lane);
      const to = secondsByKey(key, heardAudio(memory).currentTime, memory.data.duration);
      return to === undefined ? commands[key] : () => seek(to);
    },
  });
  bindPointer(root, memory, seek);
}

function drawPanels(root, memory, data) {
  const panels = data.lanes.map((lane, i) => laneElement(memory.sounds[i], lane, i, data));
  find(root, ".panels").replaceChildren(...panels);
  drawAxis(root, data.duration);
}

// Called again at each change of data or theme: handlers are assigned, not added, and memory lives on the element.
export default function ({ data, parentElement: root }) {
  const box = find(root, ".lanes");
  box.memory ??= { heard: 0, sounds: [] };
  const memory = box.memory;
  memory.data = data;
  box.classList.toggle("single", data.lanes.length === 1);
  find(root, ".lane").ariaValueMax = `${data.duration}`;
  loadSounds(root, memory, data);
  drawPanels(root, memory, data);
  drawChoices(root, memory, data);
  bindControls(root, memory);
  setVolumes(root, memory);
  memory.stopListening?.();
  memory.stopListening = givesWay(
    (other) => other === heardAudio(memory),
    () => heardAudio(memory).pause(),
  );
  draw(root, memory);
  return () => {
    memory.stopListening();
    box.endKeys();
    silence(memory);
    cancelAnimationFrame(memory.frame);
    memory.ids = undefined;
  };
}
