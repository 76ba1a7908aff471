// Elements, and how a page's elements become those of its next view.
//
// Text is only ever set as text. The page's policy (require-trusted-types-for) refuses anything else.

const PROPERTIES = new Set(["value", "checked", "indeterminate", "disabled", "hidden", "open", "selected"]);

/**
 * An element. Properties named `on…` are functions that listen to events; `style` is an object. What is null,
 * undefined or false is left out.
 */
export function h(tag, props, ...children) {
  const node = document.createElement(tag);
  add(node, children);
  for (const [name, value] of Object.entries(props ?? {})) set(node, name, value);
  return node;
}

/** The same in SVG. */
export function svg(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes ?? {})) node.setAttribute(name, value);
  add(node, children);
  return node;
}

/** Change `from` so that it looks like `to`, and keep the elements that are in both. */
export function morph(from, to) {
  morphChildren(from, [...to.childNodes]);
}

function set(node, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on")) listen(node, name.slice(2), value);
  else if (name === "style")
    Object.entries(value).forEach(([key, each]) => node.style.setProperty(key, each));
  else if (name === "key") node.key = String(value);
  else if (name === "opaque") node.opaque = true;
  else if (PROPERTIES.has(name)) node[name] = value;
  else node.setAttribute(name, value === true ? "" : value);
}

function add(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : String(child));
  }
}

function listen(node, type, handler) {
  node.handlers ??= {};
  if (!(type in node.handlers)) node.addEventListener(type, (event) => node.handlers[type]?.(event));
  node.handlers[type] = handler;
}

function morphChildren(parent, wanted) {
  const keyed = new Map([...parent.childNodes].filter((node) => node.key).map((node) => [node.key, node]));
  let present = parent.firstChild;
  for (const next of wanted) {
    let match = next.key ? keyed.get(next.key) : present;
    if (!match || match.key !== next.key || !isAlike(match, next)) match = null;
    if (!match) {
      parent.insertBefore(next, present);
      continue;
    }
    if (match === present) present = present.nextSibling;
    else parent.insertBefore(match, present);
    morphNode(match, next);
  }
  while (present) {
    const gone = present;
    present = present.nextSibling;
    gone.remove();
  }
}

function isAlike(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName;
}

function morphNode(from, to) {
  if (from.nodeType === Node.TEXT_NODE) {
    if (from.data !== to.data) from.data = to.data;
    return;
  }
  if (from.opaque) return;
  morphAttributes(from, to);
  for (const type of Object.keys(from.handlers ?? {})) from.handlers[type] = to.handlers?.[type];
  for (const [type, handler] of Object.entries(to.handlers ?? {})) listen(from, type, handler);
  morphChildren(from, [...to.childNodes]);
  morphProperties(from, to);
}

function morphAttributes(from, to) {
  for (const { name, value } of [...to.attributes]) {
    if (name !== "style" && from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
  for (const { name } of [...from.attributes]) {
    // A person opens and closes these.
    const isTheirs = name === "open" || name === "style";
    if (!isTheirs && !to.hasAttribute(name)) from.removeAttribute(name);
  }
  if (from.style && from.style.cssText !== to.style.cssText) from.style.cssText = to.style.cssText;
}

function morphProperties(from, to) {
  if (from instanceof HTMLInputElement && from.type === "checkbox") {
    from.checked = to.checked;
    from.indeterminate = to.indeterminate;
  } else if (from instanceof HTMLSelectElement && from !== document.activeElement) {
    from.value = to.value;
  }
}
