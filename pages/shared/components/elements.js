// Finding and making the elements of a page.

const SVG = "http://www.w3.org/2000/svg";

export const find = (root, selector) => root.querySelector(selector);

// `text` becomes a text node, never HTML: names of clips and detectors are not ours.
export const make = (tag, text = "", props = {}) =>
  Object.assign(document.createElement(tag), { textContent: text }, props);

export function shape(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}
