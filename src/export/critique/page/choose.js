// Which frames are shown, and in which order. Reads the data of the page; knows nothing of how they are drawn.
"use strict";

// Seeds have up to 64 bits, and numbers here are exact up to 53: a long seed is read as text. Inside a JSON string no `"seed":` can stand, since
// its quotes would be escaped.
const data = JSON.parse(document.getElementById("data").textContent.replace(/"seed":(\d{16,})/g, '"seed":"$1"'));
const items = data.frames;
const BARS = 20;
/** An axis below this is a weak one: half of the way from the worst word to the best. */
const WEAK = 0.5;
const NO_FILTER = { text: "", verdict: "", rule: "", model: "", sampler: "", only: "", scale: 0, below: 1, set: null, sort: "worst" };

/**
 * What the reader asked for. `rule` is a rule's place, `byHand`, `unread`, `unasked` or `none`; `model` and `sampler` are `=` and a name, or `?` for frames of which they are
 * not known; `scale` and `below` ask for low values; `set` is a group or a sequence: `{ title, frames, ordered }`.
 */
const wanted = { ...NO_FILTER };
/** The frames that fit, in order, by their places. */
let shown = [];
/** Counts under all filters but the one that a panel sets itself. */
let counts = { verdicts: {}, rules: new Map(), bars: [], medians: [] };

/** What has a value from 0 to 1: the overall score first, then axes in the rubric's order. */
const scales = [{ name: "overall", axis: null }, ...data.axes.map((axis) => ({ name: axis.name, axis }))].filter(
  (scale) => scale.axis === null || data.statistics.all.axes.some(([name]) => name === scale.name));
/** Places of the frames that are the best of their group, and of each frame the groups that it is in. */
const bests = new Set((data.groups || []).map((group) => group.best).filter((best) => best !== null));
const groupsOf = new Map();
(data.groups || []).forEach((group) => group.frames.forEach((place) => groupsOf.set(place, [...(groupsOf.get(place) || []), group])));

data.frames.forEach((frame) => {
  const made = frame.made || {};
  frame.search = `${frame.name}\n${made.prompt || ""}`.toLowerCase();
  frame.byAxis = new Map(frame.axes.map((figures) => [figures.axis, figures]));
  frame.values = scales.map((scale) => (scale.axis ? frame.byAxis.get(scale.name)?.value : frame.overall) ?? NaN);
  frame.disagrees ||= [];
  frame.boxes ||= [];
  frame.undecided = undecided(frame);
  frame.ruleKey = ruleKey(frame.rule);
});

/** How undecided the model was about a frame, 0 to 1: the mean entropy of its axes, each as a share of the most that it could be. */
function undecided(frame) {
  const asked = frame.axes.filter((figures) => figures.words?.length > 1);
  if (asked.length === 0) return NaN;
  return asked.reduce((sum, figures) => sum + figures.entropy / Math.log2(figures.words.length), 0) / asked.length;
}

/** What decided: a rule's place, or that there was none. Rules begin with a verdict, so none reads like the others. */
function ruleKey(rule) {
  const place = data.rules.indexOf(rule);
  if (place >= 0) return String(place);
  if (rule.startsWith("overruled by hand")) return "byHand";
  if (rule.startsWith("not read")) return "unread";
  return rule.startsWith("not asked") || rule.startsWith("nothing to ask") ? "unasked" : "none";
}

/** How far model and classical measure lie apart on the axis where they do most. */
function disagreement(frame) {
  return Math.max(0, ...frame.disagrees.map(([, by]) => Math.abs(by)));
}

function named(wish, name) {
  return wish === "" || (wish === "?" ? name === undefined : wish.slice(1) === name);
}

const ONLY = {
  best: (frame, place) => bests.has(place),
  disagree: (frame) => frame.disagrees.length > 0,
  copies: (frame) => frame.duplicate_of !== undefined,
  boxes: (frame) => frame.boxes.length > 0,
};

function choose() {
  const text = wanted.text.trim().toLowerCase();
  const only = ONLY[wanted.only];
  const set = wanted.set && new Set(wanted.set.frames);
  const next = { verdicts: {}, rules: new Map(), bars: scales.map(() => Object.fromEntries(data.verdicts.map((verdict) => [verdict, new Array(BARS).fill(0)]))), medians: [] };
  const values = scales.map(() => []);
  shown = [];
  data.frames.forEach((frame, place) => {
    const made = frame.made || {};
    if (text && !frame.search.includes(text) && String(made.seed) !== text) return;
    if (!named(wanted.model, frame.model) || !named(wanted.sampler, frame.sampler)) return;
    if (only && !only(frame, place)) return;
    if (set && !set.has(place)) return;
    const verdict = !wanted.verdict || frame.verdict === wanted.verdict;
    const rule = !wanted.rule || frame.ruleKey === wanted.rule;
    // A frame without the value is not below anything.
    const low = wanted.below >= 1 || frame.values[wanted.scale] < wanted.below;
    if (rule && low) next.verdicts[frame.verdict] = (next.verdicts[frame.verdict] || 0) + 1;
    if (verdict && low) next.rules.set(frame.ruleKey, (next.rules.get(frame.ruleKey) || 0) + 1);
    if (!verdict || !rule) return;
    frame.values.forEach((value, scale) => {
      if (Number.isNaN(value)) return;
      next.bars[scale][frame.verdict][Math.min(BARS - 1, Math.floor(value * BARS))] += 1;
      values[scale].push(value);
    });
    if (low) shown.push(place);
  });
  next.medians = values.map(median);
  counts = next;
  order();
}

/** Between ranks linearly, as in the run's statistics; NaN of nothing. */
function median(values) {
  const sorted = Float64Array.from(values).sort();
  const middle = (sorted.length - 1) / 2;
  return (sorted[Math.floor(middle)] + sorted[Math.ceil(middle)]) / 2;
}

const WORST = ["reject", "review", "keep"];

/** What each order sorts by, the least first; what has no such number stands at the end. */
const ORDERS = {
  // Nobody knows yet what is wrong with a frame that was not read: of those to be reviewed it is the first.
  worst: (frame) => WORST.indexOf(frame.verdict) * 8 + (frame.verdict === "review" && frame.unread ? (frame.overall ?? -1) : 3 + (frame.overall ?? 2)),
  best: (frame) => (2 - WORST.indexOf(frame.verdict)) * 4 + (frame.overall === null ? 3 : frame.unread ? 2 : 1 - frame.overall),
  undecided: (frame) => -frame.undecided,
  disagree: (frame) => -disagreement(frame) || NaN,
  name: (frame, place) => place,
};

/** Sorts `shown`; frames stand in the order of their names where the rest is equal. */
function order() {
  const scale = scales.findIndex((scale) => `axis:${scale.name}` === wanted.sort);
  const key = scale >= 0 ? (frame) => frame.values[scale] : ORDERS[wanted.sort];
  // The frames of a sequence are in the order of their numbers, which need not be that of their names.
  const numbered = wanted.sort === "name" && wanted.set?.ordered ? new Map(wanted.set.frames.map((place, number) => [place, number])) : null;
  const keys = new Float64Array(data.frames.length);
  for (const place of shown) {
    const found = numbered ? numbered.get(place) : key(data.frames[place], place);
    keys[place] = Number.isNaN(found) ? Infinity : found;
  }
  // Subtracting would make NaN of two that have no number.
  shown.sort((a, b) => (keys[a] < keys[b] ? -1 : keys[a] > keys[b] ? 1 : a - b));
}
