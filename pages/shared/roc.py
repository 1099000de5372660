"""The ROC with an operating point to drag; matrix and rates follow in the browser, Python hears of the release."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import streamlit as st

from asd_core.errors import InputError
from asd_core.plots import ANOMALOUS_COLOUR, NORMAL_COLOUR


@dataclass(frozen=True)
class RocMarker:
    """A reference point on the curve, such as a threshold rule.

    Parameters
    ----------
    index
        Which ROC point.
    label
        Short name of the rule, such as "nearest to (0, 1)".
    uses_test_labels
        Whether the rule looked at the labels it is judged by; marked as such.
    """

    index: int
    label: str
    uses_test_labels: bool = False


@dataclass(frozen=True)
class DimmedCurve:
    """A second ROC, drawn faintly for comparison; both rates from 0 to 1 and of equal length."""

    label: str
    false_positive_rate: Sequence[float]
    true_positive_rate: Sequence[float]


_HTML = """
<section class="roc">
  <div class="title"><i></i><span data-out="title"></span></div>
  <div class="columns">
    <div class="graph">
      <div class="ylabel">True-positive rate</div>
      <div class="yticks"></div>
      <div class="plot">
        <div class="band"><span>pAUC looks here</span></div>
        <svg viewBox="0 0 1000 1000" preserveAspectRatio="none" aria-hidden="true">
          <path class="grid"/><path class="chance"/><path class="other"/><path class="cross"/><path class="curve"/>
        </svg>
        <div class="marks"></div>
        <div class="handle" role="slider" tabindex="0" aria-valuemin="0"></div>
      </div>
      <div class="xticks"></div>
      <div class="xlabel">False-positive rate</div>
      <div class="key"><ul></ul><p>Drag the point, or focus it and press the arrow keys.</p></div>
    </div>
    <div class="figures">
      <dl>
        <div><dt>Threshold</dt><dd class="big" data-out="threshold"></dd></div>
        <div><dt>False alarms (FPR)</dt><dd data-out="fpr"></dd></div>
        <div><dt>Anomalies found (TPR)</dt><dd data-out="tpr"></dd></div>
        <div><dt>Accuracy</dt><dd data-out="accuracy"></dd></div>
      </dl>
      <table class="matrix">
        <caption>Confusion matrix</caption>
        <thead>
          <tr><td></td><th scope="col">judged normal</th><th scope="col">judged anomalous</th></tr>
        </thead>
        <tbody>
          <tr><th scope="row" class="normal">normal</th><td data-cell="tn"></td><td data-cell="fp"></td></tr>
          <tr><th scope="row" class="anomalous">anomalous</th><td data-cell="fn"></td><td data-cell="tp"></td></tr>
        </tbody>
      </table>
      <table class="classes">
        <caption>Per class</caption>
        <thead>
          <tr><td></td><th scope="col">precision</th><th scope="col">recall</th><th scope="col">F1</th></tr>
        </thead>
        <tbody>
          <tr><th scope="row" class="normal">normal</th><td data-out="normal-precision"></td>
            <td data-out="normal-recall"></td><td data-out="normal-f1"></td></tr>
          <tr><th scope="row" class="anomalous">anomalous</th><td data-out="anomalous-precision"></td>
            <td data-out="anomalous-recall"></td><td data-out="anomalous-f1"></td></tr>
        </tbody>
      </table>
    </div>
  </div>
</section>
"""

_CSS = """
.roc {
  --muted: color-mix(in srgb, var(--st-text-color) 68%, transparent);
  --faint: color-mix(in srgb, var(--st-text-color) 14%, transparent);
  container-type: inline-size; font-family: var(--st-font); font-size: 14px; line-height: 1.35;
  color: var(--st-text-color); font-variant-numeric: tabular-nums;
}
.title { font-weight: 600; margin-bottom: 10px; display: flex; align-items: center; gap: 8px; }
.title i { width: 18px; height: 3px; border-radius: 2px; background: var(--curve); flex: none; }
.columns { display: grid; grid-template-columns: minmax(0, 520px) minmax(300px, 420px); gap: 24px 40px; }
.graph {
  display: grid; grid-template-columns: 16px 42px minmax(0, 1fr) 10px; grid-template-rows: auto 24px auto auto;
  padding-top: 8px; align-content: start;
}
.ylabel { grid-area: 1 / 1; writing-mode: vertical-rl; transform: rotate(180deg); text-align: center; }
.xlabel { grid-area: 3 / 3; text-align: center; }
.ylabel, .xlabel, .yticks, .xticks { font-size: 12px; color: var(--muted); line-height: 16px; }
.yticks { grid-area: 1 / 2; position: relative; }
.xticks { grid-area: 2 / 3; position: relative; }
.yticks span { position: absolute; right: 7px; transform: translateY(50%); }
.xticks span { position: absolute; top: 5px; transform: translateX(-50%); }
.plot {
  grid-area: 1 / 3; position: relative; aspect-ratio: 1; cursor: crosshair; touch-action: pan-y; user-select: none;
  -webkit-user-select: none;
}
.plot svg { position: absolute; inset: 0; width: 100%; height: 100%; overflow: visible; }
.plot path { fill: none; vector-effect: non-scaling-stroke; stroke-linejoin: round; stroke-linecap: round; }
.grid { stroke: var(--faint); stroke-width: 1; }
.chance { stroke: var(--muted); stroke-width: 1; stroke-dasharray: 1 4; }
.other { stroke: var(--muted); stroke-width: 1.5; opacity: 0.65; }
.curve { stroke: var(--curve); stroke-width: 2.5; }
.cross { stroke: var(--muted); stroke-width: 1; stroke-dasharray: 4 3; }
.band {
  position: absolute; inset: 0 auto 0 0; width: 10%; font-size: 10px; color: var(--muted); line-height: 1;
  background: color-mix(in srgb, var(--st-text-color) 7%, transparent);
}
.band span { position: absolute; inset: auto auto 2% calc(100% + 5px); white-space: nowrap; }
.handle {
  position: absolute; width: 18px; height: 18px; margin: -9px; border-radius: 50%; box-sizing: border-box;
  background: var(--st-background-color); border: 4px solid var(--curve); cursor: grab; touch-action: none;
  box-shadow: 0 0 0 1.5px var(--st-background-color), 0 1px 5px 1px rgb(0 0 0 / 35%); outline: none;
}
.handle::after { content: ""; position: absolute; inset: -17px; border-radius: 50%; }
.handle:focus-visible { box-shadow: 0 0 0 2px var(--st-background-color), 0 0 0 5px var(--st-primary-color); }
.dragging, .dragging .handle { cursor: grabbing; }
.marks i {
  position: absolute; width: 9px; height: 9px; margin: -4.5px; rotate: 45deg; background: var(--st-background-color);
  border: 2px solid var(--st-text-color); box-sizing: border-box;
}
.marks b {
  position: absolute; font-size: 12px; line-height: 14px; padding: 0 4px; border-radius: 7px;
  background: var(--st-text-color); color: var(--st-background-color); pointer-events: none;
}
.key { grid-area: 4 / 3 / 5 / 5; margin-top: 10px; font-size: 13px; }
.key ul { list-style: none; margin: 0; padding: 0; }
.key p { margin: 6px 0 0; font-size: 12px; color: var(--muted); }
.key li { margin: 0 0 2px; display: flex; gap: 8px; align-items: baseline; color: var(--muted); }
.key li > i { width: 18px; border-top: 1.5px solid var(--muted); opacity: 0.65; flex: none; translate: 0 -4px; }
.key button {
  all: unset; box-sizing: border-box; cursor: pointer; display: flex; gap: 8px; align-items: baseline;
  padding: 3px 6px 3px 0; border-radius: var(--st-base-radius);
}
.key button:hover .name { text-decoration: underline; }
.key button:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: 1px; }
.key b {
  min-width: 18px; text-align: center; font-size: 12px; line-height: 16px; border-radius: 8px;
  background: var(--st-text-color); color: var(--st-background-color); flex: none; align-self: flex-start;
}
.key .name { color: var(--st-text-color); }
.key em {
  font-style: normal; font-size: 11px; line-height: 16px; border: 1px solid var(--st-orange-text-color);
  color: var(--st-orange-text-color); border-radius: 4px; padding: 0 4px; white-space: nowrap;
}
dl { margin: 0 0 18px; }
dl div {
  display: flex; justify-content: space-between; align-items: baseline; gap: 12px; padding: 5px 0;
  border-bottom: 1px solid var(--faint);
}
dt { color: var(--muted); }
dd { margin: 0; white-space: nowrap; font-weight: 600; }
.big { font-size: 20px; }
table { border-collapse: separate; border-spacing: 3px; width: 100%; margin: 0 0 14px; table-layout: fixed; }
caption { text-align: left; font-weight: 600; padding-bottom: 2px; }
th { font-weight: 400; color: var(--muted); font-size: 12.5px; padding: 2px 4px; }
th[scope=row] { text-align: left; white-space: nowrap; padding-left: 0; }
th[scope=row]::before {
  content: ""; display: inline-block; width: 8px; height: 8px; margin-right: 6px; border-radius: 50%;
}
.normal::before { background: var(--normal); }
.anomalous::before { background: var(--anomalous); border-radius: 1px !important; }
tr > :first-child { width: 92px; }
.matrix tbody td { text-align: center; padding: 6px 4px; border-radius: 6px; }
.matrix strong { display: block; font-size: 20px; line-height: 1.2; }
.matrix small, .classes small { font-size: 12px; white-space: nowrap; }
.classes tbody td { text-align: center; padding: 3px 2px; border-top: 1px solid var(--faint); line-height: 1.25; }
.classes td small { display: inline-block; color: var(--muted); }
.classes tr > :last-child { width: 60px; }
@container (max-width: 760px) {
  .columns { grid-template-columns: minmax(0, 520px); }
}
"""

_JS = r"""
const find = (root, name) => root.querySelector(name);
const make = (tag, text = "", props = {}) => Object.assign(document.createElement(tag), { textContent: text }, props);
const whole = (n) => n.toLocaleString("en");
const percent = (k, n) => (n ? `${(100 * k / n).toFixed(1)} %` : "\u2013");
const ratio = (k, n) => `(${whole(k)}/${whole(n)})`;
const rate = (k, n) => `${percent(k, n)} ${ratio(k, n)}`;
const number = (x) => {
  if (x === null) return "above every score";
  const plain = x === 0 || (Math.abs(x) >= 1e-4 && Math.abs(x) < 1e4);
  return (plain ? x.toPrecision(4) : x.toExponential(3)).replaceAll("-", "\u2212");
};
const spot = (x, y) => `${(1000 * x).toFixed(1)} ${(1000 - 1000 * y).toFixed(1)}`;
const line = (xs, ys) => "M" + xs.map((x, i) => spot(x, ys[i])).join("L");

const counts = ({ data }, i) => {
  const [fp, tp] = [data.fp[i], data.tp[i]];
  return { fp, tp, tn: data.normal - fp, fn: data.anomalous - tp };
};
const place = ({ data }, i) => [data.fp[i] / data.normal, data.tp[i] / data.anomalous];

function drawFrame(root, { data }) {
  const box = find(root, ".roc");
  for (const name of ["curve", "normal", "anomalous"]) box.style.setProperty(`--${name}`, data.colours[name]);
  find(root, "[data-out=title]").textContent = data.title;
  const steps = [0, 0.2, 0.4, 0.6, 0.8, 1];
  const ticks = (side) => steps.map((s) => {
    const tick = make("span", s === 0 || s === 1 ? `${s}` : s.toFixed(1));
    tick.style[side] = `${100 * s}%`;
    return tick;
  });
  find(root, ".xticks").replaceChildren(...ticks("left"));
  find(root, ".yticks").replaceChildren(...ticks("bottom"));
  const grid = steps.map((s) => `M${1000 * s} 0V1000M0 ${1000 * s}H1000`).join("");
  find(root, ".grid").setAttribute("d", grid);
  find(root, ".chance").setAttribute("d", "M0 1000L1000 0");
  find(root, ".other").setAttribute("d", data.other ? line(data.other.fpr, data.other.tpr) : "");
  const curve = line(data.fp.map((k) => k / data.normal), data.tp.map((k) => k / data.anomalous));
  find(root, ".curve").setAttribute("d", curve);
}

function drawMarkers(root, memory, choose) {
  const { data } = memory;
  const marks = [], rows = [];
  const places = data.markers.map((marker) => place(memory, marker.index));
  data.markers.forEach((marker, n) => {
    const [x, y] = places[n];
    const letter = String.fromCharCode(65 + n);
    const near = ([a, b], k) => Math.abs(a - x) < 0.08 && Math.abs(b - y) < 0.08 && (a > x || (a === x && k > n));
    const right = places.filter(near).length; // of two close markers, the left one has its letter above
    const at = { left: `${100 * x}%`, top: `${100 - 100 * y}%` };
    const [dot, tag] = [make("i"), make("b", letter)];
    Object.assign(dot.style, at);
    Object.assign(tag.style, at, { translate: ["7px 5px", "-24px -20px", "-24px -38px"][Math.min(right, 2)] });
    marks.push(dot, tag);
    const button = make("button", "", { type: "button", onclick: () => choose(marker.index) });
    button.append(make("b", letter), make("span", marker.label, { className: "name" }));
    if (marker.usesLabels) button.append(make("em", "uses test labels"));
    const row = make("li");
    row.append(button);
    rows.push(row);
  });
  if (data.other) {
    const row = make("li");
    row.append(make("i"), make("span", data.other.label));
    rows.push(row);
  }
  find(root, ".marks").replaceChildren(...marks);
  find(root, ".key ul").replaceChildren(...rows);
}

function drawClass(out, name, right, judged, truly) {
  const share = (k, n) => [make("span", percent(k, n)), " ", make("small", ratio(k, n))];
  out(`${name}-precision`).replaceChildren(...share(right, judged));
  out(`${name}-recall`).replaceChildren(...share(right, truly));
  out(`${name}-f1`).textContent = (2 * right / (judged + truly)).toFixed(3);
}

function drawFigures(root, { data }, { fp, tp, tn, fn }, threshold) {
  const out = (name) => find(root, `[data-out=${name}]`);
  out("threshold").textContent = threshold;
  out("fpr").textContent = rate(fp, data.normal);
  out("tpr").textContent = rate(tp, data.anomalous);
  out("accuracy").textContent = rate(tn + tp, data.normal + data.anomalous);
  drawClass(out, "normal", tn, tn + fn, data.normal);
  drawClass(out, "anomalous", tp, tp + fp, data.anomalous);
  const words = { tn: "correct", fp: "false alarms", fn: "missed", tp: "correct" };
  for (const [name, k] of Object.entries({ tn, fp, fn, tp })) {
    const of = name === "tn" || name === "fp" ? data.normal : data.anomalous;
    const cell = find(root, `[data-cell=${name}]`);
    cell.replaceChildren(make("strong", whole(k)), make("small", `${percent(k, of)} ${words[name]}`));
    cell.style.background = `color-mix(in srgb, #0072B2 ${Math.round(6 + 40 * k / of)}%, transparent)`;
  }
}

function draw(root, memory) {
  const { data, index } = memory;
  const [x, y] = place(memory, index);
  const found = counts(memory, index);
  const exact = data.exact !== null && index === data.index;
  const threshold = number(exact ? data.exact : data.thresholds[index]);
  const handle = find(root, ".handle");
  Object.assign(handle.style, { left: `${100 * x}%`, top: `${100 - 100 * y}%` });
  find(root, ".cross").setAttribute("d", `M0 ${1000 - 1000 * y}H${1000 * x}V1000`);
  drawFigures(root, memory, found, threshold);
  handle.ariaLabel = `Operating point: ${data.title}`;
  handle.ariaValueMax = `${data.fp.length - 1}`;
  handle.ariaValueNow = `${index}`;
  handle.ariaValueText = `threshold ${threshold}, false alarms ${rate(found.fp, data.normal)}, `
    + `anomalies found ${rate(found.tp, data.anomalous)}`;
}

function nearest(root, { data }, event) {
  const box = find(root, ".plot").getBoundingClientRect();
  const x = (event.clientX - box.left) / box.width * data.normal;
  const y = (box.bottom - event.clientY) / box.height * data.anomalous;
  let [best, least] = [0, Infinity];
  for (let i = 0; i < data.fp.length; i += 1) {
    const gap = ((data.fp[i] - x) / data.normal) ** 2 + ((data.tp[i] - y) / data.anomalous) ** 2;
    if (gap < least) [best, least] = [i, gap];
  }
  return best;
}

// Python's point wins, except over a drag in progress and over an echo of a release that another has overtaken.
function follow(memory, data) {
  const fresh = memory.curve !== data.curve;
  const moved = data.index !== memory.given;
  Object.assign(memory, { data, curve: data.curve, given: data.index });
  if (fresh) Object.assign(memory, { index: data.index, reported: data.index, drag: null, sent: [] });
  if (fresh || !moved) return;
  const late = memory.sent.filter(([, when]) => Date.now() - when < 3000).map(([index]) => index);
  if (late.includes(data.index) && late.at(-1) !== data.index) return;
  Object.assign(memory, { reported: data.index, sent: [] });
  if (memory.drag === null && !memory.keyed) memory.index = data.index;
}

function bindPointer(root, memory, move, commit) {
  const plot = find(root, ".plot");
  const end = () => { memory.drag = null; plot.classList.remove("dragging"); };
  plot.onpointerdown = (event) => {
    if (event.button !== 0 || memory.drag !== null) return;
    event.preventDefault();
    Object.assign(memory, { drag: event.pointerId, before: memory.index });
    plot.setPointerCapture(event.pointerId);
    plot.classList.add("dragging");
    find(root, ".handle").focus({ preventScroll: true });
    move(nearest(root, memory, event));
  };
  plot.onpointermove = (event) => { if (event.pointerId === memory.drag) move(nearest(root, memory, event)); };
  plot.onpointerup = (event) => { if (event.pointerId === memory.drag) { end(); commit(); } };
  plot.onpointercancel = (event) => { if (event.pointerId === memory.drag) { end(); move(memory.before); } };
}

function bindKeys(root, memory, move, commit) {
  const handle = find(root, ".handle");
  handle.onkeydown = (event) => {
    const last = memory.data.fp.length - 1;
    const page = Math.max(1, Math.round(last / 20));
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageUp: page, PageDown: -page,
      Home: -last, End: last };
    if (!(event.key in steps) || memory.drag !== null || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    memory.keyed = true;
    move(memory.index + steps[event.key]);
  };
  handle.onkeyup = handle.onblur = () => { if (memory.keyed) { memory.keyed = false; commit(); } };
}

export default function ({ data, parentElement: root, setTriggerValue }) {
  const box = find(root, ".roc");
  const memory = box.memory ??= { drag: null, keyed: false, sent: [] };
  const move = (to) => {
    memory.index = Math.max(0, Math.min(memory.data.fp.length - 1, to));
    draw(root, memory);
  };
  const commit = () => {
    if (memory.index === memory.reported) return;
    memory.reported = memory.index;
    memory.sent.push([memory.index, Date.now()]);
    setTriggerValue("point", { curve: memory.curve, index: memory.index });
  };
  follow(memory, data);
  drawFrame(root, memory);
  drawMarkers(root, memory, (to) => { move(to); commit(); });
  draw(root, memory);
  bindPointer(root, memory, move, commit);
  bindKeys(root, memory, move, commit);
}
"""

_mount = st.components.v2.component("asd_roc_control", html=_HTML, css=_CSS, js=_JS)


def roc_control(
    *,
    false_positives: Sequence[int],
    true_positives: Sequence[int],
    thresholds: Sequence[float],
    n_normal: int,
    n_anomalous: int,
    index: int,
    title: str,
    colour: str,
    markers: Sequence[RocMarker] = (),
    comparison: DimmedCurve | None = None,
    exact_threshold: float | None = None,
    on_release: Callable[[int], None] | None = None,
    key: str,
) -> int | None:
    """Draw the ROC; return the chosen point in the one run that follows a release, otherwise None.

    The shown point follows `index` whenever it changes. Moves stay in the browser until the pointer or the key is
    released.

    Parameters
    ----------
    false_positives, true_positives, thresholds
        Equally long, by falling threshold; clips at or above the threshold. The first threshold may be infinite.
    n_normal, n_anomalous
        Clips of each class, at least 1.
    index
        The operating point, 0 to `len(thresholds) - 1`.
    comparison
        Another curve to draw faintly.
    exact_threshold
        The threshold in force at `index`, where a rule put it between two scores; shown instead of the point's own.
    on_release
        Called with the chosen point before the run starts, where widgets may still be set.

    Raises
    ------
    InputError
        Lengths differ, a class is empty, or a point lies off the curve.
    """
    points = tuple(false_positives), tuple(true_positives), tuple(thresholds)
    curve, digest = _curve_message(title, *points, n_normal, n_anomalous)
    _check_points(len(thresholds), [index, *(marker.index for marker in markers)])

    def released() -> None:
        chosen = _chosen(st.session_state[key].get("point"), digest, len(thresholds))
        if on_release is not None and chosen is not None:
            on_release(chosen)

    message = {
        **curve,
        "curve": digest,
        "index": int(index),
        "exact": exact_threshold,
        "title": title,
        "colours": {"curve": colour, "normal": NORMAL_COLOUR, "anomalous": ANOMALOUS_COLOUR},
        "markers": [_marker_message(marker) for marker in markers],
        "other": None if comparison is None else _comparison_message(comparison),
    }
    return _chosen(_mount(key=key, data=message, on_point_change=released).point, digest, len(thresholds))


@lru_cache(maxsize=32)
def _curve_message(
    title: str,
    false_positives: tuple[int, ...],
    true_positives: tuple[int, ...],
    thresholds: tuple[float, ...],
    n_normal: int,
    n_anomalous: int,
) -> tuple[dict[str, Any], str]:
    """What the browser is told of a curve, and a digest of it; the same at each move, so kept. Never changed."""
    if not len(false_positives) == len(true_positives) == len(thresholds) >= 1:
        lengths = f"{len(false_positives)}, {len(true_positives)} and {len(thresholds)}"
        raise InputError(f"counts and thresholds of a ROC must be equally long and not empty, got {lengths}")
    if n_normal < 1 or n_anomalous < 1:
        raise InputError(f"a ROC needs clips of both classes, got {n_normal} normal and {n_anomalous} anomalous")
    curve = {
        "fp": [int(count) for count in false_positives],
        "tp": [int(count) for count in true_positives],
        "thresholds": [float(f"{t:.6g}") if math.isfinite(t) else None for t in thresholds],
        "normal": int(n_normal),
        "anomalous": int(n_anomalous),
    }
    return curve, hashlib.sha256(json.dumps([title, curve]).encode()).hexdigest()[:16]


def _check_points(n_points: int, indices: Sequence[int]) -> None:
    for index in indices:
        if not 0 <= index < n_points:
            raise InputError(f"a point of this ROC must be 0 to {n_points - 1}, got {index}")


def _marker_message(marker: RocMarker) -> dict[str, Any]:
    return {"index": int(marker.index), "label": marker.label, "usesLabels": marker.uses_test_labels}


def _comparison_message(comparison: DimmedCurve) -> dict[str, Any]:
    if len(comparison.false_positive_rate) != len(comparison.true_positive_rate):
        raise InputError(f"{comparison.label}: the rates of a ROC must be equally long")
    return {
        "label": comparison.label,
        "fpr": [round(float(rate), 5) for rate in comparison.false_positive_rate],
        "tpr": [round(float(rate), 5) for rate in comparison.true_positive_rate],
    }


def _chosen(sent: Mapping[str, Any] | None, digest: str, n_points: int) -> int | None:
    """Point of a message from the browser, unless it speaks of another curve."""
    if not sent or sent.get("curve") != digest:
        return None
    index = sent.get("index")
    return index if isinstance(index, int) and 0 <= index < n_points else None
