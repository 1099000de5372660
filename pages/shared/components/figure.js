// The two buttons that keep a figure of the page, found by its key.

import { savePictures } from "./saving.js";

// A chart without its tools, the picture that a component drew, or all that the key holds.
const PARTS = [
  ".js-plotly-plot .svg-container",
  ".vega-embed .chart-wrapper > *",
  ".vega-embed svg, .vega-embed canvas",
];

function figureOf(name) {
  const place = document.querySelector(`.${CSS.escape(name)}`);
  const found = PARTS.map((part) => place?.querySelector(part)).find(Boolean) ?? place;
  if (!found) throw new Error("The figure is not on the page.");
  return found;
}

export default function ({ data, parentElement: root }) {
  savePictures(root.querySelector(".figure"), () => figureOf(data.name), data);
}
