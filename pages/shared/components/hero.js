// A normal clip, then an anomalous one, on one playhead; what a detector hears lights up as the playhead passes. Python
// hears of nothing.

import { find, make, shape } from "./elements.js";
import { hasKeys } from "./keys.js";
import { clipAt, clipsHeard, hiddenShare, lineAt, litUpTo, otherPlace } from "./moments.js";
import { fourDigits } from "./numbers.js";
import { givesWay, soundsAlone } from "./one_sound.js";
import { colourScale, drawAxis, inPercent, PAUSE, PLAY, play, rowOf } from "./stage.js";
import { extent, heightScale, secondsByKey, seekable, shareAlong, tracePath, traceTicks } from "./timeline.js";

const KEYS = [
  ["Space", "play, pause"],
  ["Left, right", "half a second back, forward"],
  ["Home, End", "to the start, to the end"],
  ["A, B", "to the normal clip, to the anomalous one, at the same place (B again: back)"],
];
const TICK_EDGE = 0.08;
const SPECTROGRAM_PX = 128;
const MAP_PX = 112;
const SCORE_PX = 78;

function panelOf({ label, ticks, height, scale }) {
  const head = make("div", "", { className: "head-row" });
  head.append(make("span", label));
  if (scale) head.append(colourScale(scale));
  const { body, view } = rowOf(ticks, height, TICK_EDGE);
  const element = make("div", "", { className: "panel" });
  element.append(head, body);
  return { element, view };
}

// Seconds of a clip on the axis of all clips.
const spanOf = (data, i, times) => times.map((seconds) => seconds + (i ? data.ends[i - 1] : 0));

function picture(data, { png, alt, span }, className) {
  const img = make("img", "", { alt, className, draggable: false, src: `data:image/png;base64,${png}` });
  const width = inPercent((span[1] - span[0]) / data.duration);
  Object.assign(img.style, { left: inPercent(span[0] / data.duration), width, imageRendering: "auto" });
  return img;
}

function spectrograms(data) {
  const panel = panelOf({ ...data.sound_panel, height: SPECTROGRAM_PX });
  panel.view.append(
    ...data.clips.map((clip, i) =>
      picture(data, { png: clip.png, alt: clip.alt, span: spanOf(data, i, [0, clip.duration]) }),
    ),
  );
  return panel;
}

// Each map twice: faint, and bright as far as it is lit up.
function maps(data, memory) {
  const panel = panelOf({ ...data.map_panel, height: MAP_PX });
  panel.element.classList.add("map");
  data.clips.forEach((clip, i) => {
    const span = spanOf(data, i, clip.map_span);
    const bright = picture(data, { png: clip.map, alt: clip.map_alt, span }, "bright");
    panel.view.append(picture(data, { png: clip.map, alt: "", span }, "dim"), bright);
    memory.lit.push((lit) => {
      bright.style.clipPath = `inset(0 ${inPercent(hiddenShare(span, lit))} 0 0)`;
    });
  });
  return panel;
}

function scores(data, memory) {
  const all = data.clips.flatMap((clip) => clip.values);
  const share = heightScale(extent([0, ...all], data.threshold));
  const ticks = traceTicks(extent([0, ...all], null), share);
  const panel = panelOf({ label: data.score_label, ticks, height: SCORE_PX });
  const box = { viewBox: `0 0 ${data.duration} 1`, preserveAspectRatio: "none" };
  const y = 1 - share(data.threshold);
  const limit = shape("svg", { ...box, "aria-hidden": "true" });
  limit.append(shape("path", { class: "limit", d: `M0 ${y}H${data.duration}` }));
  const curve = shape("svg", { ...box, role: "img", "aria-label": data.score_alt });
  data.clips.forEach((clip, i) => {
    const times = spanOf(data, i, clip.times);
    const path = shape("path", { class: "line", d: tracePath(times, clip.values, share) });
    path.style.stroke = data.colour;
    curve.append(path);
  });
  const text = make("span", `threshold ${fourDigits(data.threshold)}`, { className: "limit-text" });
  text.style.top = inPercent(y);
  const needle = make("div", "", { className: "needle" });
  panel.view.append(limit, curve, text, needle);
  memory.lit.push((lit) => {
    curve.style.clipPath = `inset(0 ${inPercent(hiddenShare([0, data.duration], lit))} 0 0)`;
  });
  memory.follow = (now, isIdle) => {
    const value = isIdle ? null : scoreAt(data, now);
    needle.style.display = value === null ? "none" : "block";
    if (value === null) return;
    const { anomalous, normal } = data.colours;
    needle.style.background = value >= data.threshold ? anomalous : normal;
    Object.assign(needle.style, { left: inPercent(now / data.duration), top: inPercent(1 - share(value)) });
  };
  return panel;
}

// The score that has built up so far in the clip that plays; null where there is none yet.
function scoreAt(data, now) {
  const i = clipAt(data.ends, now);
  const { times, values } = data.clips[i];
  return lineAt(times, values, now - (i ? data.ends[i - 1] : 0));
}

function marked(text, colour) {
  const element = make("span");
  const mark = make("i");
  mark.style.background = colour;
  element.append(mark, document.createTextNode(text));
  return element;
}

function drawPanels(root, memory, data) {
  memory.lit = [];
  const panels = [spectrograms(data), maps(data, memory), scores(data, memory)];
  for (const panel of panels) {
    const border = make("div", "", { className: "border" });
    border.style.left = inPercent(data.ends[0] / data.duration);
    panel.view.append(border);
  }
  find(root, ".panels").replaceChildren(...panels.map((panel) => panel.element));
  find(root, ".titles").replaceChildren(...data.clips.map((clip) => marked(clip.title, clip.colour)));
  find(root, ".verdicts").replaceChildren(...data.clips.map((clip) => marked(clip.verdict, clip.verdict_colour)));
}

function loadSound(root, memory, data) {
  const bytes = Uint8Array.from(atob(data.flac), (c) => c.charCodeAt(0));
  if (memory.url) URL.revokeObjectURL(memory.url);
  Object.assign(memory, {
    sound: data.sound,
    lit_s: 0,
    url: URL.createObjectURL(new Blob([bytes], { type: "audio/flac" })),
  });
  find(root, "audio").src = memory.url;
}

const wantsNoMotion = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

// Everything that follows the playhead; called for each frame of the screen while the sound plays.
function draw(root, memory) {
  const [audio, lane, { duration, ends }] = [find(root, "audio"), find(root, ".lane"), memory.data];
  const now = Math.min(audio.currentTime, duration);
  memory.lit_s = litUpTo(memory.lit_s, now, duration, wantsNoMotion());
  for (const light of memory.lit) light(memory.lit_s);
  memory.follow(now, audio.paused && now === 0);
  const heard = clipsHeard(ends, memory.lit_s);
  find(root, ".verdicts").childNodes.forEach((verdict, i) => {
    verdict.classList.toggle("shown", i < heard);
  });
  find(root, ".hero").classList.toggle("told", heard === ends.length);
  find(root, ".head").style.left = inPercent(now / duration);
  find(root, ".time").textContent = `${now.toFixed(1)} / ${duration.toFixed(1)} s`;
  find(root, ".play path").setAttribute("d", audio.paused ? PLAY : PAUSE);
  find(root, ".play").ariaLabel = audio.paused ? "Play both clips" : "Pause";
  lane.ariaValueNow = now.toFixed(2);
  lane.ariaValueText = `${now.toFixed(1)} s of ${duration.toFixed(1)} s`;
}

function bindSound(root, memory) {
  const audio = find(root, "audio");
  const tick = () => {
    draw(root, memory);
    if (!audio.paused) memory.frame = requestAnimationFrame(tick);
  };
  audio.onplay = () => {
    soundsAlone(audio);
    cancelAnimationFrame(memory.frame);
    tick();
  };
  audio.onpause = audio.onended = audio.onseeked = audio.onloadedmetadata = () => draw(root, memory);
  memory.stopListening?.();
  memory.stopListening = givesWay(
    (other) => other === audio,
    () => audio.pause(),
  );
}

function start(root, memory, audio) {
  if (audio.ended || audio.currentTime === 0) memory.lit_s = 0; // heard anew, it lights up anew
  play(root, audio);
}

function bindControls(root, memory) {
  const [audio, lane] = [find(root, "audio"), find(root, ".lane")];
  const seek = (seconds) => {
    audio.currentTime = seekable(seconds, memory.data.duration);
    draw(root, memory);
  };
  const toggle = () => {
    if (audio.paused) start(root, memory, audio);
    else audio.pause();
  };
  find(root, ".play").onclick = toggle;
  lane.onclick = (event) => seek(shareAlong(lane.getBoundingClientRect(), event.clientX) * memory.data.duration);
  const change = () => seek(otherPlace(memory.data.ends, audio.currentTime));
  const isSecond = () => clipAt(memory.data.ends, audio.currentTime) > 0;
  const commands = { " ": toggle, a: () => isSecond() && change(), b: change };
  hasKeys(find(root, ".hero"), {
    keys: KEYS,
    commandOf: (key) => {
      const to = secondsByKey(key, audio.currentTime, memory.data.duration);
      return to === undefined ? commands[key] : () => seek(to);
    },
  });
}

function release(root, memory) {
  const audio = find(root, "audio");
  memory.stopListening?.();
  find(root, ".hero").endKeys();
  audio.onpause = null;
  audio.pause();
  cancelAnimationFrame(memory.frame);
  URL.revokeObjectURL(memory.url);
}

// Called again at each change of data or theme: handlers are assigned, not added, and memory lives on the element.
export default function ({ data, parentElement: root }) {
  const box = find(root, ".hero");
  box.memory ??= { lit_s: 0, lit: [] };
  const memory = box.memory;
  memory.data = data;
  find(root, ".lane").ariaValueMax = `${data.duration}`;
  drawPanels(root, memory, data);
  drawAxis(root, data.duration);
  bindSound(root, memory);
  bindControls(root, memory);
  if (memory.sound !== data.sound) loadSound(root, memory, data);
  draw(root, memory);
  return () => release(root, memory);
}
