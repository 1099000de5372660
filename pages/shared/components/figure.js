// The two buttons that keep a figure of the page, or a part of it, found by its key.

import { find } from "./elements.js";
import { savePictures } from "./saving.js";

// A chart without its tools.
const CHARTS = [".js-plotly-plot .svg-container", ".vega-embed .marks"];

// The part of a component, whose shadow no selector looks into.
function within(place, part) {
  const shadows = [...place.querySelectorAll("*")].map((each) => each.shadowRoot).filter(Boolean);
  return [place, ...shadows].map((root) => root.querySelector(part)).find(Boolean);
}

function figureOf({ name, part }) {
  const place = document.querySelector(`.${CSS.escape(name)}`);
  const parts = part ? [part] : CHARTS;
  const found = place && (parts.map((each) => within(place, each)).find(Boolean) ?? (part ? null : place));
  if (!found) throw new Error("The figure is not on the page.");
  return found;
}

// What a component says of its present state, such as a threshold that is dragged; empty where it says nothing.
function nowOf(name) {
  const place = document.querySelector(`.${CSS.escape(name)}`);
  return (place && within(place, "[data-now]")?.dataset.now) ?? "";
}

export default function ({ data, parentElement: root }) {
  find(root, ".label").textContent = data.label;
  const { file, caption } = data;
  const words = {
    file,
    get caption() {
      return caption.replace("{now}", nowOf(data.name));
    },
  };
  savePictures(find(root, ".figure"), () => figureOf(data), words);
}
