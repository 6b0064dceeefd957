// One frame large, the names, the keys, and the start.
"use strict";

const unreachable = new Set();
let opened = -1; // the frame of the large view
let lastPlace = 0; // where in `shown` the large view was

const inFilter = () => shown.indexOf(opened);

function openFrame(at) {
  const frame = data.frames[at];
  if (!frame) return;
  opened = at;
  const place = inFilter();
  if (place >= 0) lastPlace = place;
  byId("view-name").textContent = frame.name;
  byId("place").textContent = place >= 0 ? `${number(place + 1)} of ${number(shown.length)}` : "not in the filter";
  byId("previous").disabled = neighbour(-1) === undefined;
  byId("next").disabled = neighbour(1) === undefined;
  showJudged(frame, at);
  byId("view-axes").replaceChildren(...data.axes.map((axis) => largeAxis(axis, frame.byAxis.get(axis.name))).filter(Boolean));
  showBoxes(frame);
  showMade(frame);
  showGroup(at);
  showMeasures(frame);
  showFile(frame, at);
  byId("said").textContent = "";
  const source = original(at);
  showPicture(at, source);
  if (!byId("view").open) byId("view").showModal();
  byId("about").scrollTop = 0;
  showMarks();
}

/** The frame before or behind; from a frame that the filter leaves out, those around the last one that it does not. */
function neighbour(by) {
  const place = inFilter();
  return shown[place >= 0 ? place + by : by > 0 ? lastPlace : lastPlace - 1];
}

function showJudged(frame, at) {
  const top = element("p", {}, badge(frame.verdict), element("strong", {}, two(frame.overall)), element("span", { class: "quiet" }, "overall"));
  if (bests.has(at)) top.append(element("span", { class: "mark best" }, element("span", { "aria-hidden": "true" }, "★ "), "best of its group"));
  byId("view-judged").replaceChildren(top, foreign(ruleText(frame), { class: "rule" }));
  const remarks = frame.disagrees.map(([name, by]) => {
    const axis = data.axes.find((axis) => axis.name === name);
    const better = by > 0 ? "better" : "worse";
    return element("p", { class: "remark" }, element("span", { "aria-hidden": "true" }, "≠ "),
      `On ${spoken(name)} the model thinks ${better} of this frame than the measure ${spoken(axis?.measure || "")} does: their ranks among all frames lie ${percent(Math.abs(by))} apart.`);
  });
  if (frame.unread) remarks.unshift(element("p", { class: "remark" }, "Not read: ", foreign(frame.unread)));
  byId("view-remarks").replaceChildren(...remarks);
}

/** From the worst colour over the middle to the best. */
function shade(value) {
  const [from, to, share] = value < 0.5 ? ["reject", "review", value * 2] : ["review", "keep", value * 2 - 1];
  return `color-mix(in oklab, var(--${to}) ${Math.round(100 * share)}%, var(--${from}))`;
}

/** How good each word of an axis is, 0 to 1; `null` where no word is better than another. */
function wordValues(axis) {
  if (axis.kind === "level") return axis.words.map((_, place) => place / (axis.words.length - 1));
  if (axis.kind === "yes_no") return axis.good ? [1, 0] : [0, 1];
  return axis.values || null;
}

/** An axis with its whole distribution. */
function largeAxis(axis, figures) {
  if (!figures) return null;
  const made = element("div", { class: figures.value !== null && figures.value < WEAK ? "large-axis weak" : "large-axis" });
  const found = figures.count !== undefined ? many(figures.count, "box", "boxes") : figures.word;
  const head = element("h3", { title: axis.question }, foreign(spoken(axis.name)), element("span", { class: "found" }, foreign(found ?? "")));
  if (figures.words?.length) {
    const asked = figures.clauses?.length ? `mean of ${many(figures.clauses.length, "clause", "clauses")}, ` : "";
    const title = `Entropy, of at most ${Math.log2(figures.words.length).toFixed(2)} bits. The words have ${percent(figures.mass)} of the whole probability.`;
    head.append(element("span", { class: "bits", title }, `${asked}${figures.entropy.toFixed(2)} bits`));
  }
  head.append(element("strong", {}, two(figures.value)));
  made.append(head);
  if (figures.words?.length) made.append(...distribution(axis, figures));
  if (figures.clauses?.length) made.append(clauses(axis, figures));
  if (figures.reason) made.append(element("p", { class: "reason", dir: "auto" }, figures.reason));
  return made;
}

function distribution(axis, figures) {
  const values = wordValues(axis);
  const bar = element("div", { class: "distribution", "aria-hidden": "true" });
  const list = element("ul", { class: "words" });
  const most = Math.max(...figures.probabilities);
  figures.words.forEach((word, place) => {
    const p = figures.probabilities[place];
    const part = element("span", { title: `${word}: ${p.toFixed(4)}` });
    part.style.flexGrow = p;
    const colour = values ? shade(values[place]) : `color-mix(in oklab, var(--accent) ${Math.round(90 - (70 * place) / figures.words.length)}%, var(--fill))`;
    part.style.backgroundColor = colour;
    bar.append(part);
    const key = element("span", { class: "swatch", "aria-hidden": "true" });
    key.style.backgroundColor = colour;
    list.append(element("li", p === most ? { class: "most" } : {}, key, foreign(word), element("span", {}, p > 0 && p < 0.005 ? "<.01" : terse(p))));
  });
  return [bar, list];
}

/** What the prompt asks for, piece by piece; what is missed most comes first. */
function clauses(axis, figures) {
  const asksYes = axis.kind === "yes_no";
  const rows = figures.clauses.map(([text, value]) => ({ text, value, yes: value === null ? null : asksYes && !axis.good ? 1 - value : value }));
  rows.sort((a, b) => (a.value ?? 2) - (b.value ?? 2));
  return element("ul", { class: "clauses" }, ...rows.map(({ text, value, yes }) => {
    const bar = element("span", { class: "line" }, element("span", {}));
    bar.firstChild.style.width = `${100 * (yes ?? 0)}%`;
    return element("li", value !== null && value < WEAK ? { class: "weak" } : {}, element("span", { dir: "auto" }, text), element("span", { class: "number" }, asksYes ? `yes ${two(yes)}` : two(yes)), bar);
  }));
}

/** The boxes; one that is pointed at is lit in the picture. */
function showBoxes(frame) {
  const rows = frame.boxes.map((box, place) => {
    const mark = element("span", { class: "swatch" });
    mark.style.backgroundColor = data.labels[box.label].colour;
    const row = element("li", {}, mark, foreign(data.labels[box.label].name), element("span", { class: "quiet" }, box.score === null ? "" : two(box.score)));
    if (box.sentence) row.append(element("p", { class: "said", dir: "auto" }, box.sentence));
    const lit = (on) => byId("marks").querySelectorAll("rect.box")[place]?.classList.toggle("shown", on);
    row.addEventListener("pointerenter", () => lit(true));
    row.addEventListener("pointerleave", () => lit(false));
    return row;
  });
  byId("view-boxes").hidden = rows.length === 0;
  byId("view-boxes").replaceChildren(element("h3", {}, "Marked in the picture"), element("ul", { class: "box-list" }, ...rows));
}

function copyButton(text, what) {
  return button(async () => { byId("said").textContent = (await copied(text)) ? `The ${what} is copied.` : `The ${what} could not be copied.`; }, { class: "copy", "aria-label": `Copy the ${what}` }, "Copy");
}

/** Whether the text went to the clipboard. */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // A page from a disk may not be let; what is marked in it can be copied everywhere. Inside the open dialog, since nothing else takes the focus.
    const area = element("textarea", { readonly: "", class: "skip" });
    area.value = text;
    (document.querySelector("dialog[open]") || document.body).append(area);
    const back = document.activeElement;
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    back?.focus();
    return done;
  }
}

function showMade(frame) {
  const made = frame.made;
  const parts = [];
  const text = (title, content, copy) => parts.push(element("h3", {}, title, ...(copy ? [copyButton(content, copy)] : [])), element("p", { class: "whole-prompt", dir: "auto" }, content));
  if (made?.prompt !== undefined) text("Prompt", made.prompt, "prompt");
  if (made?.negative_prompt) text("Negative prompt", made.negative_prompt);
  const pairs = [["Seed", made?.seed], ["Model", made?.model], ["Sampler", made?.sampler], ["Scheduler", made?.scheduler], ["Steps", made?.steps], ["CFG", made?.cfg_scale], ["Sampled at", made?.size?.join(" × ")], ["Written by", made?.tool]];
  const list = element("dl", { class: "facts" });
  facts(list, pairs.filter(([, value]) => value !== undefined && value !== null).map(([name, value]) => [name, String(value)]));
  if (made?.seed !== undefined) list.querySelector("dd").append(copyButton(String(made.seed), "seed"));
  parts.push(list, ...(made?.notes || []).map((note) => element("p", { class: "quiet" }, foreign(note))));
  byId("view-made").hidden = !made;
  byId("view-made").replaceChildren(...parts);
}

const MOST_IN_GROUP = 23;

function showGroup(at) {
  const groups = (groupsOf.get(at) || []).filter((group) => group.frames.length > 1);
  byId("view-group").hidden = groups.length === 0;
  byId("view-group").replaceChildren(...groups.flatMap((group) => {
    const frames = [...group.frames].sort((a, b) => (b === group.best) - (a === group.best) || (data.frames[b].overall ?? -1) - (data.frames[a].overall ?? -1));
    const pictures = frames.slice(0, MOST_IN_GROUP).map((place) => {
      const picture = smallPicture(place, `${place === group.best ? "the best: " : ""}${inWords(data.frames[place])}`);
      if (place === group.best) picture.classList.add("best");
      if (place === at) picture.setAttribute("aria-current", "true");
      return picture;
    });
    const all = button(() => { byId("view").close(); filter({ ...NO_FILTER, set: { title: `Group ${group.key}`, frames: group.frames, ordered: false }, sort: "best" }); toFrames(); }, { class: "link" }, `Show all ${number(frames.length)}`);
    return [element("h3", {}, element("span", { class: "cut" }, "Group ", foreign(group.key || "(no folder)")), all), element("div", { class: "tinies" }, ...pictures)];
  }));
}

const sorted = new Map();
/** The share of frames whose measure is less. */
function rank(name, value) {
  if (!sorted.has(name)) sorted.set(name, Float64Array.from(data.frames.filter((frame) => frame.measures).map((frame) => frame.measures[name])).sort());
  const all = sorted.get(name);
  let [low, high] = [0, all.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (all[middle] < value) low = middle + 1;
    else high = middle;
  }
  return all.length > 1 ? low / (all.length - 1) : 0;
}

function showMeasures(frame) {
  byId("view-measures").hidden = !frame.measures;
  if (!frame.measures) return;
  const rows = Object.entries(frame.measures).map(([name, value]) => {
    const at = rank(name, value);
    const bar = element("span", { class: "rank" }, element("span", {}));
    bar.firstChild.style.left = `${100 * at}%`;
    const bad = data.bad_when_high.includes(name);
    return element("tr", {}, element("th", { scope: "row" }, spoken(name), ...(bad ? [element("span", { class: "quiet" }, " (less is better)")] : [])),
      element("td", { class: "number" }, value.toLocaleString("en", { maximumSignificantDigits: 4 })), element("td", { title: `More than ${percent(at)} of the frames` }, bar));
  });
  byId("view-measures").replaceChildren(element("h3", {}, "Measures", element("span", { class: "quiet" }, "and where among all frames")), element("table", {}, element("tbody", {}, ...rows)));
}

function showFile(frame, at) {
  const pairs = [];
  if (frame.width) pairs.push(["Size", `${frame.width} × ${frame.height} px`]);
  facts(byId("view-facts"), pairs);
  const source = original(at);
  if (source && !unreachable.has(source)) {
    const link = element("a", { href: source, target: "_blank", rel: "noopener" }, "Open the picture");
    byId("view-facts").append(element("div", {}, element("dt", {}, "File"), element("dd", {}, link)));
  }
}

/** The thumbnail at once, and the frame itself when it has come. */
function showPicture(at, source) {
  const small = thumbnail(at);
  const picture = byId("picture");
  picture.hidden = !small;
  byId("no-picture").hidden = Boolean(small);
  byId("no-picture").textContent = data.frames[at].unread || "There is no picture of this frame.";
  picture.alt = data.frames[at].name;
  if (!small) return;
  picture.src = small;
  if (!source || unreachable.has(source)) return;
  const whole = new Image();
  whole.onload = () => {
    if (opened === at) picture.src = source;
    // Who goes through thousands does not want to wait for the next one.
    const next = neighbour(1);
    if (opened === at && next !== undefined && original(next)) new Image().src = original(next);
  };
  whole.onerror = () => unreachable.add(source);
  whole.src = source;
}

/** Boxes and tags over the picture, in the pixels of the screen: lines and letters are as large whatever the frame's size. */
function showMarks() {
  const marks = byId("marks");
  const frame = data.frames[opened];
  marks.replaceChildren();
  if (!frame || !frame.thumbnail) return;
  const { clientWidth: width, clientHeight: height } = marks;
  if (!width || !height) return;
  marks.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const scale = Math.min(width / frame.width, height / frame.height);
  const left = (width - frame.width * scale) / 2;
  const top = (height - frame.height * scale) / 2;
  const placed = frame.boxes.map((box) => {
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

// ---- names ----

function showNames() {
  byId("names-count").textContent = `${many(shown.length, "name", "names")}, in the order shown, one a line`;
  byId("names-text").value = shown.map((place) => data.frames[place].name).join("\n");
  byId("names-text").setSelectionRange(0, 0); // else the last of them is in sight
  byId("names-said").textContent = "";
  const link = byId("names-save");
  if (link.href) URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(new Blob([byId("names-text").value, shown.length ? "\n" : ""], { type: "text/plain" }));
  link.download = wanted.verdict ? `shown-${wanted.verdict}.txt` : "shown.txt";
  byId("names-view").showModal();
}

// ---- keys ----

function columns() {
  return getComputedStyle(byId("grid")).gridTemplateColumns.split(" ").length;
}

function small() {
  const on = document.body.classList.toggle("small");
  byId("small").setAttribute("aria-pressed", on);
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open || byId("names-view").open) return;
  const typing = event.target.matches("input, select, textarea");
  if (typing) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const viewing = byId("view").open;
  const step = (by) => {
    if (viewing) openFrame(neighbour(by));
    else go(current < 0 ? page * PAGE : current + by);
  };
  const actions = {
    j: () => step(1), ArrowRight: () => step(1), k: () => step(-1), ArrowLeft: () => step(-1),
    b: () => document.body.classList.toggle("no-boxes"),
    "?": () => byId("help").showModal(),
  };
  if (!viewing) {
    Object.assign(actions, { "/": () => byId("text").focus(), "[": () => turn(-1), "]": () => turn(1), s: small });
    data.verdicts.forEach((verdict, place) => { actions[place + 1] = () => filter({ verdict: wanted.verdict === verdict ? "" : verdict }); });
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
byId("text").addEventListener("input", (event) => soon({ text: event.target.value }));
byId("below").addEventListener("input", (event) => soon({ below: Number(event.target.value) }));
byId("scale").addEventListener("change", (event) => filter({ scale: Number(event.target.value) }));
for (const name of ["rule", "model", "sampler", "only", "sort"]) byId(name).addEventListener("change", (event) => filter({ [name]: event.target.value }));
byId("reset").addEventListener("click", () => filter(NO_FILTER));
byId("set").addEventListener("click", () => filter({ set: null, sort: "worst" }));
byId("small").addEventListener("click", small);
byId("names").addEventListener("click", showNames);
byId("names-copy").addEventListener("click", async () => { byId("names-said").textContent = (await copied(byId("names-text").value)) ? "Copied." : "Mark the names and copy them by hand."; });
byId("groups-best").addEventListener("click", () => { filter({ ...NO_FILTER, only: "best" }); toFrames(); });
byId("keys").addEventListener("click", () => byId("help").showModal());
for (const turner of document.querySelectorAll("[data-turn]")) turner.addEventListener("click", () => turn(Number(turner.dataset.turn)));
byId("close").addEventListener("click", () => byId("view").close());
byId("previous").addEventListener("click", () => openFrame(neighbour(-1)));
byId("next").addEventListener("click", () => openFrame(neighbour(1)));
byId("view").addEventListener("click", (event) => { if (event.target === byId("view")) byId("view").close(); });
byId("view").addEventListener("close", () => {
  const place = inFilter();
  opened = -1;
  // Whoever came from a panel to a frame that is not among those shown goes back to where he was.
  if (place >= 0) go(place);
});
byId("stage").addEventListener("click", () => document.body.classList.toggle("no-boxes"));
new ResizeObserver(showMarks).observe(byId("stage"));
new ResizeObserver(keepClear).observe(byId("filters").querySelector(".main"));
document.addEventListener("keydown", pressed);

showRun();
filter({});
