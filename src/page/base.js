// What the pages of a run share: elements, the grid of cards and its pages, the large view and its marks, the keys.
// Everything that comes from a run gets into a page as text, never as markup.
//
// A page has `data`, `items` (what its cards show: each with name, width, height, thumbnail and original), `shown` (its
// cards, in order), `filter(changes)`, `card(one, place)`, `showMarks()`, `openNeighbour(by)`,
// `moreKeys()` of the grid, and `keysEverywhere()`, which the large view has, too.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const PAGE = 60; // cards

let page = 0;
let current = -1; // place in `shown` that the keys are at
let opened = -1; // what the large view shows

const unreachable = new Set();
const byId = (id) => document.getElementById(id);
const NUMBERS = new Intl.NumberFormat("en");
const number = (value) => NUMBERS.format(value);
const many = (count, one, more) => `${number(count)} ${count === 1 ? one : more}`;

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function svg(tag, attributes = {}, text = "") {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text) made.textContent = text;
  return made;
}

/** Text of a run, kept from turning the direction of what stands around it. */
function foreign(text, attributes = {}) {
  return element("bdi", attributes, text);
}

function swatch(label) {
  const made = element("span", { class: "swatch" });
  made.style.backgroundColor = data.labels[label].colour;
  return made;
}

function facts(list, pairs) {
  list.replaceChildren(...pairs.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, foreign(value)))));
}

/** The heading, and the facts of the run behind `pairs`. */
function showHead(kind, pairs) {
  byId("title").textContent = data.title;
  byId("title").title = data.title; // all of it, where the heading is cut
  document.title = `${data.title} – Gemscope ${kind}`;
  const started = data.started ? [["Started", new Date(data.started * 1000).toLocaleString([], { dateStyle: "medium", timeStyle: "short" })]] : [];
  facts(byId("facts"), [...pairs, ...data.facts, ...started]);
}

/** Replaces what a panel shows; the focus and the place that it was scrolled to stay. */
function replaceRows(panel, rows) {
  const focused = [...panel.children].indexOf(document.activeElement);
  const scrolled = panel.scrollTop;
  panel.replaceChildren(...rows);
  panel.scrollTop = scrolled;
  if (focused >= 0) rows[Math.min(focused, rows.length - 1)]?.focus({ preventScroll: true });
}

/** Where the thumbnail of an item is; `null` if there is none. */
function thumbnail(index) {
  return items[index].thumbnail ? `thumbnails/${String(index + 1).padStart(6, "0")}.jpg` : null;
}

/** Where the file of an item is; `null` if it is not known, or a browser would turn it another way. */
function original(index) {
  const item = items[index];
  if (!data.folder || !item.original) return null;
  return data.folder + item.name.split("/").map(encodeURIComponent).join("/");
}

// ---- grid ----

/** The outlines of boxes, in a picture that is drawn over the item. */
function outlines(boxes) {
  return boxes.flatMap((box) => {
    const [x0, y0, x1, y1] = box.bbox;
    const place = { x: x0, y: y0, width: x1 - x0, height: y1 - y0 };
    return [svg("rect", { class: "edge", ...place }), svg("rect", { class: "box", stroke: data.labels[box.label].colour, ...place })];
  });
}

/** The button of a card that opens the large view: the thumbnail with its boxes, or why there is none. */
function cardPicture(index, boxes, missing, words, place, open) {
  const item = items[index];
  const made = element("button", { type: "button", class: "picture", "aria-label": `${item.name}: ${words}`, tabindex: place === Math.max(current, page * PAGE) ? 0 : -1 });
  const source = thumbnail(index);
  if (source) {
    const picture = svg("svg", { viewBox: `0 0 ${item.width} ${item.height}`, "aria-hidden": "true" });
    picture.append(...outlines(boxes));
    made.append(element("img", { src: source, alt: "", loading: "lazy", decoding: "async" }), picture);
  } else {
    made.append(element("span", { class: "missing" }, foreign(missing)));
  }
  made.addEventListener("click", open);
  made.addEventListener("focus", () => mark(place));
  return made;
}

function fileName(name) {
  const cut = name.lastIndexOf("/") + 1;
  const made = element("span", { class: "name", title: name });
  if (cut > 0) made.append(foreign(name.slice(0, cut), { class: "folder" }));
  made.append(foreign(name.slice(cut), { class: "file" }));
  return made;
}

function showPage() {
  const pages = Math.max(1, Math.ceil(shown.length / PAGE));
  page = Math.min(Math.max(0, page), pages - 1);
  const from = page * PAGE;
  byId("grid").replaceChildren(...shown.slice(from, from + PAGE).map((one, offset) => card(one, from + offset)));
  byId("nothing").hidden = shown.length > 0;
  for (const pager of document.querySelectorAll(".pager")) {
    pager.hidden = pages === 1;
    pager.querySelector(".page-number").textContent = `${number(from + 1)}–${number(Math.min(from + PAGE, shown.length))} of ${number(shown.length)}`;
    pager.querySelector("[data-turn='-1']").disabled = page === 0;
    pager.querySelector("[data-turn='1']").disabled = page === pages - 1;
  }
}

/** Notes the card that the keys are at. */
function mark(place) {
  const buttons = byId("grid").querySelectorAll(".card > .picture");
  // Without this, the first card of a page stays in the order of tabs beside the marked one.
  byId("grid").querySelector(".card > .picture[tabindex='0']")?.setAttribute("tabindex", "-1");
  current = place;
  buttons[place - page * PAGE]?.setAttribute("tabindex", "0");
}

/** Goes to the card at `place`, turning the page if it is on another. */
function go(place) {
  if (shown.length === 0) return;
  const to = Math.min(Math.max(0, place), shown.length - 1);
  if (Math.floor(to / PAGE) !== page) {
    page = Math.floor(to / PAGE);
    current = to;
    showPage();
  }
  byId("grid").querySelectorAll(".card > .picture")[to - page * PAGE]?.focus();
}

function toGrid() {
  document.querySelector("main").scrollIntoView({ block: "start" });
}

function turn(by) {
  page += by;
  current = -1;
  showPage();
  toGrid();
}

/** What the reader asked for now; the first page of it comes next. */
function ask(changes) {
  Object.assign(wanted, changes);
  page = 0;
  current = -1;
  choose();
}

// ---- large view ----

/** A link to the file of an item, behind the facts about it. */
function linkFile(source, words) {
  if (!source || unreachable.has(source)) return;
  const link = element("a", { href: source, target: "_blank", rel: "noopener" }, words);
  byId("view-facts").append(element("div", {}, element("dt", {}, "File"), element("dd", {}, link)));
}

/** The thumbnail at once, and the file itself when it has come, if `isOpen` then; `loaded` is called behind it. */
function showPicture(index, missing, isOpen, loaded = () => {}) {
  const [small, source] = [thumbnail(index), original(index)];
  const picture = byId("picture");
  picture.hidden = !small;
  byId("no-picture").hidden = Boolean(small);
  byId("no-picture").textContent = missing;
  picture.alt = items[index].name;
  if (!small) return;
  picture.src = small;
  if (!source || unreachable.has(source)) return;
  const whole = new Image();
  whole.onload = () => {
    if (!isOpen()) return;
    picture.src = source;
    loaded();
  };
  whole.onerror = () => unreachable.add(source);
  whole.src = source;
}

/** Opens the dialog, if it is not, with its marks. */
function showView() {
  if (!byId("view").open) byId("view").showModal();
  showMarks();
}

/** A row about a box: pointed at, it lights the box in the picture, which is the one at `place`. */
function lights(row, place) {
  const lit = (on) => byId("marks").querySelectorAll("rect.box")[place]?.classList.toggle("shown", on);
  row.addEventListener("pointerenter", () => lit(true));
  row.addEventListener("pointerleave", () => lit(false));
}

/** Boxes and tags over the picture, in the pixels of the screen: lines and letters are as large whatever the item's size. */
function drawMarks(item, boxes) {
  const marks = byId("marks");
  marks.replaceChildren();
  if (!item || !item.thumbnail) return;
  const { clientWidth: width, clientHeight: height } = marks;
  if (!width || !height) return;
  marks.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const scale = Math.min(width / item.width, height / item.height);
  const left = (width - item.width * scale) / 2;
  const top = (height - item.height * scale) / 2;
  const placed = boxes.map((box) => {
    const [x0, y0, x1, y1] = box.bbox;
    return { ...box, bbox: [left + x0 * scale, top + y0 * scale, left + x1 * scale, top + y1 * scale] };
  });
  marks.append(...outlines(placed));
  const taken = [];
  for (const box of placed) marks.append(...tag(box, width, height, taken));
}

/** The name and score of a box, above it or where there is room. */
function tag(box, width, height, taken) {
  const { name, colour, ink } = data.labels[box.label];
  const words = (name.length > 40 ? `${name.slice(0, 39)}…` : name) + (box.score === null ? "" : ` ${box.score.toFixed(2)}`);
  const text = svg("text", { fill: ink }, words);
  byId("marks").append(text); // to be measured
  const size = { width: text.getComputedTextLength() + 10, height: 20 };
  const [x0, y0, x1, y1] = box.bbox;
  const place = (x, y) => ({ x: Math.max(0, Math.min(x, width - size.width)), y: Math.max(0, Math.min(y, height - size.height)) });
  const places = [[x0 - 1, y0 - size.height], [x0 - 1, y1], [x0, y0], [x1 - size.width, y0 - size.height], [x1 - size.width, y1]].map((xy) => place(...xy));
  for (let step = 1; step < 6; step += 1) places.push(place(x0, y0 + step * size.height));
  const free = (a) => taken.every((b) => a.x + size.width <= b.x || b.x + b.width <= a.x || a.y + size.height <= b.y || b.y + size.height <= a.y);
  const found = places.find(free) || places[0];
  taken.push({ ...found, ...size });
  text.setAttribute("x", found.x + 5);
  text.setAttribute("y", found.y + 14.5);
  return [svg("rect", { class: "ground", fill: colour, rx: 2, ...found, ...size }), text];
}

// ---- keys ----

function columns() {
  return getComputedStyle(byId("grid")).gridTemplateColumns.split(" ").length;
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]:not(#view)")) return;
  if (event.target.matches("input, select, textarea")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const viewing = byId("view").open;
  const step = (by) => {
    if (viewing) openNeighbour(by);
    else go(current < 0 ? page * PAGE : current + by);
  };
  const actions = {
    j: () => step(1), ArrowRight: () => step(1), k: () => step(-1), ArrowLeft: () => step(-1),
    b: () => document.body.classList.toggle("no-boxes"),
    "?": () => byId("help").showModal(),
    ...keysEverywhere(),
  };
  if (!viewing) {
    Object.assign(actions, { "/": () => document.querySelector("input[type=search]").focus(), "[": () => turn(-1), "]": () => turn(1) }, moreKeys());
    // The page scrolls by these keys until the reader has begun to browse.
    const inGrid = byId("grid").contains(document.activeElement);
    if (inGrid) Object.assign(actions, { ArrowDown: () => step(columns()), ArrowUp: () => step(-columns()) });
  }
  const action = actions[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

// ---- start ----

let waiting = 0;
/** At most once a frame of the screen, however fast somebody types or drags. */
function soon(changes) {
  Object.assign(wanted, changes);
  cancelAnimationFrame(waiting);
  waiting = requestAnimationFrame(() => filter({}));
}

byId("filters").addEventListener("submit", (event) => event.preventDefault());
byId("keys").addEventListener("click", () => byId("help").showModal());
for (const turner of document.querySelectorAll("[data-turn]")) turner.addEventListener("click", () => turn(Number(turner.dataset.turn)));
byId("close").addEventListener("click", () => byId("view").close());
byId("previous").addEventListener("click", () => openNeighbour(-1));
byId("next").addEventListener("click", () => openNeighbour(1));
byId("view").addEventListener("click", (event) => { if (event.target === byId("view")) byId("view").close(); });
byId("stage").addEventListener("click", () => document.body.classList.toggle("no-boxes"));
new ResizeObserver(() => showMarks()).observe(byId("stage"));
document.addEventListener("keydown", pressed);
