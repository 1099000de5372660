// The clips that the last move made change class: what they are, and their sound by a press.

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

// `clip`: { rank, isNow, label, id, title, address }; what of it is true stays in `.truth`.
function flipRow(clip, press) {
  const button = make("button", "", { type: "button", disabled: !clip.address, title: clip.title ?? "" });
  button.dataset.rank = clip.rank;
  const what = clip.isNow ? "\u2191 now anomalous" : "\u2193 now normal";
  const truth = make("span", clip.label, { className: `truth ${clip.label}` });
  const about = make("small");
  about.append(truth, ` \u00b7 id ${clip.id}`);
  button.append(make("span", "\u25b6", { className: "sign" }), make("b", what), about);
  button.ariaLabel = `Play: ${what.slice(2)}, id ${clip.id}`;
  button.onclick = () => press(clip);
  const row = make("li");
  row.append(button);
  return row;
}

export function drawFlips(root, found, clips, press) {
  find(root, "[data-out=flips]").textContent = flipsText(found);
  const list = find(root, ".flips ul");
  const had = list.contains(list.getRootNode().activeElement) ? list.getRootNode().activeElement.dataset.rank : null;
  list.replaceChildren(...clips.map((clip) => flipRow(clip, press)));
  if (had) list.querySelector(`[data-rank="${had}"]`)?.focus({ preventScroll: true });
}

export function markPlaying(root, rank) {
  for (const button of root.querySelectorAll(".flips li button")) {
    const plays = Number(button.dataset.rank) === rank;
    button.classList.toggle("plays", plays);
    find(button, ".sign").textContent = plays ? "\u275a\u275a" : "\u25b6";
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
