// Which images and boxes are shown. Reads the data of the page; knows nothing of how they are drawn.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const items = data.images;
const SCORE_BINS = 20;

/** What the reader asked for. */
const wanted = { text: "", label: -1, status: "", score: 0, sort: "name" };
/** The images that fit, in order, each with its boxes that fit: `{ index, boxes }`. */
let shown = [];
/** Counts under all filters but the one that a panel sets itself. */
let counts = { labels: [], scores: [], unscored: 0, statuses: new Map(), boxes: 0 };

data.images.forEach((image) => { image.search = image.name.toLowerCase(); });

/** A box without a score is shown only where no score is asked for. */
function reaches(box) {
  return wanted.score === 0 || (box.score !== null && box.score >= wanted.score);
}

function choose() {
  const text = wanted.text.trim().toLowerCase();
  const next = { labels: new Array(data.labels.length).fill(0), scores: new Array(SCORE_BINS).fill(0), unscored: 0, statuses: new Map(), boxes: 0 };
  shown = [];
  data.images.forEach((image, index) => {
    if (text && !image.search.includes(text)) return;
    const boxes = image.boxes.filter((box) => (wanted.label < 0 || box.label === wanted.label) && reaches(box));
    // Only where boxes are asked for does an image need one.
    const fits = boxes.length > 0 || (wanted.label < 0 && wanted.score === 0);
    if (fits) next.statuses.set(image.status, (next.statuses.get(image.status) || 0) + 1);
    if (wanted.status && image.status !== wanted.status) return;
    for (const box of image.boxes) {
      if (reaches(box)) next.labels[box.label] += 1;
      if (wanted.label >= 0 && box.label !== wanted.label) continue;
      if (box.score === null) next.unscored += 1;
      else next.scores[Math.min(SCORE_BINS - 1, Math.floor(box.score * SCORE_BINS))] += 1;
    }
    if (!fits) return;
    next.boxes += boxes.length;
    shown.push({ index, boxes });
  });
  counts = next;
  order();
}

/** Sorts `shown`; images stand in the order of their names where the rest is equal, and those without a score at the end. */
function order() {
  const scores = (entry) => entry.boxes.map((box) => box.score).filter((score) => score !== null);
  const keys = {
    name: (entry) => entry.index,
    most: (entry) => -entry.boxes.length,
    fewest: (entry) => entry.boxes.length,
    lowest: (entry) => Math.min(...scores(entry)),
    highest: (entry) => -Math.max(...scores(entry)),
    status: (entry) => data.statuses.indexOf(data.images[entry.index].status),
  };
  const key = keys[wanted.sort];
  for (const entry of shown) {
    entry.key = key(entry);
    if (!Number.isFinite(entry.key)) entry.key = Number.MAX_VALUE;
  }
  shown.sort((a, b) => a.key - b.key || a.index - b.index);
}
