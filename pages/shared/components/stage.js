// What the players share: the parts of a stage of panels over one time axis.

import { find, make } from "./elements.js";
import { spacedTicks, tickSeconds } from "./timeline.js";

export const PLAY = "M8 5v14l11-7z";
export const PAUSE = "M6 5h4v14H6zM14 5h4v14h-4z";

export const inPercent = (share) => `${100 * share}%`;

// The text of a tick at the edge would be cut off: it is moved inside, and its mark to the text's own edge.
function heightTick([at, text], edge) {
  const tick = make("span", text);
  const [shift, mark] = at < edge ? [0, "calc(100% - 1px)"] : at > 1 - edge ? [100, "0"] : [50, "50%"];
  Object.assign(tick.style, { bottom: inPercent(at), transform: `translateY(${shift}%)` });
  tick.style.setProperty("--mark", mark);
  return tick;
}

// A picture's place beside its ticks; within `edge` of the top and the bottom, a tick's text is moved inside.
export function rowOf(ticks, height, edge) {
  const [body, gutter, view] = ["body", "gutter", "view"].map((name) => make("div", "", { className: name }));
  gutter.append(...spacedTicks(ticks, height).map((tick) => heightTick(tick, edge)));
  view.style.height = `${height}px`;
  body.append(gutter, view);
  return { body, view };
}

export function colourScale({ stops, low, high }) {
  const bar = make("u");
  bar.style.background = `linear-gradient(to right, ${stops.join()})`;
  const element = make("span", "", { className: "scale" });
  element.append(make("span", low), bar, make("span", high));
  return element;
}

// `share`: where a moment lies along the width, from 0 to 1.
export function drawTicks(root, seconds, share) {
  const ticks = seconds.map((at, i) => {
    const tick = make("span", `${Number(at.toFixed(2))}`, { className: i % 2 ? "odd" : "" });
    tick.style.left = inPercent(share(at));
    return tick;
  });
  find(root, ".ticks").replaceChildren(...ticks);
}

export const drawAxis = (root, duration) => drawTicks(root, tickSeconds(duration), (seconds) => seconds / duration);

export async function play(root, audio) {
  try {
    await audio.play();
  } catch (error) {
    if (error.name === "AbortError") return; // a pause right after is no fault
    find(root, ".time").textContent = "This sound cannot be played";
  }
}
