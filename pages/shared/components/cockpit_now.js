// What Python says of the cockpit at each run, apart from the scores, which never change: a part of the page of its own,
// so that the scores are not sent again. The cockpit asks for it once it is there, and for a sound once it is pressed.

const NOW = "asd-cockpit-now";
const ASKS = "asd-cockpit-asks";

function heardOn(name, listen) {
  const hear = (event) => listen(event.detail);
  document.addEventListener(name, hear);
  return () => document.removeEventListener(name, hear);
}

const tell = (name, detail) => document.dispatchEvent(new CustomEvent(name, { detail }));

// Have `listen(now)` called with what Python says; returns what ends that.
export function hearNow(listen) {
  const end = heardOn(NOW, listen);
  tell(ASKS, {});
  return end;
}

// Ask for the sound of a clip, by its place in the order of falling scores.
export const askForSound = (rank) => tell(ASKS, { rank });

// Say what Python says whenever the cockpit asks; `want(rank)` is called as it asks for a sound.
export function sayNow(now, want) {
  const end = heardOn(ASKS, ({ rank }) => {
    if (rank === undefined) tell(NOW, now);
    else want(rank);
  });
  tell(NOW, now);
  return end;
}
