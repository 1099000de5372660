// What Python says of the cockpit at each run, apart from the scores, which never change: a part of the page of its own,
// so that the scores are not sent again. The cockpit asks for it once it is there.

const NOW = "asd-cockpit-now";
const ASKS = "asd-cockpit-asks";

// Have `listen(now)` called with what Python says; returns what ends that.
export function hearNow(listen) {
  const hear = (event) => listen(event.detail);
  document.addEventListener(NOW, hear);
  document.dispatchEvent(new CustomEvent(ASKS));
  return () => document.removeEventListener(NOW, hear);
}

export function sayNow(now) {
  const say = () => document.dispatchEvent(new CustomEvent(NOW, { detail: now }));
  document.addEventListener(ASKS, say);
  say();
  return () => document.removeEventListener(ASKS, say);
}
