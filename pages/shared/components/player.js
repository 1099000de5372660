// A clip's sound and its pictures on one time axis, with one playhead. Python hears of pauses and double clicks only.

import { find, make, shape } from "./elements.js";
import { dbfs, fourDigits, short } from "./numbers.js";
import {
  envelope,
  extent,
  heightScale,
  nearestTime,
  outlinePath,
  samplesOf,
  secondsByKey,
  seekable,
  shareAlong,
  spacedTicks,
  tickSeconds,
  tracePath,
  traceTicks,
} from "./timeline.js";

const PLAY = "M8 5v14l11-7z";
const PAUSE = "M6 5h4v14H6zM14 5h4v14h-4z";
const WAVEFORM_COLUMNS = 1500;
const WAVEFORM_ROOM = 1.15; // half the height over that of the loudest sample

function canvas(alt, width, height, ...paths) {
  const box = { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none" };
  const svg = shape("svg", { ...box, role: "img", "aria-label": alt });
  svg.append(...paths);
  return svg;
}

function colourScale(scale) {
  const bar = make("u");
  bar.style.background = `linear-gradient(to right, ${scale.stops.join()})`;
  const element = make("span", "", { className: "scale" });
  element.append(make("span", scale.low), bar, make("span", scale.high));
  return element;
}

function headRow(panel) {
  const head = make("div", "", { className: "head-row" });
  if (panel.colour) {
    const mark = make("i");
    mark.style.background = panel.colour;
    head.append(mark);
  }
  head.append(make("b", panel.label));
  if (panel.note) head.append(make("span", panel.note, { className: "note" }));
  if (panel.scale) head.append(colourScale(panel.scale));
  return head;
}

// The text of a tick at the edge would be cut off: it is moved inside, and its mark to the text's own edge.
function heightTick([at, text]) {
  const tick = make("span", text);
  const [shift, mark] = at < 0.05 ? [0, "calc(100% - 1px)"] : at > 0.95 ? [100, "0"] : [50, "50%"];
  Object.assign(tick.style, { bottom: `${100 * at}%`, transform: `translateY(${shift}%)` });
  tick.style.setProperty("--mark", mark);
  return tick;
}

// A panel without its picture, which goes into `view`.
function frameOf(panel) {
  const head = headRow(panel);
  const [body, gutter, view] = ["body", "gutter", "view"].map((name) => make("div", "", { className: name }));
  gutter.append(...spacedTicks(panel.ticks, panel.height).map(heightTick));
  view.style.height = `${panel.height}px`;
  body.append(gutter, view);
  const element = make("div", "", { className: "panel" });
  element.append(head, body);
  return { element, head, view };
}

function waveform(samples, alt, scale) {
  const columns = Math.min(WAVEFORM_COLUMNS, samples.length);
  const [lows, highs] = envelope(samples, columns);
  const peak = Math.max(1e-9, ...highs, ...lows.map((y) => -y));
  const full = scale || peak;
  const level = peak > 1e-6 ? `peak ${dbfs(peak)}` : "silent";
  const [low, high] = [0.5 - 0.5 / WAVEFORM_ROOM, 0.5 + 0.5 / WAVEFORM_ROOM];
  const ticks =
    full > 1e-6
      ? [
          [low, short(-full)],
          [0.5, "0"],
          [high, short(full)],
        ]
      : [[0.5, "0"]];
  const frame = frameOf({ label: "Waveform", note: `${level}, full scale is 1`, height: 72, ticks });
  const zero = shape("path", { class: "zero", d: `M0 1H${columns}` });
  const wave = shape("path", { class: "wave", d: outlinePath(lows, highs, full * WAVEFORM_ROOM) });
  frame.view.append(canvas(`${alt}, ${level}`, columns - 1, 2, zero, wave));
  return frame;
}

function picture(panel, duration) {
  const frame = frameOf(panel);
  const [from, to] = panel.span || [0, duration];
  const img = make("img", "", { alt: panel.alt, draggable: false });
  // A map of few windows is shown as they are: smoothing would invent values between them.
  img.onload = () => {
    img.style.imageRendering = img.naturalWidth < 120 ? "pixelated" : "auto";
  };
  img.src = `data:image/png;base64,${panel.png}`;
  Object.assign(img.style, { left: `${(100 * from) / duration}%`, width: `${(100 * (to - from)) / duration}%` });
  frame.view.append(img);
  return frame;
}

function trace(panel, duration) {
  const { threshold, times, values } = panel;
  const range = extent(values, threshold);
  const share = heightScale(range);
  const limit = threshold === null ? null : `threshold ${fourDigits(threshold)} (dashed)`;
  const note = [panel.note, limit].filter(Boolean).join(" \u00b7 ");
  const frame = frameOf({ ...panel, note, ticks: traceTicks(range, share) });
  const path = shape("path", { class: "line", d: tracePath(times, values, share) });
  path.style.stroke = panel.colour;
  const drawing = canvas(panel.alt, duration, 1, path);
  if (threshold !== null)
    drawing.prepend(shape("path", { class: "limit", d: `M0 ${1 - share(threshold)}H${duration}` }));
  frame.view.append(drawing);
  const shown = frame.head.appendChild(make("span", "", { className: "value" }));
  frame.at = (seconds) => {
    const value = values[nearestTime(times, seconds)] ?? null;
    shown.textContent = value === null ? "" : `${fourDigits(value)} at the playhead`;
  };
  return frame;
}

function drawAxis(root, duration) {
  const ticks = tickSeconds(duration).map((seconds, i) => {
    const tick = make("span", `${Number(seconds.toFixed(2))}`, { className: i % 2 ? "odd" : "" });
    tick.style.left = `${(100 * seconds) / duration}%`;
    return tick;
  });
  find(root, ".ticks").replaceChildren(...ticks);
}

function loadSound(root, memory, data) {
  const bytes = Uint8Array.from(atob(data.wav), (c) => c.charCodeAt(0));
  if (memory.url) URL.revokeObjectURL(memory.url);
  Object.assign(memory, { sound: data.sound, samples: samplesOf(bytes) });
  memory.url = URL.createObjectURL(new Blob([bytes], { type: "audio/wav" }));
  find(root, "audio").src = memory.url;
}

function drawPanels(root, memory, data) {
  const frames = memory.samples.length ? [waveform(memory.samples, `Waveform of ${data.title}`, data.peak)] : [];
  for (const panel of data.panels) frames.push(("png" in panel ? picture : trace)(panel, data.duration));
  memory.follow = frames.flatMap((frame) => frame.at || []);
  find(root, ".panels").replaceChildren(...frames.map((frame) => frame.element));
}

// Everything that follows the playhead; called for each frame of the screen while the sound plays.
function draw(root, memory) {
  const [audio, lane, { duration }] = [find(root, "audio"), find(root, ".lane"), memory.data];
  const now = Math.min(audio.currentTime, duration);
  find(root, ".head").style.left = `${(100 * now) / duration}%`;
  find(root, ".time").textContent = `${now.toFixed(2)} / ${duration.toFixed(2)} s`;
  for (const at of memory.follow) at(now);
  find(root, ".play path").setAttribute("d", audio.paused ? PLAY : PAUSE);
  find(root, ".play").ariaLabel = audio.paused ? "Play" : "Pause";
  if (!audio.paused) return; // a screen reader would read out every frame
  lane.ariaValueNow = now.toFixed(2);
  lane.ariaValueText = `${now.toFixed(2)} s of ${duration.toFixed(2)} s`;
}

function bindSound(root, memory, sendPause) {
  const audio = find(root, "audio");
  const tick = () => {
    draw(root, memory);
    if (!audio.paused) memory.frame = requestAnimationFrame(tick);
  };
  audio.onplay = () => {
    cancelAnimationFrame(memory.frame);
    tick();
  };
  audio.onseeked = audio.onloadedmetadata = () => draw(root, memory);
  audio.onpause = () => {
    draw(root, memory);
    sendPause(audio.currentTime);
  };
  find(root, ".loop input").onchange = (event) => {
    audio.loop = event.target.checked;
  };
  find(root, ".volume input").oninput = (event) => {
    audio.volume = Number(event.target.value);
  };
}

async function play(root, audio) {
  try {
    await audio.play();
  } catch (error) {
    if (error.name === "AbortError") return; // a pause right after is no fault
    find(root, ".time").textContent = "This sound cannot be played";
  }
}

// The panel under a pointer, and how high in it from 0 = bottom to 1 = top; undefined over the waveform and in gaps.
function panelUnder(root, memory, clientY) {
  const boxes = [...root.querySelectorAll(".panel .view")].map((view) => view.getBoundingClientRect());
  const row = boxes.findIndex((box) => box.top <= clientY && clientY <= box.bottom);
  const panel = row - (memory.samples.length ? 1 : 0);
  if (panel < 0) return undefined;
  return { panel, height: (boxes[row].bottom - clientY) / boxes[row].height };
}

function bindPointer(root, memory, seek, sendSpot) {
  const [lane, ghost] = [find(root, ".lane"), find(root, ".ghost")];
  const share = (event) => shareAlong(lane.getBoundingClientRect(), event.clientX);
  const seconds = (event) => share(event) * memory.data.duration;
  lane.onclick = (event) => seek(seconds(event));
  lane.ondblclick = (event) => {
    const under = panelUnder(root, memory, event.clientY);
    if (under) sendSpot({ panel: under.panel, seconds: seconds(event), height: under.height });
  };
  lane.onpointermove = (event) => {
    lane.classList.toggle("hover", event.pointerType === "mouse");
    ghost.style.left = `${100 * share(event)}%`;
    ghost.firstElementChild.textContent = `${seconds(event).toFixed(2)} s`;
    if (event.buttons === 1 && event.pointerType === "mouse") seek(seconds(event));
  };
  lane.onpointerleave = () => lane.classList.remove("hover");
}

function bindKeys(root, memory, seek, toggle) {
  const [audio, lane] = [find(root, "audio"), find(root, ".lane")];
  lane.onkeydown = (event) => {
    const to = secondsByKey(event.key, audio.currentTime, memory.data.duration);
    if (event.altKey || event.ctrlKey || event.metaKey || (to === undefined && event.key !== " ")) return;
    event.preventDefault();
    if (to !== undefined) seek(to);
    else if (!event.repeat) toggle();
  };
}

function bindControls(root, memory, sendSpot) {
  const audio = find(root, "audio");
  const seek = (seconds) => {
    audio.currentTime = seekable(seconds, memory.data.duration);
    draw(root, memory);
  };
  const toggle = () => {
    if (audio.paused) play(root, audio);
    else audio.pause();
  };
  find(root, ".play").onclick = toggle;
  bindPointer(root, memory, seek, sendSpot);
  bindKeys(root, memory, seek, toggle);
}

// The player leaves the page: that is no pause to report, and the sound's memory is given back.
function release(root, memory) {
  const audio = find(root, "audio");
  audio.onpause = null;
  audio.pause();
  cancelAnimationFrame(memory.frame);
  URL.revokeObjectURL(memory.url);
}

// Called again at each change of data or theme: handlers are assigned, not added, and memory lives on the element. The
// same sound is left alone, so that it plays on while panels change.
export default function ({ data, parentElement: root, setStateValue }) {
  const box = find(root, ".player");
  box.memory ??= { follow: [] };
  const memory = box.memory;
  memory.data = data;
  find(root, ".title").textContent = data.title;
  find(root, ".lane").ariaLabel = `Playback position: ${data.title}`;
  find(root, ".lane").ariaValueMax = `${data.duration}`;
  bindSound(root, memory, (seconds) => setStateValue("cursor", { clip: data.clip, seconds }));
  bindControls(root, memory, (spot) => setStateValue("spot", { clip: data.clip, ...spot }));
  if (memory.sound !== data.sound) loadSound(root, memory, data);
  drawPanels(root, memory, data);
  drawAxis(root, data.duration);
  draw(root, memory);
  return () => release(root, memory);
}
