// The clips that the last move made change class: what they are, and their sound by a press.

import { say } from "./cockpit_tables.js";
import { find, make } from "./elements.js";
import { whole } from "./numbers.js";
import { soundsAlone } from "./one_sound.js";

export const MOST_FLIPS = 8;

export function flipsText({ up, down, ranks }) {
  const all = up + down;
  if (!all) return "Move the point: the clips that change class appear here, to be played.";
  const parts = [up ? `${whole(up)} now anomalous` : "", down ? `${whole(down)} now normal` : ""].filter(Boolean);
  const shown = all > ranks.length ? `; ${ranks.length} of them here, by falling score` : "";
  return `Changed class by the last move: ${parts.join(", ")}${shown}`;
}

function emptyRow(press) {
  const button = make("button", "", { type: "button" });
  const about = make("small");
  about.append(make("span"), make("span", "", { className: "id" }));
  button.append(make("span", "\u25b6", { className: "sign" }), make("b"), about);
  button.onclick = () => press(Number(button.dataset.rank));
  const row = make("li");
  row.append(button);
  return row;
}

// `clip`: { rank, isNow, label, id, title, address }; what of it is true stays in `.truth`.
function fillRow(row, clip) {
  row.hidden = !clip;
  if (!clip) return;
  const button = row.firstChild;
  const what = clip.isNow ? "\u2191 now anomalous" : "\u2193 now normal";
  const [truth, id] = find(button, "small").children;
  Object.assign(button, { disabled: !clip.address, title: clip.title ?? "" });
  button.dataset.rank = clip.rank;
  say(find(button, "b"), what);
  say(truth, clip.label);
  truth.className = `truth ${clip.label}`;
  say(id, ` \u00b7 id ${clip.id}`);
  button.ariaLabel = `Play: ${what.slice(2)}, id ${clip.id}`;
}

// The rows are made once and filled anew: a drag changes them at each move.
export function drawFlips(root, found, clips, press) {
  say(find(root, "[data-out=flips]"), flipsText(found));
  const list = find(root, ".flips ul");
  while (list.children.length < MOST_FLIPS) list.append(emptyRow(press));
  [...list.children].forEach((row, i) => {
    fillRow(row, clips[i]);
  });
}

export function markPlaying(root, rank) {
  for (const button of root.querySelectorAll(".flips li button")) {
    const plays = Number(button.dataset.rank) === rank;
    button.classList.toggle("plays", plays);
    say(find(button, ".sign"), plays ? "\u275a\u275a" : "\u25b6");
  }
}

export function playFlip(root, memory, clip) {
  const audio = find(root, "audio");
  const isSame = memory.played === clip.rank;
  if (isSame && !audio.paused) {
    audio.pause();
    return;
  }
  if (!isSame || audio.ended) audio.src = clip.address;
  memory.played = clip.rank;
  audio.play().catch((error) => {
    if (error.name !== "AbortError") find(root, "[data-out=flips]").textContent = "This sound cannot be fetched.";
  });
}

export function bindFlipSound(root, memory) {
  const audio = find(root, "audio");
  audio.onplay = () => {
    soundsAlone(audio);
    markPlaying(root, memory.played);
  };
  audio.onpause = audio.onended = () => markPlaying(root, null);
}
