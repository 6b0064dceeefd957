// The page: panels and cards.
"use strict";

const MOST_LABELS = 300; // buttons and options that a page can hold and a reader can use
const REPAIRED = ["salvaged", "truncated", "looped"];
const WITHOUT = ["refused", "failed"];

// ---- the run ----

function showRun() {
  const boxes = data.images.reduce((sum, image) => sum + image.boxes.length, 0);
  showHead("report", [["Images", number(data.images.length)], ["Boxes", number(boxes)]]);
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

function whyMissing(image) {
  return image.reason || "The image could not be read.";
}

function card(entry, place) {
  const image = data.images[entry.index];
  const found = image.status === "failed" ? "no answer" : many(entry.boxes.length, "box", "boxes");
  const picture = cardPicture(entry.index, entry.boxes, whyMissing(image), `${found}, ${image.status}`, place, () => openView(place));
  const under = element("span", { class: "under" }, element("span", {}, found));
  if (image.status !== "ok" && image.status !== "empty") under.append(statusMark(image.status));
  return element("li", { class: "card" }, picture, element("div", { class: "caption" }, fileName(image.name), under));
}

/** Sets filters and shows what fits. */
function filter(changes) {
  ask(changes);
  for (const name of ["label", "status", "score", "sort"]) byId(name).value = wanted[name];
  if (byId("search").value !== wanted.text) byId("search").value = wanted.text;
  byId("score-value").textContent = wanted.score.toFixed(2);
  byId("count").textContent = `${number(shown.length)} of ${many(data.images.length, "image", "images")}, ${many(counts.boxes, "box", "boxes")}`;
  byId("reset").disabled = !wanted.text && wanted.label < 0 && !wanted.status && wanted.score === 0 && wanted.sort === "name";
  showPanels();
  showPage();
}
