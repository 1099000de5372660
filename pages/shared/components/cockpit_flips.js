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

// `clip`: { rank, isNow, label, id }; what of it is true stays in `.truth`.
function fillRow(row, clip) {
  row.hidden = !clip;
  if (!clip) return;
  const button = row.firstChild;
  const what = clip.isNow ? "\u2191 now anomalous" : "\u2193 now normal";
  const [truth, id] = find(button, "small").children;
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

export function markPlaying(root, memory) {
  const isOn = !find(root, "audio").paused;
  const sign = memory.waits !== null ? "\u2026" : isOn ? "\u275a\u275a" : "\u25b6";
  for (const button of root.querySelectorAll(".flips li button")) {
    const isIt = Number(button.dataset.rank) === memory.played;
    button.classList.toggle("plays", isIt && (isOn || memory.waits !== null));
    say(find(button, ".sign"), isIt ? sign : "\u25b6");
  }
}

// The sound is asked for as it is pressed, and played once it is there.
export function pressFlip(root, memory, rank) {
  const audio = find(root, "audio");
  if (memory.played === rank && !audio.paused) {
    audio.pause();
    return;
  }
  audio.pause();
  Object.assign(memory, { played: rank, waits: rank });
  markPlaying(root, memory);
  if (memory.sounds[rank]) playFetched(root, memory);
  else memory.ask(rank);
}

export function playFetched(root, memory) {
  const sound = memory.sounds[memory.waits];
  if (memory.waits === null || !sound) return;
  memory.waits = null;
  const audio = find(root, "audio");
  const fails = (text) => {
    say(find(root, "[data-out=flips]"), text);
    markPlaying(root, memory);
  };
  if (!sound.address) {
    fails("The sound of this data set is not here.");
    return;
  }
  audio.src = sound.address;
  audio.title = sound.title;
  audio.play().catch((error) => {
    if (error.name !== "AbortError") fails("This sound could not be fetched.");
  });
}

export function bindFlipSound(root, memory) {
  const audio = find(root, "audio");
  audio.onplay = () => {
    soundsAlone(audio);
    markPlaying(root, memory);
  };
  audio.onpause = audio.onended = () => markPlaying(root, memory);
}
