"use strict";
// What the other parts share: nodes, numbers, rates.

const at = id => document.getElementById(id);

function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function make(tag, kind, text) {
  const node = document.createElement(tag);
  if (kind) node.className = kind;
  if (text !== undefined) node.textContent = text;
  return node;
}

function draw(tag, kind) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  if (kind) node.setAttribute("class", kind);
  return node;
}

function kindOf(node, kind) {
  if (node.getAttribute("class") !== kind) node.setAttribute("class", kind);
}

/** Lets `parent` have one child for each item, in their order. A child stays while its key does, so that who is in it with the
    keyboard or a screen reader stays, too. */
function keyed(parent, items, keyOf, create, update) {
  const focused = document.activeElement;
  const known = new Map([...parent.children].map(node => [node.key, node]));
  let place = parent.firstElementChild;
  const wanted = new Set(items.map(keyOf));
  for (const [key, node] of known) {
    if (wanted.has(key)) continue;
    if (node === place) place = place.nextElementSibling;
    node.remove();
  }
  place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    let node = known.get(key);
    if (!node) {
      node = create(item);
      node.key = key;
    }
    if (node === place) place = place.nextElementSibling;
    else parent.insertBefore(node, place);
    update(node, item);
  }
  if (focused !== document.activeElement && focused && focused.isConnected) focused.focus({preventScroll: true});
}

function scaled(value) {
  const prefixes = ["", " k", " M", " G", " T"];
  let i = 0;
  while (value >= 999.5 && i + 1 < prefixes.length) { value /= 1000; ++i; }
  return (i === 0 ? Math.round(value).toString() : value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0)) + prefixes[i];
}

function bitsOf(value) {
  const text = scaled(value);
  return text + (text.includes(" ") ? "bit/s" : " bit/s");
}

function lasting(seconds) {
  const days = Math.floor(seconds / 86400), hours = Math.floor(seconds / 3600) % 24, minutes = Math.floor(seconds / 60) % 60;
  return days ? days + " d " + hours + " h" : hours ? hours + " h " + minutes + " min" : minutes ? minutes + " min" : Math.floor(seconds) + " s";
}

const KEPT = 180;  // looks that a sparkline shows, one a second
const SHORT = 30;  // of fewer it shows the right part

/** What counters say by the second, look by look. */
class Rates {
  #now = 0;
  #passed = 0;
  #before = new Map();
  #counts = new Map();
  #history = new Map();
  #fresh = new Map();

  begin(now) {
    this.#passed = now - this.#now;
    this.#now = now;
    this.#before = this.#counts;
    this.#counts = new Map();
    this.#fresh = new Map();
  }
  of(key, count) {
    this.#counts.set(key, count);
    const before = this.#before.get(key);
    return before === undefined ? 0 : Math.max(0, (count - before) / this.#passed);
  }
  /** The last few minutes of a value; remembers it. */
  note(key, value) {
    const values = this.#history.get(key) || [];
    if (this.#before.size > 0) values.push(value);  // the first look says nothing of a rate
    if (values.length > KEPT) values.shift();
    this.#fresh.set(key, values);
    return values;
  }
  end() { this.#history = this.#fresh; }  // what is gone is forgotten
}

function spark(svg, values) {
  const height = 24, most = Math.max(1, ...values), wide = Math.max(SHORT, values.length);
  svg.setAttribute("viewBox", "0 0 " + (wide - 1) + " " + height);
  if (!svg.firstChild) {
    svg.setAttribute("preserveAspectRatio", "none");
    svg.append(draw("polygon", "area"), draw("polyline", "line"));
  }
  const points = values.map((value, i) => (wide - values.length + i) + "," + (height - 1 - (height - 3) * value / most).toFixed(1));
  svg.lastChild.setAttribute("points", points.join(" "));
  svg.firstChild.setAttribute("points", [(wide - values.length) + "," + height, ...points, (wide - 1) + "," + height].join(" "));
}

async function get(path) {
  const response = await fetch(path, {cache: "no-store"});
  const body = await response.json();
  if (!response.ok) throw new Error(body.error || response.status);
  return body;
}
