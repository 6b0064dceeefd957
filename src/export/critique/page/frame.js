// One frame large, the names, and the start.
"use strict";

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
  showPicture(at, whyMissing(frame), () => opened === at, () => {
    // A reader who goes through thousands does not want to wait for the next one.
    const next = neighbour(1);
    if (next !== undefined && original(next)) new Image().src = original(next);
  });
  showView();
  byId("about").scrollTop = 0;
}

function openNeighbour(by) {
  openFrame(neighbour(by));
}

function showMarks() {
  const frame = data.frames[opened];
  drawMarks(frame, frame?.boxes);
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
  if (frame.duplicate_of !== undefined) remarks.unshift(element("p", { class: "remark" }, "A near copy of ", foreign(frame.duplicate_of), ", which is better or came first."));
  if (frame.animated) remarks.unshift(element("p", { class: "remark" }, "An animation, judged by ", foreign(frame.animated), "."));
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
  if (axis.kind === "level") return axis.words.map((_, place) => place / (axis.words.length - 1)); // behind them may stand that nothing is there to be rated
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
    const colour = values && values[place] === undefined ? "var(--fill)" : values ? shade(values[place]) : `color-mix(in oklab, var(--accent) ${Math.round(90 - (70 * place) / figures.words.length)}%, var(--fill))`;
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
    const row = element("li", {}, swatch(box.label), foreign(data.labels[box.label].name), element("span", { class: "quiet" }, box.score === null ? "" : two(box.score)));
    if (box.sentence) row.append(element("p", { class: "said", dir: "auto" }, box.sentence));
    lights(row, place);
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
  const pairs = [["Seed", made?.seed], ["Model", made?.model], ["Sampler", made?.sampler], ["Scheduler", made?.scheduler], ["Steps", made?.steps], ["CFG", made?.cfg_scale], ["Guidance", made?.guidance], ["Denoise", made?.denoise], ["VAE", made?.vae], ["LoRAs", made?.loras?.map((lora) => (lora.weight === undefined ? lora.name : `${lora.name} ${lora.weight}`)).join(", ")], ["Upscaled by", made?.upscale], ["Sampled at", made?.size?.join(" × ")], ["Written by", made?.tool]];
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
    const all = button(() => { byId("view").close(); filter({ ...NO_FILTER, set: { title: `Group ${group.key}`, frames: group.frames, ordered: false }, sort: "best" }); toGrid(); }, { class: "link" }, `Show all ${number(frames.length)}`);
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
  linkFile(original(at), "Open the picture");
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

function small() {
  const on = document.body.classList.toggle("small");
  byId("small").setAttribute("aria-pressed", on);
}

function moreKeys() {
  const verdicts = data.verdicts.map((verdict, place) => [place + 1, () => filter({ verdict: wanted.verdict === verdict ? "" : verdict })]);
  const chosen = { x: () => select(current), a: selectAll };
  return { s: small, ...chosen, ...Object.fromEntries(verdicts) };
}

// ---- start ----

byId("text").addEventListener("input", (event) => soon({ text: event.target.value }));
byId("below").addEventListener("input", (event) => soon({ below: Number(event.target.value) }));
byId("scale").addEventListener("change", (event) => filter({ scale: Number(event.target.value) }));
for (const name of ["rule", "model", "sampler", "only", "sort"]) byId(name).addEventListener("change", (event) => filter({ [name]: event.target.value }));
byId("reset").addEventListener("click", () => filter(NO_FILTER));
byId("set").addEventListener("click", () => filter({ set: null, sort: "worst" }));
byId("small").addEventListener("click", small);
byId("names").addEventListener("click", showNames);
byId("names-copy").addEventListener("click", async () => { byId("names-said").textContent = (await copied(byId("names-text").value)) ? "Copied." : "Mark the names and copy them by hand."; });
byId("groups-best").addEventListener("click", () => { filter({ ...NO_FILTER, only: "best" }); toGrid(); });
byId("view").addEventListener("close", () => {
  const place = inFilter();
  opened = -1;
  // Whoever came from a panel to a frame that is not among those shown goes back to where he was.
  if (place >= 0) go(place);
});
new ResizeObserver(keepClear).observe(byId("filters").querySelector(".main"));

startByHand();
showRun();
filter({});
