// The page: panels, grid of thumbnails, large view, keys. Everything that comes from a run gets into the page as text, never as markup.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const MOST_LABELS = 300; // buttons and options that a page can hold and a reader can use
const REPAIRED = ["salvaged", "truncated", "looped"];
const WITHOUT = ["refused", "failed"];

let page = 0;
let current = -1; // place in `shown` that the keys are at
let opened = -1; // place in `shown` of the large view

const byId = (id) => document.getElementById(id);
const number = (value) => value.toLocaleString("en");
const many = (count, one, more) => `${number(count)} ${count === 1 ? one : more}`;

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function svg(tag, attributes = {}) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
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

// ---- the run ----

function showRun() {
  byId("title").textContent = data.title;
  byId("title").title = data.title; // all of it, where the heading is cut
  document.title = `${data.title} – Gemscope report`;
  const boxes = data.images.reduce((sum, image) => sum + image.boxes.length, 0);
  const pairs = [["Images", number(data.images.length)], ["Boxes", number(boxes)], ...data.facts];
  if (data.started) pairs.push(["Started", new Date(data.started * 1000).toLocaleString([], { dateStyle: "medium", timeStyle: "short" })]);
  facts(byId("facts"), pairs);
  const totals = new Array(data.labels.length).fill(0);
  for (const image of data.images) for (const box of image.boxes) totals[box.label] += 1;
  const common = totals.map((total, label) => ({ total, label })).sort((a, b) => b.total - a.total).slice(0, MOST_LABELS);
  data.listed = common.map((entry) => entry.label).sort((a, b) => a - b);
  if (data.listed.length < data.labels.length) {
    byId("labels-more").textContent = `The ${MOST_LABELS} most common of ${number(data.labels.length)} labels.`;
    byId("labels-more").hidden = false;
  }
  byId("label").append(new Option("All", "-1"), ...data.listed.map((label) => new Option(data.labels[label].name, label)));
  byId("status").append(new Option("All", ""), ...data.statuses.filter((status) => data.images.some((image) => image.status === status)).map((status) => new Option(status, status)));
  showFailures(100);
}

function showFailures(most) {
  const failed = data.images.filter((image) => image.status === "failed");
  byId("failures").hidden = failed.length === 0;
  byId("failures-title").textContent = `${many(failed.length, "image", "images")} failed`;
  byId("failure-list").replaceChildren(...failed.slice(0, most).map((image) => element("li", {}, foreign(image.name), element("span", {}, foreign(image.reason || "")))));
  byId("failures-more").hidden = failed.length <= most;
  byId("failures-more").onclick = () => showFailures(most + 500);
}

// ---- panels ----

/** One row of a panel: what, a bar and a number; pressed, it is the filter. */
function bar(what, count, largest, pressed, press) {
  const picture = svg("svg", { viewBox: "0 0 100 1", preserveAspectRatio: "none", "aria-hidden": "true" });
  picture.append(svg("rect", { class: "bar", width: largest ? (100 * count) / largest : 0, height: 1 }));
  const made = element("button", { type: "button", "aria-pressed": pressed }, element("span", { class: "what" }, ...what), picture, element("span", { class: "number" }, number(count)));
  made.addEventListener("click", press);
  return made;
}

/** Replaces a panel's rows; the focus and the place that it was scrolled to stay. */
function replaceRows(panel, rows) {
  const focused = [...panel.children].indexOf(document.activeElement);
  const scrolled = panel.scrollTop;
  panel.replaceChildren(...rows);
  panel.scrollTop = scrolled;
  if (focused >= 0) rows[Math.min(focused, rows.length - 1)]?.focus({ preventScroll: true });
}

function showPanels() {
  const largest = Math.max(0, ...counts.labels);
  replaceRows(byId("labels"), data.listed.map((label) => {
    const pressed = wanted.label === label;
    return bar([swatch(label), foreign(data.labels[label].name)], counts.labels[label], largest, pressed, () => filter({ label: pressed ? -1 : label }));
  }));
  const statuses = data.statuses.filter((status) => counts.statuses.has(status) || wanted.status === status);
  const most = Math.max(0, ...counts.statuses.values());
  replaceRows(byId("statuses"), statuses.map((status) => {
    const pressed = wanted.status === status;
    return bar([statusMark(status)], counts.statuses.get(status) || 0, most, pressed, () => filter({ status: pressed ? "" : status }));
  }));
  showScores();
}

function statusMark(status) {
  const kind = WITHOUT.includes(status) ? "without" : REPAIRED.includes(status) ? "repaired" : "well";
  return element("span", { class: `status ${kind}` }, status);
}

function showScores() {
  const highest = Math.max(1, ...counts.scores);
  const picture = svg("svg", { viewBox: "0 0 200 100", preserveAspectRatio: "none", role: "img", "aria-label": "Boxes by score" });
  counts.scores.forEach((count, bin) => {
    const height = count ? Math.max(1, (98 * count) / highest) : 0;
    const column = svg("rect", { class: (bin + 1) / SCORE_BINS > wanted.score ? "kept" : "bar", x: bin * 10 + 0.6, y: 100 - height, width: 8.8, height });
    const title = svg("title");
    title.textContent = `${(bin / SCORE_BINS).toFixed(2)} to ${((bin + 1) / SCORE_BINS).toFixed(2)}: ${many(count, "box", "boxes")}`;
    column.append(title);
    picture.append(column);
  });
  picture.append(svg("line", { class: "base", x1: 0, x2: 200, y1: 100, y2: 100 }));
  const scored = counts.scores.reduce((sum, count) => sum + count, 0);
  byId("scores").replaceChildren(picture, element("div", { class: "axis", "aria-hidden": "true" }, ...["0", "0.25", "0.5", "0.75", "1"].map((mark) => element("span", {}, mark))));
  byId("scores-note").textContent = counts.unscored ? `${many(scored, "box", "boxes")}; ${number(counts.unscored)} more without a score` : many(scored, "box", "boxes");
}

// ---- grid ----

/** The outlines of boxes, in a picture that is drawn over the image. */
function outlines(boxes) {
  return boxes.flatMap((box) => {
    const [x0, y0, x1, y1] = box.bbox;
    const place = { x: x0, y: y0, width: x1 - x0, height: y1 - y0 };
    return [svg("rect", { class: "edge", ...place }), svg("rect", { class: "box", stroke: data.labels[box.label].colour, ...place })];
  });
}

function fileName(name) {
  const cut = name.lastIndexOf("/") + 1;
  const made = element("span", { class: "name", title: name });
  if (cut > 0) made.append(foreign(name.slice(0, cut), { class: "folder" }));
  made.append(foreign(name.slice(cut), { class: "file" }));
  return made;
}

function card(entry, place) {
  const image = data.images[entry.index];
  const found = image.status === "failed" ? "no answer" : many(entry.boxes.length, "box", "boxes");
  const button = element("button", { type: "button", "aria-label": `${image.name}: ${found}, ${image.status}`, tabindex: place === Math.max(current, page * PAGE) ? 0 : -1 });
  const source = thumbnail(entry.index);
  if (source) {
    const picture = svg("svg", { viewBox: `0 0 ${image.width} ${image.height}`, "aria-hidden": "true" });
    picture.append(...outlines(entry.boxes));
    button.append(element("img", { src: source, alt: "", loading: "lazy", decoding: "async" }), picture);
  } else {
    button.append(element("span", { class: "missing" }, foreign(image.reason || "The image could not be read.")));
  }
  button.addEventListener("click", () => openView(place));
  button.addEventListener("focus", () => { mark(place); });
  const under = element("span", { class: "under" }, element("span", {}, found));
  if (image.status !== "ok" && image.status !== "empty") under.append(statusMark(image.status));
  return element("li", { class: "card" }, button, element("div", { class: "caption" }, fileName(image.name), under));
}

function showPage() {
  const pages = Math.max(1, Math.ceil(shown.length / PAGE));
  page = Math.min(Math.max(0, page), pages - 1);
  const from = page * PAGE;
  byId("grid").replaceChildren(...shown.slice(from, from + PAGE).map((entry, offset) => card(entry, from + offset)));
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
  const buttons = byId("grid").querySelectorAll(".card > button");
  for (const button of [buttons[current - page * PAGE], buttons[place - page * PAGE]]) button?.setAttribute("tabindex", "-1");
  current = place;
  buttons[place - page * PAGE]?.setAttribute("tabindex", "0");
}

/** Goes to the image at `place`, turning the page where it is on another. */
function go(place) {
  if (shown.length === 0) return;
  const to = Math.min(Math.max(0, place), shown.length - 1);
  if (Math.floor(to / PAGE) !== page) {
    page = Math.floor(to / PAGE);
    current = to;
    showPage();
  }
  byId("grid").querySelectorAll(".card > button")[to - page * PAGE]?.focus();
}

function turn(by) {
  page += by;
  current = -1;
  showPage();
  byId("images").scrollIntoView({ block: "start" });
}

/** Sets filters and shows what fits. */
function filter(changes) {
  Object.assign(wanted, changes);
  page = 0;
  current = -1;
  choose();
  for (const name of ["label", "status", "score", "sort"]) byId(name).value = wanted[name];
  if (byId("search").value !== wanted.text) byId("search").value = wanted.text;
  byId("score-value").textContent = wanted.score.toFixed(2);
  byId("count").textContent = `${number(shown.length)} of ${many(data.images.length, "image", "images")}, ${many(counts.boxes, "box", "boxes")}`;
  byId("reset").disabled = !wanted.text && wanted.label < 0 && !wanted.status && wanted.score === 0 && wanted.sort === "name";
  showPanels();
  showPage();
}
