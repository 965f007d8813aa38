// The renderer: `h` describes elements, `render` makes a container's children those described. Elements with the same
// tag and key are kept, so focus, selection and scrolling survive. Text is only ever text: there is no way to markup.

const SAFE_URL = /^(?:https?:\/\/|\/(?!\/)|#|\?)/i;
const PROPERTIES = new Set(["value", "checked", "disabled", "indeterminate", "open", "selected", "readOnly"]);
const BARRED = new Set(
  ["innerHTML", "outerHTML", "srcdoc", "src", "action", "formaction", "http-equiv"].map((name) => name.toLowerCase()),
);
const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "path", "circle", "rect", "g", "line"]);
const records = new WeakMap();

/** Describe an element. Children may be nested lists; null, false and undefined are left out. */
export function h(tag, props, ...children) {
  return { tag, props: props ?? {}, key: props?.key, children: flat(children, []) };
}

function flat(children, into) {
  for (const child of children) {
    if (Array.isArray(child)) flat(child, into);
    else if (child !== null && child !== undefined && child !== false && child !== true) into.push(child);
  }
  return into;
}

/** Make the children of `container` those described. */
export function render(container, ...described) {
  const wanted = named(flat(described, []), (child) => (typeof child === "object" ? child : null));
  const kept = named([...container.childNodes], (node) => records.get(node));
  for (const [id, node] of kept) if (!wanted.has(id)) remove(node);
  let before = container.firstChild;
  for (const [id, child] of wanted) {
    const node = reuse(kept.get(id), child);
    if (node === before) before = before.nextSibling;
    else container.insertBefore(node, before);
  }
}

/** Return children by what tells each from its siblings: its tag and key, or its place among those of its tag without. */
function named(children, description) {
  const found = new Map();
  const places = new Map();
  for (const child of children) {
    const { tag, key } = description(child) ?? { tag: "#text" };
    const place = places.get(tag) ?? 0;
    if (key === undefined) places.set(tag, place + 1);
    const id = key === undefined ? `${tag}#${place}` : `${tag}:${key}`;
    if (found.has(id)) throw new Error(`two children are "${id}"`);
    found.set(id, child);
  }
  return found;
}

function reuse(node, child) {
  if (typeof child !== "object") {
    const text = String(child);
    if (!node) return document.createTextNode(text);
    if (node.data !== text) node.data = text;
    return node;
  }
  const old = node ? records.get(node) : null;
  const element = node ?? create(child.tag);
  records.set(element, child);
  assign(element, old?.props ?? {}, child.props);
  if (!child.props.opaque) render(element, child.children);
  const { value } = child.props; // a select takes its value only once its options are there
  if (child.tag === "select" && value !== undefined && old?.props.value !== value) element.value = value;
  if (!old)
    queueMicrotask(() => child.props.mounted?.(element)); // once it is in the page
  else child.props.updated?.(element);
  return element;
}

const create = (tag) => (SVG_TAGS.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag));

function remove(node) {
  for (const child of node.childNodes ?? []) dispose(child);
  dispose(node);
  node.remove();
}

function dispose(node) {
  for (const child of node.childNodes ?? []) dispose(child);
  records.get(node)?.props.removed?.(node);
}

const HOOKS = new Set(["key", "mounted", "updated", "removed", "opaque"]);

function assign(element, old, props) {
  for (const name of Object.keys(old)) if (!(name in props)) put(element, name, undefined, old[name]);
  for (const [name, value] of Object.entries(props)) put(element, name, value, old[name]);
}

function put(element, name, value, old) {
  if (HOOKS.has(name)) return;
  if (BARRED.has(name.toLowerCase())) throw new TypeError(`"${name}" is not for elements here`);
  if (name.startsWith("on")) return listen(element, name.slice(2), value, old);
  if (name === "style") return restyle(element, value ?? {}, old ?? {});
  if (PROPERTIES.has(name)) {
    // What somebody has typed stays until another value is described.
    if (value !== old && (element[name] !== value || element.tagName === "OPTION"))
      element[name] = value ?? (name === "value" ? "" : false);
  } else if (value === undefined || value === null || value === false) element.removeAttribute(name);
  else if (name === "href" && !SAFE_URL.test(value)) element.removeAttribute(name);
  else if (value !== old) element.setAttribute(name, value === true ? "" : String(value));
}

function listen(element, type, value, old) {
  if (value === old) return;
  if (value && typeof value !== "function") throw new TypeError(`a listener of "${type}" is a function`);
  if (old) element.removeEventListener(type, old);
  if (value) element.addEventListener(type, value);
}

function restyle(element, value, old) {
  for (const name of Object.keys(old)) if (!(name in value)) element.style.removeProperty(name);
  for (const [name, each] of Object.entries(value))
    if (old[name] !== each) element.style.setProperty(name, String(each));
}
