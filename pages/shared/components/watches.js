// Tiles of watches. Texts of tiles that stay are replaced in place, so that the focus stays where it is.

import { find, make, shape } from "./elements.js";
import { columnsOf, sparkline } from "./sparkline.js";

function tileOf(id, tell) {
  const item = make("li");
  const button = make("button", "", { type: "button", className: "tile" });
  for (const name of ["name", "word", "lines"]) button.append(make("span", "", { className: name }));
  const picture = shape("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true" });
  picture.append(shape("path", { class: "limit" }), shape("path", { class: "scores" }));
  button.append(picture);
  button.onclick = () => tell("picked", id);
  item.append(button);
  return item;
}

function fill(item, tile, isChosen) {
  const button = find(item, "button");
  button.dataset.kind = tile.kind;
  button.setAttribute("aria-current", String(isChosen));
  find(button, ".name").textContent = tile.name;
  find(button, ".word").textContent = tile.word;
  find(button, ".lines").replaceChildren(...tile.lines.map((line) => make("div", line, { className: "line" })));
  const { line, limit } = sparkline(tile.scores, tile.threshold);
  find(button, ".scores").setAttribute("d", line);
  find(button, ".limit").setAttribute("d", limit);
}

function layOut(list, { wall, tiles }) {
  list.classList.toggle("wall", wall);
  list.style.setProperty("--columns", columnsOf(tiles.length, window.innerWidth, window.innerHeight));
  list.style.setProperty("--above", wall ? `${Math.max(0, list.getBoundingClientRect().top)}px` : "0px");
}

// Called again at each change of data.
export default function ({ data, parentElement: root, setTriggerValue }) {
  const list = find(root, ".watches");
  const ids = data.tiles.map((tile) => tile.id).join("\n");
  if (list.ids !== ids) list.replaceChildren(...data.tiles.map((tile) => tileOf(tile.id, setTriggerValue)));
  list.ids = ids;
  for (const [place, tile] of data.tiles.entries()) fill(list.children[place], tile, tile.id === data.chosen);
  const fit = () => layOut(list, data);
  fit();
  window.addEventListener("resize", fit);
  return () => window.removeEventListener("resize", fit);
}
