// The keys of a player: they work while the pointer is over it or the focus is inside it, never while somebody types;
// `?` lists them.

import { find, make } from "./elements.js";

const PLAYERS = Symbol.for("asd-players"); // all of the page: each component is a module of its own

const TYPED_IN = "textarea, select, input:not([type=range], [type=checkbox], [type=radio]), [contenteditable]";
const TAKES_SPACE = "button, a, summary, input, canvas";
const TAKES_ARROWS = "input, canvas, [role=tab], [role=option], [role=radio], [role=menuitem]";

const players = () => {
  globalThis[PLAYERS] ??= new Set();
  return globalThis[PLAYERS];
};

// Whether an element that has the focus needs a key itself: a field, a button, a table.
export function isTaken(element, key) {
  if (!element?.matches) return false;
  if (element.matches(TYPED_IN)) return true;
  if (key === " " || key === "Enter") return element.matches(TAKES_SPACE);
  return (key.startsWith("Arrow") || key === "Home" || key === "End") && element.matches(TAKES_ARROWS);
}

// The player that a key is for: the one with the focus, else the one under the pointer, else for `?` the only one.
export function addressedPlayer(all, path, key) {
  const only = key === "?" && all.length === 1 ? all[0] : null;
  return all.find((box) => path.includes(box)) ?? all.find((box) => box.matches(":hover")) ?? only;
}

function listOf(keys) {
  const list = make("dl");
  for (const [key, does] of keys) list.append(make("dt", key), make("dd", does));
  return list;
}

function keyList(box) {
  const sheet = make("div", "", { className: "key-list", popover: "auto", tabIndex: -1 });
  sheet.setAttribute("role", "dialog");
  sheet.setAttribute("aria-label", "Keys of this player");
  box.append(sheet);
  return sheet;
}

// `keys`: [key, what it does] as they are listed; `note`: what else is to know. The button `.keys` opens the list, too.
function listKeys(box, { keys, note }) {
  const sheet = find(box, ".key-list") ?? keyList(box);
  sheet.replaceChildren(make("h2", "Keys"), listOf([...keys, ["?", "this list"]]));
  for (const text of ["The keys work while the pointer is over the player, or the focus is in it.", note])
    if (text) sheet.append(make("p", text));
  const button = find(box, "button.keys");
  button.popoverTargetElement = sheet;
  return sheet;
}

const isOfBrowser = (event) => event.altKey || event.ctrlKey || event.metaKey;

// The name of a key that is this player's to take; null where it is not.
function ownKey(event, box) {
  const path = event.composedPath();
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (event.defaultPrevented || isOfBrowser(event) || isTaken(path[0], key)) return null;
  const all = [...players()].filter((each) => each.isConnected);
  return addressedPlayer(all, path, key) === box ? key : null;
}

function actOf(key, sheet, commandOf) {
  if (key === "?") return () => sheet.togglePopover();
  if (key === "Escape" && sheet.matches(":popover-open")) return () => sheet.hidePopover();
  return commandOf(key);
}

function heardKey(event, { box, sheet, commandOf }) {
  const key = ownKey(event, box);
  const act = key === null ? undefined : actOf(key, sheet, commandOf);
  if (!act) return;
  event.preventDefault();
  if (!event.repeat || key.startsWith("Arrow")) act();
}

// Let a player have its keys: `commandOf(key)` returns what a key does, or nothing where it does nothing. Call it
// again as the player changes; `box.endKeys()` ends it.
export function hasKeys(box, { keys, note, commandOf }) {
  box.endKeys?.();
  const sheet = listKeys(box, { keys, note });
  const hear = (event) => heardKey(event, { box, sheet, commandOf });
  players().add(box);
  document.addEventListener("keydown", hear);
  box.endKeys = () => {
    document.removeEventListener("keydown", hear);
    players().delete(box);
  };
}
