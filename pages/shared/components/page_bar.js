// A page's own bar: copy a link to what is shown, and put the page on the wall; there, the keys of whoever presents.

import { find } from "./elements.js";
import { actOfKey, arrowIsFree, isPresented, isTyping, present, wallScale } from "./presenting.js";

const [KEYS_SHOWN_MS, COPIED_SHOWN_MS] = [7000, 2500];
const OPENED = "[role=dialog], [role=listbox], [data-baseweb=popover], dialog[open]";

function deepestFocus() {
  let element = document.activeElement;
  while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
  return element;
}

function fitWall() {
  const top = document.documentElement;
  top.style.setProperty("--asd-scale", isPresented() ? wallScale(window.innerWidth, window.innerHeight) : 1);
}

function setPresented(isOn) {
  if (isPresented() === isOn) return;
  document.documentElement.dataset.presented = isOn ? "on" : "off";
  fitWall();
  present("changed");
}

function showFor(memory, name, milliseconds, hide) {
  clearTimeout(memory[name]);
  memory[name] = setTimeout(hide, milliseconds);
}

function showKeys(root, memory) {
  const keys = find(root, ".keys");
  keys.classList.add("shown");
  showFor(memory, "keysTimer", KEYS_SHOWN_MS, () => keys.classList.remove("shown"));
}

function isCopiedByHand(address) {
  const field = Object.assign(document.createElement("textarea"), { value: address });
  Object.assign(field.style, { position: "fixed", opacity: "0" });
  document.body.append(field);
  field.select();
  const isDone = document.execCommand("copy");
  field.remove();
  return isDone;
}

async function isCopied(address) {
  if (!navigator.clipboard) return isCopiedByHand(address); // a page that is neither local nor on HTTPS has none
  return navigator.clipboard.writeText(address).then(
    () => true,
    () => isCopiedByHand(address),
  );
}

async function copyLink(root, memory) {
  const isDone = await isCopied(location.href);
  const [said, field] = [find(root, ".said"), find(root, ".address")];
  said.textContent = isDone ? "Link copied" : "Copy this link:";
  field.hidden = isDone;
  field.value = location.href;
  if (!isDone) field.select();
  else showFor(memory, "copiedTimer", COPIED_SHOWN_MS, () => said.replaceChildren());
}

const hasModifier = (event) => event.altKey || event.ctrlKey || event.metaKey;

// Before anybody else hears of the key: Streamlit itself runs the page again at an `r`, and a player has its own list of
// keys for `?`, which comes beside ours.
function pressed(event, root, memory) {
  const focus = deepestFocus();
  if (!isPresented() || hasModifier(event) || event.repeat || isTyping(focus)) return;
  if (event.key === "?") showKeys(root, memory);
  const act = actOfKey(event.key, arrowIsFree(focus));
  if (!act) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  present(act);
}

// After everybody else, who may have closed something with it.
function passedOn(event, memory) {
  if (!isPresented() || event.defaultPrevented || isTyping(deepestFocus())) return;
  if (event.key === "Escape" && !document.querySelector(OPENED)) memory.choose(false);
}

function listen(root, memory) {
  const before = (event) => pressed(event, root, memory);
  const after = (event) => passedOn(event, memory);
  window.addEventListener("keydown", before, { capture: true });
  window.addEventListener("keydown", after);
  window.addEventListener("resize", fitWall);
  return () => {
    window.removeEventListener("keydown", before, { capture: true });
    window.removeEventListener("keydown", after);
    window.removeEventListener("resize", fitWall);
  };
}

// The mode is on as soon as it is asked for; Python hears of it, for what it hides and for the link.
export default function ({ data, parentElement: root, setTriggerValue }) {
  const bar = find(root, ".page-bar");
  bar.memory ??= { end: null };
  const memory = bar.memory;
  const show = (isOn) => {
    find(root, ".both").classList.toggle("on", isOn);
    setPresented(isOn);
  };
  memory.choose = (isOn) => {
    show(isOn);
    if (isOn) showKeys(root, memory);
    setTriggerValue("present", isOn);
  };
  find(root, ".copy").onclick = () => copyLink(root, memory);
  find(root, ".present").onclick = () => memory.choose(true);
  find(root, ".leave").onclick = () => memory.choose(false);
  if (data.on && !isPresented()) showKeys(root, memory);
  show(data.on);
  memory.end ??= listen(root, memory);
  return () => {
    memory.end?.();
    memory.end = null;
    setPresented(false);
  };
}
