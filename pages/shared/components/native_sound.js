// Streamlit's own players take part, too: those of the page, and that of the microphone, whose sound is no part of it.

import { givesWay, soundsAlone } from "./one_sound.js";

const BOUND = Symbol.for("asd-native-sound");

// Those of our own players, in roots of their own, say by themselves that they start.
const isOurs = (media) => media.getRootNode() instanceof ShadowRoot;

function bind() {
  const sounding = new Set();
  const starts = (media) => {
    if (isOurs(media)) return;
    sounding.add(media);
    soundsAlone(media);
  };
  const { play } = HTMLMediaElement.prototype;
  HTMLMediaElement.prototype.play = function () {
    starts(this);
    return play.call(this);
  };
  document.addEventListener("play", (event) => starts(event.target), { capture: true }); // by a browser's own controls
  for (const ends of ["pause", "ended"])
    document.addEventListener(ends, (event) => sounding.delete(event.target), { capture: true });
  givesWay(
    () => false,
    (other) => {
      for (const media of sounding) if (media !== other) media.pause();
    },
  );
}

// Once for the whole document, whatever pages come and go.
export default function () {
  if (document[BOUND]) return;
  document[BOUND] = true;
  bind();
}
