// Presentation mode, as components see it: whether the page is on the wall, and the keys of whoever presents.

const ACTS = "asd-presented";

export const isPresented = () => document.documentElement.dataset.presented === "on";

// Have `listen({ act })` called for the acts `next`, `play`, `reveal`, and for `changed` when the mode starts or ends;
// returns what ends that.
export function onPresented(listen) {
  const hear = (event) => listen(event.detail);
  document.addEventListener(ACTS, hear);
  return () => document.removeEventListener(ACTS, hear);
}
