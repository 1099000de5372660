// One gauge per detector on a common scale: 0.5 is its threshold, and its held-out normal clips are ticks.

import { find, make, shape } from "./elements.js";
import { onPresented } from "./presenting.js";

const NUMBERS = [0, 0.25, 0.5, 0.75, 1];

function line(className, at, from, to) {
  return shape("line", { class: className, x1: at, x2: at, y1: from, y2: to });
}

function scaleOf(row) {
  const scale = make("div", "", { className: "scale" });
  const svg = shape("svg", { viewBox: "0 0 1 1", preserveAspectRatio: "none", role: "img", "aria-label": row.alt });
  for (const place of row.normal) svg.append(line("tick", place, 0.66, 0.98));
  svg.append(line("threshold", 0.5, 0, 1));
  scale.append(svg);
  if (row.place === null) return scale;
  const needle = line("needle", row.place, 0.1, 0.98);
  needle.style.stroke = row.colour;
  svg.append(needle);
  const mark = make("img", "", { src: row.mark, alt: "" });
  mark.style.left = `clamp(10px, ${100 * row.place}%, calc(100% - 10px))`;
  scale.append(mark);
  return scale;
}

function outcomeOf(outcome) {
  const chip = make("span", "", { className: `chip outcome ${outcome}` });
  const sign = make("span", outcome === "right" ? "\u2713" : "\u2717");
  sign.setAttribute("aria-hidden", "true");
  chip.append(sign, make("span", ` ${outcome}`));
  return chip;
}

function rowOf(row) {
  const element = make("div", "", { className: "row", role: "listitem" });
  const name = make("span", "", { className: "name", title: row.title });
  name.append(make("img", "", { src: row.mark, alt: "" }), make("span", row.name));
  const verdict = make("span", "", { className: "verdict" });
  verdict.append(make("span", row.word, { className: `chip word ${row.kind}` }));
  if (row.outcome) verdict.append(outcomeOf(row.outcome));
  verdict.append(...row.chips.map((chip) => make("span", chip.text, { className: "chip", title: chip.meaning })));
  element.append(name, scaleOf(row), verdict);
  return element;
}

function axisText(at, text, ends) {
  const element = make("span", text, { className: ends });
  element.style.left = `${100 * at}%`;
  return element;
}

const endOf = (at) => (at === 0 ? "first" : at === 1 ? "last" : "");

function drawHeadline(root, headline) {
  const line = find(root, ".headline");
  line.hidden = !headline;
  if (!headline) return;
  const truth = find(line, ".truth");
  truth.textContent = headline.truth || "truth hidden";
  truth.className = `truth ${headline.truth ? headline.kind : "none"}`;
  find(line, ".says").textContent = headline.text;
}

// Called again at each change of data: memory lives on the element.
export default function ({ data, parentElement: root, setTriggerValue }) {
  const box = find(root, ".gauges");
  box.classList.toggle("low", Boolean(data.headline));
  box.classList.toggle(
    "wide",
    data.rows.some((row) => row.chips.length > 0),
  );
  drawHeadline(root, data.headline);
  box.endActs?.();
  box.endActs = onPresented(({ act }) => {
    if (data.acts.includes(act)) setTriggerValue("act", act);
  });
  find(root, ".rows").replaceChildren(...data.rows.map(rowOf));
  find(root, ".numbers").replaceChildren(...NUMBERS.map((at) => axisText(at, `${at}`, endOf(at))));
  const words = [
    [0, "normal"],
    [0.5, "threshold"],
    [1, "anomalous"],
  ];
  find(root, ".words").replaceChildren(...words.map(([at, text]) => axisText(at, text, endOf(at))));
  return () => box.endActs();
}
