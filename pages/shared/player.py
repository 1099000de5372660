"""A clip's sound and pictures on one time axis, with one playhead that follows the audio."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from asd_core.errors import InputError


@dataclass(frozen=True)
class ColourScale:
    """What a picture's colours mean: palette from low to high and the text at both ends."""

    stops: tuple[str, ...]
    low: str
    high: str


@dataclass(frozen=True)
class Panel:
    """A picture over time, such as a spectrogram or a detector's anomaly map.

    Parameters
    ----------
    label
        What it shows; drawn above it.
    png
        The picture, time to the right; stretched to its span of the time axis and to `height_px`.
    alt
        The picture in words, for those who do not see it.
    y_ticks
        (relative position from 0 = bottom to 1 = top, text) on the left.
    colour
        Of the mark before the label.
    note
        Small print after the label, such as "score 0.00212, anomalous".
    span_s
        First and last second that the picture covers; None for the whole clip.
    scale
        Legend of the colours, drawn at the right.
    """

    label: str
    png: bytes
    alt: str
    height_px: int = 160
    y_ticks: tuple[tuple[float, str], ...] = ()
    colour: str | None = None
    note: str | None = None
    span_s: tuple[float, float] | None = None
    scale: ColourScale | None = None


@dataclass(frozen=True)
class Trace:
    """A line over time, such as a detector's score for each window, with its threshold.

    Parameters
    ----------
    label, alt, colour, note, height_px
        As for `Panel`.
    times_s, values
        Equally long, times rising; a value that is not finite breaks the line.
    threshold
        Drawn as a dashed line, in the unit of the values.
    """

    label: str
    times_s: Sequence[float]
    values: Sequence[float]
    alt: str
    colour: str
    threshold: float | None = None
    note: str | None = None
    height_px: int = 72


_HTML = """
<section class="player">
  <div class="bar">
    <button type="button" class="play" aria-label="Play">
      <svg viewBox="0 0 24 24" aria-hidden="true"><path/></svg>
    </button>
    <span class="time"></span>
    <span class="title"></span>
    <label class="loop"><input type="checkbox">Repeat</label>
    <label class="volume">Volume<input type="range" min="0" max="1" step="0.05" value="1"></label>
  </div>
  <div class="stage">
    <div class="panels"></div>
    <div class="axis"><span class="unit">Time (s)</span><div class="ticks"></div></div>
    <div class="lane" role="slider" tabindex="0" aria-valuemin="0">
      <div class="ghost"><span></span></div>
      <div class="head"></div>
    </div>
  </div>
  <audio preload="auto"></audio>
</section>
"""

_CSS = """
.player {
  --muted: color-mix(in srgb, var(--st-text-color) 68%, transparent);
  --faint: color-mix(in srgb, var(--st-text-color) 14%, transparent);
  --gutter: 58px;
  container-type: inline-size; font-family: var(--st-font); font-size: 14px; line-height: 1.35;
  color: var(--st-text-color); font-variant-numeric: tabular-nums;
}
.bar { display: flex; flex-wrap: wrap; align-items: center; gap: 6px 14px; margin-bottom: 8px; padding: 3px; }
.play {
  width: 40px; height: 40px; padding: 0; border: 0; border-radius: 50%; cursor: pointer; flex: none;
  background: var(--st-text-color); color: var(--st-background-color); display: grid; place-items: center;
}
.play svg { width: 22px; height: 22px; fill: currentColor; }
.play:hover { opacity: 0.85; }
.play:focus-visible, input:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: 2px; }
.time { font-weight: 600; white-space: nowrap; }
.title { flex: 1 1 120px; min-width: 0; overflow-wrap: anywhere; color: var(--muted); }
.bar label { display: flex; align-items: center; gap: 6px; font-size: 13px; color: var(--muted); cursor: pointer; }
input { accent-color: var(--st-primary-color); margin: 0; cursor: pointer; }
.volume input { width: 84px; }
.stage { position: relative; padding-right: 14px; }
.panels { padding-top: 8px; }
.panel + .panel { margin-top: 8px; }
.head-row {
  margin-left: var(--gutter); display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 10px; padding: 2px 0 3px;
  font-size: 13px;
}
.head-row i { width: 10px; height: 10px; border-radius: 2px; margin-right: -4px; flex: none; }
.head-row > * { position: relative; z-index: 2; pointer-events: none; background: var(--st-background-color); }
.head-row b { font-weight: 600; }
.note, .scale, .value { font-size: 12px; color: var(--muted); }
.scale { margin-left: auto; display: flex; align-items: center; gap: 5px; white-space: nowrap; }
.scale u { width: 64px; height: 8px; border-radius: 2px; }
.value { margin-left: auto; }
.body { display: grid; grid-template-columns: var(--gutter) minmax(0, 1fr); }
.gutter { position: relative; font-size: 11px; line-height: 13px; color: var(--muted); }
.gutter span { position: absolute; right: 9px; white-space: nowrap; }
.gutter span::after {
  content: ""; position: absolute; right: -8px; width: 5px; top: var(--mark, 50%); border-top: 1px solid var(--muted);
}
.view { position: relative; overflow: hidden; background: color-mix(in srgb, var(--st-text-color) 5%, transparent); }
.view img { position: absolute; top: 0; height: 100%; display: block; }
.view svg { position: absolute; inset: 0; width: 100%; height: 100%; overflow: visible; }
.view path { vector-effect: non-scaling-stroke; stroke-linejoin: round; }
.wave { fill: var(--st-text-color); stroke: var(--st-text-color); stroke-width: 0.7; opacity: 0.72; }
.zero { stroke: var(--faint); stroke-width: 1; }
.line { fill: none; stroke-width: 1.75; }
.limit { fill: none; stroke: var(--st-text-color); stroke-width: 1.25; stroke-dasharray: 5 4; }
.axis { display: grid; grid-template-columns: var(--gutter) minmax(0, 1fr); height: 24px; font-size: 11px; }
.axis { color: var(--muted); line-height: 13px; }
.unit { padding: 7px 9px 0 0; text-align: right; white-space: nowrap; }
.ticks { position: relative; }
.ticks span { position: absolute; top: 7px; transform: translateX(-50%); }
.ticks span::before {
  content: ""; position: absolute; left: 50%; top: -7px; height: 5px; border-left: 1px solid var(--muted);
}
.lane {
  position: absolute; inset: 0 14px 24px var(--gutter); cursor: crosshair; touch-action: pan-y; outline: none;
  user-select: none; -webkit-user-select: none; border-radius: 2px;
}
.lane:focus-visible { box-shadow: 0 0 0 3px var(--st-primary-color); }
.head, .ghost { position: absolute; inset: 0 auto; width: 2px; margin-left: -1px; pointer-events: none; left: 0; }
.head { background: var(--st-primary-color); box-shadow: 0 0 0 1px rgb(255 255 255 / 70%); }
.head::before {
  content: ""; position: absolute; left: -5px; top: -6px; width: 12px; height: 12px; border-radius: 50%;
  background: var(--st-primary-color); box-shadow: 0 0 0 1px rgb(255 255 255 / 70%);
}
.ghost { display: none; width: 1px; margin: 0; background: #fff; box-shadow: 0 0 0 0.5px rgb(0 0 0 / 60%); }
.lane.hover .ghost { display: block; }
.ghost span {
  position: absolute; bottom: -22px; translate: -50%; font-size: 11px; line-height: 16px; padding: 0 5px;
  border-radius: 8px; white-space: nowrap; background: var(--st-text-color); color: var(--st-background-color);
}
@container (max-width: 560px) {
  .player { --gutter: 50px; }
  .ticks .odd { visibility: hidden; }
  .title { order: 5; flex-basis: 100%; }
  .head-row .scale, .head-row .value { margin-left: 0; }
  .volume input { width: 64px; }
}
"""

_JS = r"""
const PLAY = "M8 5v14l11-7z", PAUSE = "M6 5h4v14H6zM14 5h4v14h-4z";
const find = (root, name) => root.querySelector(name);
const make = (tag, text = "", props = {}) => Object.assign(document.createElement(tag), { textContent: text }, props);
const shape = (tag, props) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(props)) node.setAttribute(name, value);
  return node;
};
const short = (x) => {
  const plain = x === 0 || (Math.abs(x) >= 1e-3 && Math.abs(x) < 1e4);
  const text = plain ? `${Number(x.toPrecision(3))}` : x.toExponential(1);
  return text.replaceAll("-", "\u2212");
};
const precise = (x) => {
  const text = Math.abs(x) >= 1e-4 || x === 0 ? x.toPrecision(4) : x.toExponential(3);
  return text.replaceAll("-", "\u2212");
};
const canvas = (alt, width, height, ...paths) => {
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img" });
  svg.setAttribute("aria-label", alt);
  svg.append(...paths);
  return svg;
};

// 16-bit samples of a RIFF file; none if it holds anything else.
function samplesOf(bytes) {
  const view = new DataView(bytes.buffer);
  for (let at = 12, bits = 0; at + 8 <= bytes.length;) {
    const name = String.fromCharCode(...bytes.subarray(at, at + 4));
    const size = view.getUint32(at + 4, true);
    if (name === "fmt ") bits = view.getUint16(at + 22, true);
    if (name === "data") return new Int16Array(bytes.buffer.slice(at + 8, at + 8 + (bits === 16 ? size & ~1 : 0)));
    at += 8 + size + (size & 1);
  }
  return new Int16Array(0);
}

function envelope(samples, columns) {
  const [lows, highs] = [[], []];
  for (let c = 0; c < columns; c += 1) {
    let [low, high] = [32767, -32768];
    const end = Math.floor((c + 1) * samples.length / columns);
    for (let i = Math.floor(c * samples.length / columns); i < end; i += 1) {
      if (samples[i] < low) low = samples[i];
      if (samples[i] > high) high = samples[i];
    }
    lows.push(low / 32768);
    highs.push(high / 32768);
  }
  return [lows, highs];
}

function frameOf(panel) {
  const head = make("div", "", { className: "head-row" });
  if (panel.colour) {
    const mark = make("i");
    mark.style.background = panel.colour;
    head.append(mark);
  }
  head.append(make("b", panel.label));
  if (panel.note) head.append(make("span", panel.note, { className: "note" }));
  if (panel.scale) {
    const bar = make("u");
    bar.style.background = `linear-gradient(to right, ${panel.scale.stops.join()})`;
    const scale = make("span", "", { className: "scale" });
    scale.append(make("span", panel.scale.low), bar, make("span", panel.scale.high));
    head.append(scale);
  }
  const [body, gutter, view] = ["body", "gutter", "view"].map((name) => make("div", "", { className: name }));
  let last = -Infinity;
  for (const [at, text] of panel.ticks.toSorted((a, b) => a[0] - b[0])) {
    if (at * panel.height - last < 13) continue;
    last = at * panel.height;
    const tick = make("span", text);
    const shift = at < 0.05 ? 0 : at > 0.95 ? 100 : 50;
    Object.assign(tick.style, { bottom: `${100 * at}%`, transform: `translateY(${shift}%)` });
    tick.style.setProperty("--mark", shift === 0 ? "calc(100% - 1px)" : shift === 100 ? "0" : "50%");
    gutter.append(tick);
  }
  view.style.height = `${panel.height}px`;
  body.append(gutter, view);
  const element = make("div", "", { className: "panel" });
  element.append(head, body);
  return { element, head, view };
}

function waveform(samples, alt, scale) {
  const columns = Math.min(1500, samples.length);
  const [lows, highs] = envelope(samples, columns);
  const peak = Math.max(1e-9, ...highs, ...lows.map((y) => -y));
  const full = scale || peak;
  const top = full * 1.15;
  const db = peak > 1e-6 ? `peak ${(20 * Math.log10(peak)).toFixed(1)} dBFS`.replace("-", "\u2212") : "silent";
  const ticks = [[0.5 - 0.5 / 1.15, short(-full)], [0.5, "0"], [0.5 + 0.5 / 1.15, short(full)]];
  const note = `${db}, full scale is 1`;
  const frame = frameOf({ label: "Waveform", note, height: 72, ticks: full > 1e-6 ? ticks : [[0.5, "0"]] });
  const point = (y, x) => `${x} ${(1 - y / top).toFixed(3)}`;
  const outline = "M" + [...highs.map(point), ...lows.map(point).reverse()].join("L") + "Z";
  const paths = [shape("path", { class: "zero", d: `M0 1H${columns}` }), shape("path", { class: "wave", d: outline })];
  frame.view.append(canvas(`${alt}, ${db}`, columns - 1, 2, ...paths));
  return frame;
}

function picture(panel, duration) {
  const frame = frameOf(panel);
  const [from, to] = panel.span || [0, duration];
  const img = make("img", "", { alt: panel.alt, draggable: false });
  img.onload = () => { img.style.imageRendering = img.naturalWidth < 120 ? "pixelated" : "auto"; };
  img.src = `data:image/png;base64,${panel.png}`;
  Object.assign(img.style, { left: `${100 * from / duration}%`, width: `${100 * (to - from) / duration}%` });
  frame.view.append(img);
  return frame;
}

function trace(panel, duration) {
  const known = panel.values.filter((v) => v !== null).concat(panel.threshold ?? []);
  const [least, most] = known.length ? [Math.min(...known), Math.max(...known)] : [0, 0];
  const pad = 0.08 * (most - least) || 1;
  const [low, high] = [least - pad, most + pad];
  const share = (v) => (v - low) / (high - low);
  const note = panel.threshold === null ? panel.note
    : [panel.note, `threshold ${precise(panel.threshold)} (dashed)`].filter(Boolean).join(" \u00b7 ");
  const ticks = least === most ? [[0.5, short(least)]] : [[share(least), short(least)], [share(most), short(most)]];
  const frame = frameOf({ ...panel, note, ticks });
  let pen = "M";
  const d = panel.values.map((v, i) => {
    if (v === null) { pen = "M"; return ""; }
    const piece = `${pen}${panel.times[i]} ${(1 - share(v)).toFixed(4)}`;
    pen = "L";
    return piece;
  }).join("");
  const path = shape("path", { class: "line", d });
  path.style.stroke = panel.colour;
  const drawing = canvas(panel.alt, duration, 1, path);
  if (panel.threshold !== null) {
    drawing.prepend(shape("path", { class: "limit", d: `M0 ${1 - share(panel.threshold)}H${duration}` }));
  }
  frame.view.append(drawing);
  const value = frame.head.appendChild(make("span", "", { className: "value" }));
  frame.at = (seconds) => {
    let [i, gap] = [-1, Infinity];
    panel.times.forEach((t, k) => { if (Math.abs(t - seconds) < gap) [i, gap] = [k, Math.abs(t - seconds)]; });
    const near = i >= 0 && panel.values[i] !== null;
    value.textContent = near ? `${precise(panel.values[i])} at the playhead` : "";
  };
  return frame;
}

function drawAxis(root, duration) {
  const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600].find((s) => duration / s <= 12) || duration / 10;
  const ticks = Array.from({ length: Math.floor(duration / step + 1e-6) + 1 }, (_, i) => {
    const tick = make("span", `${Number((i * step).toFixed(2))}`, { className: i % 2 ? "odd" : "" });
    tick.style.left = `${100 * i * step / duration}%`;
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

function draw(root, memory) {
  const [audio, lane, { duration }] = [find(root, "audio"), find(root, ".lane"), memory.data];
  const now = Math.min(audio.currentTime, duration);
  find(root, ".head").style.left = `${100 * now / duration}%`;
  find(root, ".time").textContent = `${now.toFixed(2)} / ${duration.toFixed(2)} s`;
  for (const at of memory.follow) at(now);
  find(root, ".play path").setAttribute("d", audio.paused ? PLAY : PAUSE);
  find(root, ".play").ariaLabel = audio.paused ? "Play" : "Pause";
  if (!audio.paused) return;
  lane.ariaValueNow = now.toFixed(2);
  lane.ariaValueText = `${now.toFixed(2)} s of ${duration.toFixed(2)} s`;
}

function bindSound(root, memory, send) {
  const audio = find(root, "audio");
  const tick = () => { draw(root, memory); if (!audio.paused) memory.frame = requestAnimationFrame(tick); };
  audio.onplay = () => { cancelAnimationFrame(memory.frame); tick(); };
  audio.onseeked = audio.onloadedmetadata = () => draw(root, memory);
  audio.onpause = () => { draw(root, memory); send(audio.currentTime); };
  find(root, ".loop input").onchange = (event) => { audio.loop = event.target.checked; };
  find(root, ".volume input").oninput = (event) => { audio.volume = Number(event.target.value); };
}

const inside = (box, y) => box.top <= y && y <= box.bottom;

function bindLane(root, memory, sendSpot) {
  const [audio, lane, ghost] = [find(root, "audio"), find(root, ".lane"), find(root, ".ghost")];
  const seek = (seconds) => {
    audio.currentTime = Math.max(0, Math.min(seconds, memory.data.duration - 0.001));
    draw(root, memory);
  };
  const play = () => audio.play().catch((error) => { // a pause right after is no fault
    if (error.name !== "AbortError") find(root, ".time").textContent = "This sound cannot be played";
  });
  const toggle = () => { if (audio.paused) play(); else audio.pause(); };
  const share = (event) => {
    const box = lane.getBoundingClientRect();
    return Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
  };
  lane.onclick = (event) => seek(share(event) * memory.data.duration);
  lane.ondblclick = (event) => {
    const views = [...root.querySelectorAll(".panel .view")];
    const row = views.findIndex((view) => inside(view.getBoundingClientRect(), event.clientY));
    const panel = row - (memory.samples.length ? 1 : 0);
    if (panel < 0) return;
    const box = views[row].getBoundingClientRect();
    const height = (box.bottom - event.clientY) / box.height;
    sendSpot({ panel, seconds: share(event) * memory.data.duration, height });
  };
  lane.onpointermove = (event) => {
    lane.classList.toggle("hover", event.pointerType === "mouse");
    ghost.style.left = `${100 * share(event)}%`;
    ghost.firstElementChild.textContent = `${(share(event) * memory.data.duration).toFixed(2)} s`;
    if (event.buttons === 1 && event.pointerType === "mouse") seek(share(event) * memory.data.duration);
  };
  lane.onpointerleave = () => lane.classList.remove("hover");
  lane.onkeydown = (event) => {
    const now = audio.currentTime;
    const to = { ArrowLeft: now - 0.5, ArrowRight: now + 0.5, Home: 0, End: memory.data.duration }[event.key];
    if (event.altKey || event.ctrlKey || event.metaKey || (to === undefined && event.key !== " ")) return;
    event.preventDefault();
    if (to !== undefined) seek(to);
    else if (!event.repeat) toggle();
  };
  find(root, ".play").onclick = toggle;
}

export default function ({ data, parentElement: root, setStateValue }) {
  const box = find(root, ".player");
  const memory = box.memory ??= { follow: [] };
  memory.data = data;
  find(root, ".title").textContent = data.title;
  find(root, ".lane").ariaLabel = `Playback position: ${data.title}`;
  find(root, ".lane").ariaValueMax = `${data.duration}`;
  bindSound(root, memory, (seconds) => setStateValue("cursor", { clip: data.clip, seconds }));
  bindLane(root, memory, (spot) => setStateValue("spot", { clip: data.clip, ...spot }));
  if (memory.sound !== data.sound) loadSound(root, memory, data);
  drawPanels(root, memory, data);
  drawAxis(root, data.duration);
  draw(root, memory);
  return () => {
    const audio = find(root, "audio");
    audio.onpause = null;
    audio.pause();
    cancelAnimationFrame(memory.frame);
    URL.revokeObjectURL(memory.url);
  };
}
"""

_mount = st.components.v2.component("asd_synced_player", html=_HTML, css=_CSS, js=_JS)


def synced_player(
    *,
    clip: str,
    title: str,
    wav: bytes,
    duration_s: float,
    panels: Sequence[Panel | Trace],
    key: str,
    peak: float | None = None,
) -> float | None:
    """Draw the player; return where playback was last paused in this clip, in seconds.

    The waveform is drawn from the sound itself, above the panels. A change of panels leaves playback alone, a
    change of sound stops it.

    Parameters
    ----------
    clip
        Identity of the clip, such as its digest; a cursor of another clip is not returned.
    title
        The clip in words; shown and read out.
    wav
        The sound as `PCM_16` WAV.
    duration_s
        Length of the time axis.
    peak
        Largest sample that the waveform's axis must hold, so that several clips compare; None takes the clip's own.

    Raises
    ------
    InputError
        The duration is not positive, or the line of a trace has times and values of different lengths.
    """
    if not (math.isfinite(duration_s) and duration_s > 0):
        raise InputError(f"{title}: a clip must last longer than 0 s, got {duration_s}")
    message = {
        "clip": clip,
        "title": title,
        "sound": hashlib.sha256(wav).hexdigest()[:16],
        "wav": base64.b64encode(wav).decode(),
        "duration": float(duration_s),
        "peak": None if peak is None else max(float(peak), 1e-9),
        "panels": [_trace_message(p) if isinstance(p, Trace) else _panel_message(p) for p in panels],
    }
    state = _mount(key=key, data=message, on_cursor_change=lambda: None, on_spot_change=lambda: None)
    return _seconds(state.cursor, clip)


@dataclass(frozen=True)
class Spot:
    """A spot that was double-clicked: which panel, when, and how high from 0 = bottom to 1 = top."""

    panel: int
    seconds: float
    height: float


def last_spot(key: str, clip: str) -> Spot | None:
    """Return the spot last double-clicked in this clip's player, or None; callable before the player is drawn."""
    state = st.session_state.get(key)
    spot = None if state is None else state.get("spot")
    if not spot or spot.get("clip") != clip:
        return None
    panel, seconds, height = spot.get("panel"), spot.get("seconds"), spot.get("height")
    if not isinstance(panel, int) or not all(isinstance(value, int | float) for value in (seconds, height)):
        return None
    return Spot(panel, max(0.0, float(seconds)), min(1.0, max(0.0, float(height))))


def _panel_message(panel: Panel) -> dict[str, Any]:
    scale = panel.scale
    return {
        "label": panel.label,
        "png": base64.b64encode(panel.png).decode(),
        "alt": panel.alt,
        "height": panel.height_px,
        "ticks": [[float(at), text] for at, text in panel.y_ticks],
        "colour": panel.colour,
        "note": panel.note,
        "span": None if panel.span_s is None else [float(second) for second in panel.span_s],
        "scale": None if scale is None else {"stops": list(scale.stops), "low": scale.low, "high": scale.high},
    }


def _trace_message(trace: Trace) -> dict[str, Any]:
    if len(trace.times_s) != len(trace.values) or len(trace.values) == 0:
        lengths = f"{len(trace.times_s)} and {len(trace.values)}"
        raise InputError(f"{trace.label}: times and values must be equally long and not empty, got {lengths}")
    finite_threshold = trace.threshold is not None and math.isfinite(trace.threshold)
    return {
        "label": trace.label,
        "alt": trace.alt,
        "height": trace.height_px,
        "colour": trace.colour,
        "note": trace.note,
        "threshold": trace.threshold if finite_threshold else None,
        "times": [round(float(t), 4) for t in trace.times_s],
        "values": [float(f"{v:.5g}") if math.isfinite(v) else None for v in trace.values],
    }


def _seconds(cursor: Mapping[str, Any] | None, clip: str) -> float | None:
    """Seconds of a message from the browser, unless it speaks of another clip."""
    if not cursor or cursor.get("clip") != clip:
        return None
    seconds = cursor.get("seconds")
    return float(seconds) if isinstance(seconds, int | float) else None
