// At most one player sounds at a time: who starts tells the others, through the document, whatever their roots.

const STARTS = "asd-sound-starts";

// Pause whatever else sounds; call it when a sound starts.
export const soundsAlone = (audio) => document.dispatchEvent(new CustomEvent(STARTS, { detail: audio }));

// Have `pause` called with whatever starts to sound and is none of one's own; returns what ends that.
export function givesWay(isOwn, pause) {
  const hear = (event) => {
    if (!isOwn(event.detail)) pause(event.detail);
  };
  document.addEventListener(STARTS, hear);
  return () => document.removeEventListener(STARTS, hear);
}
