// The microphone as it is: clips of equal length, one after another, each sent to Python once the last was taken.

import { find, make } from "./elements.js";
import { soundsAlone } from "./one_sound.js";
import { alongMeter, base64, clipCutter, decibels, levelWord, loudness, wavBytes } from "./recording.js";

const RAW = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
const MOST_WAITING = 6; // clips that Python has not taken yet; more of them, and recording stops
const AGAIN_MS = 20_000;
const LONGEST_REMARKS = 4;
const HELD_MS = 900; // how long the meter's peak stays
const NOT_SECURE =
  "This page cannot use the microphone: browsers allow it only on https:// addresses and on the computer itself " +
  "(http://localhost). Open the dashboard there, or record with your phone and add the files above.";
const REMARKS = {
  clipped: (n) =>
    `Clip ${n} is too loud and cut off: move the microphone away or turn its level down, then record again.`,
  quiet: (n) => `Clip ${n} is very quiet: move the microphone closer to the machine.`,
};
const REFUSALS = {
  NotAllowedError:
    "The browser did not allow the microphone. Allow it for this page (the symbol beside the address), then try again.",
  NotFoundError: "No microphone was found. Plug one in, then try again.",
  NotReadableError: "The microphone is in use by another program. Close that, then try again.",
};
const TAP = `registerProcessor("asd-tap", class extends AudioWorkletProcessor {
  process([input]) {
    if (input[0]) this.port.postMessage(input[0].slice());
    return true;
  }
});`;

// What belongs to one recorder for as long as it is on the page.
function fresh(root) {
  return { root, take: null, queue: [], sending: null, sentAt: 0, count: 0, remarks: [], words: "", held: [0, 0] };
}

function remark(own, text) {
  own.remarks = [...new Set([...own.remarks, text])].slice(-LONGEST_REMARKS);
  find(own.root, ".remarks").replaceChildren(...own.remarks.map((each) => make("li", each)));
}

function draw(own) {
  const { root, take, data } = own;
  find(root, ".recorder").classList.toggle("recording", Boolean(take));
  find(root, ".record span").textContent = take ? "Stop" : data.start;
  find(root, ".state").textContent = take
    ? `Clip ${own.count + 1} of ${data.wanted}: ${Math.floor(take.cutter.share() * data.seconds)} of ${data.seconds} s`
    : own.words;
}

function drawLevel(own, { peak, rms }, share) {
  const [meter, now] = [find(own.root, ".meter"), performance.now()];
  if (peak >= own.held[0] || now - own.held[1] > HELD_MS) own.held = [peak, now];
  find(meter, "i").style.width = `${100 * alongMeter(rms)}%`;
  find(meter, "b").style.left = `calc(${100 * alongMeter(own.held[0])}% - 3px)`;
  meter.classList.toggle("clipped", own.held[0] >= 1);
  meter.ariaValueNow = `${Math.round(Math.max(-60, decibels(rms)))}`;
  const progress = find(own.root, ".progress");
  find(progress, "i").style.width = `${100 * share}%`;
  progress.ariaValueNow = `${Math.round(100 * share)}`;
}

function stop(own, words) {
  const take = own.take;
  own.take = null;
  own.words = words;
  if (take) {
    for (const track of take.stream.getTracks()) track.stop();
    take.context.close();
  }
  drawLevel(own, { peak: 0, rms: 0 }, 0);
  draw(own);
}

function send(own) {
  const isLate = own.sending && performance.now() - own.sentAt > AGAIN_MS;
  if (!own.queue.length || (own.sending && !isLate)) return;
  own.sending = own.queue[0];
  own.sentAt = performance.now();
  own.tell("clip", own.sending);
}

function clipDone(own, samples, rate) {
  const word = levelWord(loudness(samples));
  if (word === "silent") {
    stop(own, "");
    remark(own, "No sound arrives from the microphone: it may be muted, or another one may be chosen in the browser.");
    return;
  }
  own.count += 1;
  if (REMARKS[word]) remark(own, REMARKS[word](own.count));
  own.queue.push({ id: `${own.take.id}-${own.count}`, wav: base64(wavBytes(samples, rate)) });
  send(own);
  if (own.queue.length > MOST_WAITING)
    stop(own, "Stopped: the server takes the clips more slowly than they are recorded.");
  else if (own.count >= own.data.wanted) stop(own, own.data.ended);
}

function hear(own, block, rate) {
  const take = own.take;
  if (!take) return;
  if (!own.root.isConnected) {
    stop(own, ""); // the reader has left the page
    return;
  }
  for (const clip of take.cutter.add(block)) if (own.take) clipDone(own, clip, rate);
  take.recent.push(...block);
  if (!own.take || take.recent.length < rate / 20) return;
  drawLevel(own, loudness(take.recent), take.cutter.share());
  take.recent = [];
  draw(own);
  send(own);
}

function filteredNote(track) {
  const settings = track.getSettings();
  return Object.keys(RAW).some((name) => settings[name] === true)
    ? "This browser filters or levels what the microphone hears and cannot be told not to: record everything with it, or use files."
    : "";
}

async function start(own) {
  soundsAlone(own.root); // what sounds would be recorded
  const stream = await navigator.mediaDevices.getUserMedia({ audio: { ...RAW, channelCount: 1 } });
  const context = new AudioContext();
  const address = URL.createObjectURL(new Blob([TAP], { type: "text/javascript" }));
  await context.audioWorklet.addModule(address);
  URL.revokeObjectURL(address);
  const tap = new AudioWorkletNode(context, "asd-tap");
  const rate = context.sampleRate;
  own.count = 0;
  own.remarks = [];
  find(own.root, ".remarks").replaceChildren();
  own.take = {
    id: crypto.randomUUID(),
    stream,
    context,
    recent: [],
    cutter: clipCutter(Math.round(own.data.seconds * rate)),
  };
  const note = filteredNote(stream.getAudioTracks()[0]);
  if (note) remark(own, note);
  tap.port.onmessage = (event) => hear(own, event.data, rate);
  context.createMediaStreamSource(stream).connect(tap).connect(context.destination); // it adds nothing to be heard
  draw(own);
}

function refused(own, error) {
  stop(own, "");
  remark(own, REFUSALS[error.name] ?? `The microphone cannot be used: ${error.message}`);
}

function toggle(own) {
  if (own.take)
    stop(own, own.count ? "Stopped; a clip that was not full is left out." : "Stopped before a clip was full.");
  else start(own).catch((error) => refused(own, error));
}

function acknowledge(own) {
  if (!own.sending || own.data.taken !== own.sending.id) return;
  own.queue = own.queue.filter((clip) => clip !== own.sending);
  own.sending = null;
  send(own);
}

export default function ({ data, parentElement: root, setTriggerValue }) {
  root.recorder ??= fresh(root);
  const own = root.recorder;
  Object.assign(own, { data, tell: setTriggerValue });
  const isAllowed = Boolean(navigator.mediaDevices?.getUserMedia);
  find(root, ".cannot").hidden = isAllowed;
  find(root, ".cannot").textContent = isAllowed ? "" : NOT_SECURE;
  find(root, ".can").hidden = !isAllowed;
  if (!isAllowed) return;
  find(root, ".record").onclick = () => toggle(own);
  acknowledge(own);
  draw(own);
}
