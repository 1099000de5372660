// Wrong verdicts as a table: a row per group of clips, a column per detector; a pressed cell names its clips.

import { find, make } from "./elements.js";

function headOf(detectors) {
  const row = make("tr");
  row.append(make("td"));
  for (const detector of detectors) {
    const cell = make("th", "", { scope: "col", title: detector.title });
    cell.append(make("img", "", { src: detector.mark, alt: "" }), make("span", detector.name));
    row.append(cell);
  }
  return row;
}

function cellOf(cell, group, section, detector, data, tell) {
  const holder = make("td");
  if (!cell) return holder;
  const button = make("button", `${cell.k}/${cell.n}`, { type: "button", onclick: () => tell("cell", cell.id) });
  const percent = ((100 * cell.k) / cell.n).toFixed(1);
  button.style.setProperty("--share", `${percent}%`);
  button.setAttribute("aria-pressed", `${cell.id === data.pressed}`);
  button.setAttribute("aria-label", `${section.title}, ${group.name}, ${detector.name}: ${cell.k} of ${cell.n}`);
  button.title = `${detector.title}, ${group.name}: ${percent} %`;
  holder.append(button);
  return holder;
}

function sectionOf(section, data, tell) {
  const body = make("tbody");
  const title = make("tr", "", { className: "section" });
  title.append(make("th", section.title, { colSpan: data.detectors.length + 1, scope: "rowgroup" }));
  body.append(title);
  for (const group of section.groups) {
    const row = make("tr");
    row.append(make("th", group.name, { scope: "row" }));
    row.append(...group.cells.map((cell, n) => cellOf(cell, group, section, data.detectors[n], data, tell)));
    body.append(row);
  }
  return body;
}

export default function ({ data, parentElement: root, setTriggerValue }) {
  const table = find(root, "table");
  const label = root.activeElement?.getAttribute?.("aria-label");
  find(root, ".failures").style.setProperty("--wrong", data.colour);
  find(root, "caption").textContent = data.alt;
  find(root, "thead").replaceChildren(headOf(data.detectors));
  for (const body of [...table.tBodies]) body.remove();
  table.append(...data.sections.map((section) => sectionOf(section, data, setTriggerValue)));
  if (label) [...table.querySelectorAll("button")].find((each) => each.getAttribute("aria-label") === label)?.focus();
}
