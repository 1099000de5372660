// A clip's sound and its pictures on one time axis, with one playhead. Python hears of pauses and of finished regions.

import { commonGain, excerptOf } from "./band.js";
import { find } from "./elements.js";
import { bindGestures } from "./gestures.js";
import { hasKeys } from "./keys.js";
import { loopedSeconds, setHeard, startLoop, stopLoop } from "./loop.js";
import { raisedText } from "./numbers.js";
import { givesWay, soundsAlone } from "./one_sound.js";
import { layOut, markRegion, pictureFrame, readoutText, traceFrame, waveformFrame } from "./panels.js";
import { onPresented } from "./presenting.js";
import { dragged, followedRegion, partUnder, regionAround, regionBetween, regionText } from "./regions.js";
import { drawTicks, PAUSE, PLAY, play } from "./stage.js";
import { samplesOf, secondsByKey, seekable, shareAlong, within } from "./timeline.js";
import {
  followedView,
  isWhole,
  pannedView,
  secondsAt,
  shareOf,
  ticksIn,
  viewOf,
  wholeView,
  zoomedView,
} from "./zooming.js";

const KEYS = [
  ["Space", "play, pause"],
  ["Left, right", "half a second back, forward"],
  ["Home, End", "to the start, to the end of the clip or region"],
  ["A, B", "hear this clip, the nearest normal one (B again: back)"],
  ["L", "repeat"],
  ["Z, +, \u2212", "zoom to the region and back, in, out"],
  ["Esc", "clear the region"],
];
const GESTURES =
  "Mouse: drag a rectangle; drag its edges or itself; double-click a spot; Ctrl and wheel zooms. " +
  "Touch: drag sideways, or hold and drag; two fingers zoom.";
const NEARER = 0.5;
const MOST_SENT = 8;

const decoded = (wav) => Uint8Array.from(atob(wav), (c) => c.charCodeAt(0));

function loadSound(root, memory, data) {
  const bytes = decoded(data.wav);
  if (memory.url) URL.revokeObjectURL(memory.url);
  halt(memory);
  const samples = samplesOf(bytes);
  const view = wholeView(data.duration);
  const fresh = { sound: data.sound, samples, sr: Math.round(samples.length / data.duration), view, region: null };
  Object.assign(memory, fresh, { heard: 0, place: null, excerpts: null, sent: [], wantsOther: false });
  memory.url = URL.createObjectURL(new Blob([bytes], { type: "audio/wav" }));
  find(root, "audio").src = memory.url;
}

function loadOther(memory, other) {
  if (memory.otherSound === (other?.sound ?? null)) return;
  memory.otherSound = other?.sound ?? null;
  memory.other = other ? samplesOf(decoded(other.wav)) : null;
  memory.excerpts = null;
  if (!other) memory.heard = 0;
}

function drawPanels(root, memory, data) {
  const { samples } = memory;
  const frames = samples.length ? [waveformFrame(samples, data, `Waveform of ${data.title}`)] : [];
  for (const panel of data.panels) frames.push(("png" in panel ? pictureFrame : traceFrame)(panel, data));
  memory.frames = frames;
  find(root, ".panels").replaceChildren(...frames.map((frame) => frame.element));
}

const topHz = (memory) => (memory.sr || 16000) / 2;
const limits = (memory, frame) => ({ edges: frame?.edges, duration: memory.data.duration, top: topHz(memory) });

// The stretch that is played in place of the whole clip, or of the clip where the other one is compared with it.
const stretchOf = (memory) => memory.region ?? { from: 0, to: memory.data.duration, low: 0, high: topHz(memory) };
const isStretch = (memory) => memory.region !== null || memory.heard === 1 || Boolean(memory.loop);

function nowOf(root, memory) {
  if (memory.loop) return loopedSeconds(memory.loop) ?? stretchOf(memory).from;
  return isStretch(memory) ? (memory.place ?? stretchOf(memory).from) : find(root, "audio").currentTime;
}

function otherReaches(memory) {
  return Boolean(memory.other) && memory.other.length >= Math.floor(stretchOf(memory).to * memory.sr);
}

// The region of both clips, raised by one gain so that they compare; whole clips keep their level.
function excerptsOf(memory) {
  const stretch = stretchOf(memory);
  const key = JSON.stringify([stretch, memory.otherSound]);
  if (memory.excerpts?.key === key) return memory.excerpts;
  const clips = otherReaches(memory) ? [memory.samples, memory.other] : [memory.samples];
  const sounds = clips.map((samples) => excerptOf(samples, stretch, memory.sr));
  memory.excerpts = { key, sounds, gain: memory.region ? commonGain(sounds) : 1 };
  return memory.excerpts;
}

function halt(memory) {
  if (memory.loop) stopLoop(memory.loop);
  memory.loop = null;
}

function playStretch(root, memory, from) {
  const audio = find(root, "audio");
  halt(memory);
  if (!audio.paused) audio.pause();
  memory.context ??= new AudioContext();
  memory.context.resume();
  const stretch = stretchOf(memory);
  const { sounds, gain } = excerptsOf(memory);
  if (sounds.length < 2) memory.heard = 0;
  memory.loop = startLoop(sounds, {
    context: memory.context,
    sr: memory.sr,
    stretch,
    offset: within(from - stretch.from, 0, stretch.to - stretch.from - 0.01),
    isLooped: find(root, ".loop input").checked,
    volume: audio.volume,
    gain,
    heard: memory.heard,
  });
  soundsAlone(audio);
  follow(root, memory);
}

function pauseStretch(root, memory) {
  const place = nowOf(root, memory);
  halt(memory);
  memory.place = place;
  if (!isStretch(memory)) find(root, "audio").currentTime = place;
  draw(root, memory);
}

const isPlaying = (root, memory) => Boolean(memory.loop) || !find(root, "audio").paused;

// Draw each frame of the screen while something sounds.
function follow(root, memory) {
  cancelAnimationFrame(memory.frame);
  if (memory.loop && loopedSeconds(memory.loop) === null) {
    halt(memory);
    memory.place = stretchOf(memory).from;
  }
  turnPage(root, memory);
  draw(root, memory);
  if (isPlaying(root, memory)) memory.frame = requestAnimationFrame(() => follow(root, memory));
}

function turnPage(root, memory) {
  const view = followedView(memory.view, nowOf(root, memory), memory.data.duration);
  if (view !== memory.view && isPlaying(root, memory)) setView(root, memory, view);
}

// Everything that follows the playhead.
function draw(root, memory) {
  const [lane, { duration }] = [find(root, ".lane"), memory.data];
  const now = Math.min(nowOf(root, memory), duration);
  const share = shareOf(memory.view, now);
  const head = find(root, ".head");
  head.hidden = share < 0 || share > 1;
  head.style.left = `${100 * share}%`;
  find(root, ".time").textContent = `${now.toFixed(2)} / ${duration.toFixed(2)} s`;
  for (const frame of memory.frames) frame.at?.(now);
  const plays = isPlaying(root, memory);
  find(root, ".play path").setAttribute("d", plays ? PAUSE : PLAY);
  find(root, ".play").ariaLabel = plays ? "Pause" : "Play";
  if (plays) return; // a screen reader would read out every frame
  lane.ariaValueNow = now.toFixed(2);
  lane.ariaValueText = `${now.toFixed(2)} s of ${duration.toFixed(2)} s`;
}

function setView(root, memory, view) {
  memory.view = view;
  const { duration } = memory.data;
  for (const frame of memory.frames) layOut(frame, view, duration);
  drawTicks(root, ticksIn(view), (seconds) => shareOf(view, seconds));
  find(root, ".whole").disabled = isWhole(view, duration);
  draw(root, memory);
}

function otherText(memory) {
  const { other } = memory.data;
  if (memory.wantsOther && !other) return "Looking for the nearest normal clip \u2026";
  if (!other) return "Compare with the nearest normal clip";
  if (!otherReaches(memory)) return `${other.title} is shorter than this`;
  return memory.heard ? `Heard: ${other.title}` : "Heard: this clip";
}

// What is said of the region and of the clip beside it.
function drawRegion(root, memory) {
  const { region, data } = memory;
  for (const frame of memory.frames) markRegion(frame, region, data.duration);
  find(root, ".region").textContent = region
    ? `Region ${regionText(region, topHz(memory))}, ${raisedText(excerptsOf(memory).gain)}`
    : "Drag on a picture to hear a region.";
  find(root, ".clear").hidden = region === null;
  const compare = find(root, ".compare");
  compare.hidden = !data.compares && !data.other;
  compare.textContent = otherText(memory);
  compare.disabled = Boolean(data.other) && !otherReaches(memory);
  compare.ariaPressed = String(memory.heard === 1);
}

function setRegion(root, memory, region) {
  const loop = find(root, ".loop input");
  if (region && !memory.region) [memory.loopedBefore, loop.checked] = [loop.checked, true];
  if (!region && memory.region) loop.checked = memory.loopedBefore ?? false;
  find(root, "audio").loop = loop.checked;
  memory.region = region;
  memory.place = region?.from ?? null;
  if (!region) memory.heard = 0;
  drawRegion(root, memory);
  draw(root, memory);
}

// While a region is drawn nothing is filtered or sent: that waits for the release.
function sketchRegion(root, memory, region) {
  halt(memory);
  memory.region = region;
  memory.place = region.from;
  for (const frame of memory.frames) markRegion(frame, region, memory.data.duration);
  find(root, ".region").textContent = `Region ${regionText(region, topHz(memory))}`;
  draw(root, memory);
}

function regionActs(root, memory, send) {
  const report = (region) => {
    memory.sent = [...memory.sent, region].slice(-MOST_SENT);
    send(region);
  };
  const clear = () => {
    if (!memory.region) return;
    const place = nowOf(root, memory);
    halt(memory);
    setRegion(root, memory, null);
    find(root, "audio").currentTime = place;
    report(null);
  };
  const settle = (region, before) => {
    memory.region = before;
    setRegion(root, memory, region);
    report(region);
    playStretch(root, memory, region.from);
  };
  return { clear, settle };
}

function compareActs(root, memory, ask) {
  const askForOther = () => {
    memory.wantsOther = true;
    drawRegion(root, memory);
    if (memory.data.compares) ask();
  };
  return () => {
    if (!memory.other) askForOther();
    else if (otherReaches(memory)) changeHeard(root, memory);
  };
}

// From the clip to the one beside it, or back, at the same place.
function changeHeard(root, memory) {
  const plays = isPlaying(root, memory);
  memory.place = nowOf(root, memory);
  memory.heard = 1 - memory.heard;
  if (memory.loop?.tracks.length === 2) setHeard(memory.loop, { heard: memory.heard });
  else if (plays) playStretch(root, memory, nowOf(root, memory));
  drawRegion(root, memory);
}

// The panel under a pointer, or the one given, and the place in it; heights count from 0 = bottom to 1 = top.
function spotAt(root, memory, event, given) {
  const share = shareAlong(find(root, ".lane").getBoundingClientRect(), event.clientX);
  const isUnder = ({ view }) => {
    const box = view.getBoundingClientRect();
    return box.top <= event.clientY && event.clientY <= box.bottom;
  };
  const frame = given ?? memory.frames.find(isUnder) ?? null;
  const box = frame?.view.getBoundingClientRect();
  const height = box ? within((box.bottom - event.clientY) / box.height, 0, 1) : 0;
  return { frame, height, seconds: secondsAt(memory.view, share) };
}

function gripAt(root, memory, event, reach) {
  const spot = spotAt(root, memory, event);
  const isScrub = !spot.frame || isNearHead(root, event, reach);
  if (isScrub) return { kind: "scrub", spot };
  const { region } = memory;
  const box = region && spot.frame.mark.getBoundingClientRect();
  const part = box ? partUnder(box, event.clientX, event.clientY, reach) : null;
  return { kind: part ?? "new", spot, region };
}

function isNearHead(root, event, reach) {
  const box = find(root, ".head").getBoundingClientRect();
  return box.width > 0 && Math.abs(event.clientX - box.left - box.width / 2) <= Math.min(reach, 5);
}

function dragRegion(root, memory, grip, event) {
  const spot = spotAt(root, memory, event, grip.spot.frame);
  const bounds = limits(memory, grip.spot.frame);
  const region =
    grip.kind === "new"
      ? regionBetween(grip.spot, spot, bounds)
      : dragged(grip.region, grip.kind, grip.spot, spot, bounds);
  sketchRegion(root, memory, region);
}

const CURSORS = { left: "ew-resize", right: "ew-resize", top: "ns-resize", bottom: "ns-resize", inside: "move" };

function hover(root, memory, event) {
  const [lane, ghost] = [find(root, ".lane"), find(root, ".ghost")];
  const spot = spotAt(root, memory, event);
  lane.classList.add("hover");
  lane.style.cursor = CURSORS[gripAt(root, memory, event, 6).kind] ?? "crosshair";
  const share = shareOf(memory.view, spot.seconds);
  ghost.style.left = `${100 * share}%`;
  ghost.style.setProperty("--share", share);
  ghost.firstElementChild.textContent = readoutText(spot.frame, spot.seconds, spot.height);
}

function bindPointer(root, memory, seek, region) {
  const zoom = zoomer(root, memory);
  bindGestures(find(root, ".lane"), memory, {
    click: (event) => seek(spotAt(root, memory, event).seconds),
    doubleClick: (event) => {
      const spot = spotAt(root, memory, event);
      if (spot.frame) region.settle(regionAround(spot, limits(memory, spot.frame)), memory.region);
    },
    hover: (event) => hover(root, memory, event),
    grip: (event, reach) => gripAt(root, memory, event, reach),
    drag: (grip, event) => {
      if (grip.kind === "scrub") seek(spotAt(root, memory, event).seconds);
      else dragRegion(root, memory, grip, event);
    },
    release: (grip) => {
      if (grip.kind !== "scrub") region.settle(memory.region, grip.region ?? null);
    },
    zoom: (factor, clientX) => zoom(factor, shareAlong(find(root, ".lane").getBoundingClientRect(), clientX)),
    pan: (pixels) => {
      if (!pixels || isWhole(memory.view, memory.data.duration)) return false;
      const seconds = (pixels / find(root, ".lane").clientWidth) * (memory.view.to - memory.view.from);
      setView(root, memory, pannedView(memory.view, seconds, memory.data.duration));
      return true;
    },
  });
}

const zoomer = (root, memory) => (factor, share) => {
  setView(root, memory, zoomedView(memory.view, factor, share, memory.data.duration));
};

// Around the playhead where it is in view, else around the middle.
function zoomBy(root, memory, factor) {
  const share = shareOf(memory.view, nowOf(root, memory));
  zoomer(root, memory)(factor, share >= 0 && share <= 1 ? share : 0.5);
}

function zoomToRegion(root, memory) {
  const { duration } = memory.data;
  const whole = !memory.region || !isWhole(memory.view, duration);
  setView(root, memory, whole ? wholeView(duration) : viewOf(memory.region, duration));
}

function bindKeys(root, memory, acts) {
  const isCompared = () => memory.data.compares || memory.data.other;
  const commands = {
    " ": () => acts.toggle,
    a: () => memory.heard === 1 && acts.compare,
    b: () => isCompared() && acts.compare,
    l: () => () => find(root, ".loop input").click(),
    z: () => () => zoomToRegion(root, memory),
    "+": () => () => zoomBy(root, memory, NEARER),
    "-": () => () => zoomBy(root, memory, 1 / NEARER),
    Escape: () => memory.region && acts.clear,
  };
  const keys = KEYS.filter(([key]) => key !== "A, B" || isCompared());
  const commandOf = (key) => {
    const to = secondsByKey(key, nowOf(root, memory), memory.data.duration);
    return to === undefined ? commands[key]?.() : () => acts.step(to);
  };
  hasKeys(find(root, ".player"), { keys, note: GESTURES, commandOf });
}

function bindSound(root, memory, sendPause) {
  const audio = find(root, "audio");
  audio.onplay = () => {
    soundsAlone(audio);
    follow(root, memory);
  };
  audio.onseeked = audio.onloadedmetadata = () => draw(root, memory);
  audio.onpause = () => {
    draw(root, memory);
    if (!memory.loop) sendPause(audio.currentTime);
  };
  find(root, ".loop input").onchange = (event) => {
    audio.loop = event.target.checked;
    if (memory.loop) playStretch(root, memory, nowOf(root, memory));
  };
  find(root, ".volume input").oninput = (event) => {
    audio.volume = Number(event.target.value);
    if (memory.loop) setHeard(memory.loop, { volume: audio.volume });
  };
  memory.soundsOn?.();
  memory.soundsOn = givesWay(
    (other) => other === audio,
    () => (memory.loop ? pauseStretch(root, memory) : audio.pause()),
  );
}

function seekTo(root, memory, seconds) {
  memory.place = seconds;
  if (memory.loop) playStretch(root, memory, seconds);
  else if (!isStretch(memory)) find(root, "audio").currentTime = seconds;
  draw(root, memory);
}

function bindControls(root, memory, messages) {
  const audio = find(root, "audio");
  const region = regionActs(root, memory, messages.region);
  // A click beside the region is about the clip again.
  const seek = (seconds) => {
    const isBeside = memory.region && (seconds < memory.region.from || seconds > memory.region.to);
    if (isBeside) region.clear();
    seekTo(root, memory, seekable(seconds, memory.data.duration));
  };
  const toggle = () => {
    if (memory.loop) pauseStretch(root, memory);
    else if (isStretch(memory)) playStretch(root, memory, nowOf(root, memory));
    else if (audio.paused) play(root, audio);
    else audio.pause();
  };
  const step = (seconds) => {
    const { from, to } = stretchOf(memory);
    seekTo(root, memory, seekable(within(seconds, from, to), memory.data.duration));
    if (isPlaying(root, memory)) return;
    const { duration } = memory.data;
    setView(root, memory, followedView(memory.view, nowOf(root, memory), duration));
  };
  const compare = compareActs(root, memory, messages.ask);
  find(root, ".play").onclick = toggle;
  find(root, ".compare").onclick = compare;
  find(root, ".clear").onclick = region.clear;
  find(root, ".nearer").onclick = () => zoomBy(root, memory, NEARER);
  find(root, ".farther").onclick = () => zoomBy(root, memory, 1 / NEARER);
  find(root, ".whole").onclick = () => setView(root, memory, wholeView(memory.data.duration));
  bindPointer(root, memory, seek, region);
  bindKeys(root, memory, { toggle, step, compare, clear: region.clear });
  memory.endPresented?.();
  memory.endPresented = onPresented(({ act }) => {
    if (act === "play" && memory.data.low) toggle();
  });
  return compare;
}

// Take what Python says of the region, unless it only repeats what the reader has changed since.
function followRegion(root, memory, told) {
  const region = followedRegion(memory.region, told, memory.sent);
  if (JSON.stringify(region) === JSON.stringify(memory.region)) drawRegion(root, memory);
  else {
    halt(memory);
    setRegion(root, memory, region);
  }
}

// The player leaves the page: that is no pause to report, and the sound's memory is given back.
function release(root, memory) {
  const audio = find(root, "audio");
  audio.onpause = null;
  audio.pause();
  halt(memory);
  memory.context?.close();
  memory.context = null;
  memory.soundsOn();
  memory.endPresented();
  find(root, ".player").endKeys();
  cancelAnimationFrame(memory.frame);
  URL.revokeObjectURL(memory.url);
}

// Called again at each change of data or theme: handlers are assigned, not added, and memory lives on the element. The
// same sound is left alone, so that it plays on while panels change.
export default function ({ data, parentElement: root, setStateValue }) {
  const box = find(root, ".player");
  box.memory ??= { frames: [], region: null, heard: 0, place: null, sent: [] };
  const memory = box.memory;
  memory.data = data;
  box.classList.toggle("low", Boolean(data.low));
  find(root, ".title").textContent = data.title;
  find(root, ".lane").ariaLabel = `Playback position: ${data.title}`;
  find(root, ".lane").ariaValueMax = `${data.duration}`;
  if (memory.sound !== data.sound) loadSound(root, memory, data);
  loadOther(memory, data.other);
  bindSound(root, memory, (seconds) => setStateValue("cursor", { clip: data.clip, seconds }));
  const compare = bindControls(root, memory, {
    region: (region) => setStateValue("region", { clip: data.clip, region }),
    ask: () => setStateValue("ask", { clip: data.clip }),
  });
  drawPanels(root, memory, data);
  setView(root, memory, memory.view);
  followRegion(root, memory, data.region);
  if (memory.wantsOther && memory.other) {
    memory.wantsOther = false;
    compare();
  }
  return () => release(root, memory);
}
