// Verdicts by hand: on the frame that is open, on those that are selected, or on the one that the keys are at. They are saved in the run, if the
// page comes from `gemscope serve --sheet RUN`, and else as a file that `gemscope critique --overrule FILE` reads.
"use strict";

const BY_HAND = "overruled by hand";
const BACK = "rules"; // the word of the file that takes a verdict back
const HAND_KEYS = { y: "keep", m: "review", n: "reject", u: BACK };

/** Verdicts that are not saved yet, by frame. */
const unsaved = new Map();
const selected = new Set();
let lastSelected = -1; // place in `shown`

data.frames.forEach((frame) => {
  // What the rules say. Of a frame that was overruled in an earlier run it stands in the reason.
  const said = frame.by_rules ? frame.rule.slice(`${BY_HAND}: the rules say ${frame.by_rules} (`.length, -1) : frame.rule;
  frame.judged = { verdict: frame.by_rules || frame.verdict, rule: said };
});

/** The frames that a key is about. */
function meant() {
  if (byId("view").open) return opened >= 0 ? [opened] : [];
  if (selected.size) return [...selected];
  return current >= 0 && shown[current] !== undefined ? [shown[current]] : [];
}

/** Gives frames a verdict by hand, or takes it back. What is shown stays where it is, until the filters are changed. */
function overrule(verdict, places = meant()) {
  if (!places.length) return;
  for (const place of places) {
    const frame = data.frames[place];
    const given = verdict === BACK ? frame.judged.verdict : verdict;
    frame.verdict = given;
    frame.rule = verdict === BACK ? frame.judged.rule : `${BY_HAND}: the rules say ${frame.judged.verdict} (${frame.judged.rule})`;
    frame.ruleKey = ruleKey(frame.rule);
    const before = frame.by_rules ? frame.kept : BACK;
    if (verdict === before) unsaved.delete(place);
    else unsaved.set(place, verdict);
  }
  const [stay, at] = [shown, current];
  choose(); // counts anew
  shown = stay;
  showPanels();
  const inView = byId("view").open;
  selected.clear();
  showPage();
  showByHand();
  if (inView) {
    if (neighbour(1) === undefined || verdict === BACK) openFrame(opened);
    else openNeighbour(1);
  } else if (at >= 0) {
    go(places.length === 1 && verdict !== BACK ? at + 1 : at);
  }
}

/** Selects the frame at a place of `shown`, or no longer; with `all`, all from the last one to it. */
function select(place, all = false) {
  if (shown[place] === undefined) return;
  const on = !selected.has(shown[place]);
  const from = all && lastSelected >= 0 ? lastSelected : place;
  for (let at = Math.min(from, place); at <= Math.max(from, place); at += 1) {
    if (all || on) selected.add(shown[at]);
    else selected.delete(shown[at]);
  }
  lastSelected = place;
  showSelected();
}

function selectAll() {
  const all = shown.every((place) => selected.has(place));
  selected.clear();
  if (!all) shown.forEach((place) => selected.add(place));
  showSelected();
}

function showSelected() {
  for (const box of byId("grid").querySelectorAll(".select")) {
    const on = selected.has(Number(box.dataset.frame));
    box.setAttribute("aria-pressed", on);
    box.closest(".card").classList.toggle("selected", on);
  }
  showByHand();
}

/** The button of a card that selects it. */
function selectButton(at, place) {
  const on = selected.has(at);
  const made = element("button", { type: "button", class: "select", "aria-pressed": on, "aria-label": `Select ${data.frames[at].name}`, title: "Select (x); with Shift all from the last one", "data-frame": at, tabindex: -1 }, "✓");
  made.addEventListener("click", (event) => select(place, event.shiftKey));
  return made;
}

function handButtons() {
  return Object.entries(HAND_KEYS).map(([key, verdict]) =>
    button(() => overrule(verdict), { class: `hand ${verdict === BACK ? "back" : verdict}`, title: verdict === BACK ? `What the rules say (${key})` : `By hand: ${verdict} (${key})` },
      verdict === BACK ? "Rules" : element("span", { "aria-hidden": "true" }, `${SIGNS[verdict]} `), verdict === BACK ? "" : verdict));
}

/** The bar at the bottom: what is selected, and what is not saved. */
function showByHand() {
  byId("by-hand").hidden = selected.size === 0 && unsaved.size === 0;
  document.body.classList.toggle("by-hand-shown", !byId("by-hand").hidden);
  byId("hand-selected").textContent = selected.size ? `${many(selected.size, "frame", "frames")} selected` : "";
  byId("hand-buttons").hidden = selected.size === 0;
  byId("hand-unsaved").textContent = unsaved.size ? `${many(unsaved.size, "verdict", "verdicts")} by hand not saved` : "";
  byId("hand-save").hidden = unsaved.size === 0;
}

const cellOf = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** The table of verdicts. */
function tableOf(verdicts) {
  const rows = [...verdicts].sort(([one], [other]) => one - other).map(([place, verdict]) => [data.frames[place].name, verdict, data.frames[place].sha256 || ""].map(cellOf).join(","));
  return ["image,verdict,sha256", ...rows, ""].join("\n");
}

/** Saves a table in the run. `null` if it is there, else why not; nothing to say of a page that no server shows. */
async function saveInRun(table) {
  if (!location.protocol.startsWith("http")) return "";
  try {
    const answer = await fetch("/overrules", { method: "POST", headers: { "Content-Type": "text/csv" }, body: table });
    if (answer.ok) return null;
    // Another server, which shows pages and saves nothing.
    if (!answer.headers.get("Content-Type")?.startsWith("application/json")) return "";
    return (await answer.json()).error;
  } catch (error) {
    return String(error);
  }
}

function download(table) {
  const link = element("a", { download: "overrules.csv" });
  link.href = URL.createObjectURL(new Blob([table], { type: "text/csv" }));
  link.click();
  URL.revokeObjectURL(link.href);
}

/** Saves the verdicts, in the run or as a file. */
async function saveByHand() {
  const verdicts = [...unsaved];
  const table = tableOf(verdicts);
  const problem = await saveInRun(table);
  if (problem !== null) download(table);
  for (const [place, verdict] of verdicts) {
    const frame = data.frames[place];
    frame.by_rules = verdict === BACK ? undefined : frame.judged.verdict;
    frame.kept = verdict === BACK ? frame.judged.verdict : verdict;
    // Another one may have been given meanwhile.
    if (unsaved.get(place) === verdict) unsaved.delete(place);
  }
  showByHand();
  byId("hand-in-run").hidden = problem !== null;
  byId("hand-in-file").hidden = problem === null;
  byId("hand-problem").textContent = problem ? `The run did not take them: ${problem}` : "";
  byId("hand-view").showModal();
}

function keysEverywhere() {
  return Object.fromEntries(Object.entries(HAND_KEYS).map(([key, verdict]) => [key, () => overrule(verdict)]));
}

function startByHand() {
  data.frames.forEach((frame) => { frame.kept = frame.verdict; });
  byId("hand-buttons").replaceChildren(...handButtons(), button(() => { selected.clear(); showSelected(); }, { class: "plain" }, "Select none"));
  byId("view-hand").replaceChildren(...handButtons());
  byId("hand-save").addEventListener("click", saveByHand);
  window.addEventListener("beforeunload", (event) => { if (unsaved.size) event.preventDefault(); });
}
