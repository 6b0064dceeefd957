// The page: panels, tables and cards.
"use strict";

const MOST_OPTIONS = 300; // that a page can hold and a reader can use
const SIGNS = { keep: "✓", review: "?", reject: "✕" };

const two = (value) => (value === null || Number.isNaN(value) ? "–" : value.toFixed(2));
const percent = (share) => `${Math.round(100 * share)} %`;
/** Three characters, where there is little room. */
const terse = (value) => two(value).replace(/^0/, "").replace("1.00", "1.0");
/** Axes and measures as people read them. */
const spoken = (name) => name.replaceAll("_", " ");

/** A verdict is never told by its colour alone. */
function badge(verdict) {
  return element("span", { class: `badge ${verdict}` }, element("span", { "aria-hidden": "true" }, SIGNS[verdict]), verdict);
}

function button(press, attributes, ...children) {
  const made = element("button", { type: "button", ...attributes }, ...children);
  made.addEventListener("click", press);
  return made;
}

// ---- the run ----

function showRun() {
  const unread = data.frames.filter((frame) => frame.unread).length;
  showHead("contact sheet", [["Frames", number(data.frames.length) + (unread ? `, ${number(unread)} not read` : "")]]);
  byId("rule").append(new Option("All", ""), ...data.rules.slice(0, MOST_OPTIONS).map((rule, place) => new Option(`${place + 1}. ${short(rule)}`, place)),
    ...Object.keys(ENDS).filter((key) => data.frames.some((frame) => frame.ruleKey === key)).map((key) => new Option(ENDS[key], key)));
  byId("scale").append(...scales.map((scale, place) => new Option(spoken(scale.name), place)));
  const worst = element("optgroup", { label: "Worst on one axis" });
  worst.append(...scales.filter((scale) => scale.axis).map((scale) => new Option(spoken(scale.name), `axis:${scale.name}`)));
  byId("sort").append(worst);
  for (const [id, known, of] of [["model", data.statistics.by_model, (frame) => frame.model], ["sampler", data.statistics.by_sampler, (frame) => frame.sampler]]) {
    const names = Object.keys(known);
    const unknown = data.frames.some((frame) => of(frame) === undefined);
    byId(id).append(new Option("All", ""), ...names.slice(0, MOST_OPTIONS).map((name) => new Option(short(name), `=${name}`)), ...(unknown ? [new Option("not known", "?")] : []));
    byId(id).parentElement.hidden = names.length === 0 || (names.length === 1 && !unknown);
  }
  const kinds = [["best", "Best of each group", bests.size > 0], ["disagree", "Model and measure disagree", data.frames.some((frame) => frame.disagrees.length > 0)],
    ["boxes", "With defects marked", data.frames.some((frame) => frame.boxes.length > 0)],
    ["copies", "Near copies of better frames", data.frames.some((frame) => frame.duplicate_of !== undefined)]];
  for (const [key, name, there] of kinds) if (there) byId("only").append(new Option(name, key));
  byId("only").parentElement.hidden = byId("only").length === 1;
  byId("sort").querySelector("[value=disagree]").hidden = !kinds[1][2];
  document.body.classList.toggle("no-pictures", !data.frames.some((frame) => frame.thumbnail));
  showTables();
  showGroups(20);
  showSequences(10);
}

const ENDS = { byHand: "overruled by hand", unread: "not read", unasked: "an axis of a rule was not asked", none: "no rule fired" };
const short = (text) => (text.length > 60 ? `${text.slice(0, 59)}…` : text);

// ---- panels ----

function showPanels() {
  const total = data.verdicts.reduce((sum, verdict) => sum + (counts.verdicts[verdict] || 0), 0);
  byId("verdict-bar").replaceChildren(...data.verdicts.map((verdict) => {
    const part = element("span", { class: `part ${verdict}`, title: `${verdict}: ${number(counts.verdicts[verdict] || 0)}` });
    part.style.flexGrow = counts.verdicts[verdict] || 0;
    part.addEventListener("click", () => filter({ verdict: wanted.verdict === verdict ? "" : verdict }));
    return part;
  }));
  const choice = (verdict, ...children) => button(() => filter({ verdict: wanted.verdict === verdict ? "" : verdict }), { "aria-pressed": wanted.verdict === verdict }, ...children);
  replaceRows(byId("verdicts"), data.verdicts.map((verdict) => {
    const count = counts.verdicts[verdict] || 0;
    return choice(verdict, badge(verdict), element("span", { class: "number" }, number(count)), element("span", { class: "quiet" }, total ? percent(count / total) : ""));
  }));
  replaceRows(byId("verdict"), [button(() => filter({ verdict: "" }), { "aria-pressed": !wanted.verdict }, "All"),
    ...data.verdicts.map((verdict, place) => {
      const made = choice(verdict, element("span", { class: `sign ${verdict}`, "aria-hidden": "true" }, SIGNS[verdict]), verdict, element("span", { class: "quiet" }, number(counts.verdicts[verdict] || 0)));
      made.title = `Only ${verdict} (${place + 1})`;
      return made;
    })]);
  showRules();
  showScales();
}

function showRules() {
  const largest = Math.max(1, ...counts.rules.values());
  const rows = data.rules.map((rule, place) => [String(place), `${place + 1}`, rule]);
  for (const key of Object.keys(ENDS)) {
    if (counts.rules.has(key) || wanted.rule === key) rows.push([key, "–", ENDS[key]]);
  }
  replaceRows(byId("rules"), rows.map(([key, sign, text]) => {
    const count = counts.rules.get(key) || 0;
    const pressed = wanted.rule === key;
    const verdict = data.verdicts.find((verdict) => text.trim().startsWith(verdict)) || "review";
    const bar = element("span", { class: `meter ${verdict}` });
    bar.append(element("span", {}));
    bar.firstChild.style.width = `${(100 * count) / largest}%`;
    const title = key === "unread" ? "Could not be read whole, and no rule decided otherwise" : text;
    return button(() => filter({ rule: pressed ? "" : key }), { "aria-pressed": pressed, title }, element("span", { class: "quiet" }, sign),
      foreign(text, { class: "rule" }), bar, element("span", { class: "number" }, number(count)));
  }));
}

/** What a pointer over the bars meets: the bar is marked, said in a title, and pressed. */
function barUnderPointer(picture, bars, press) {
  const title = svg("title", {});
  const hit = svg("rect", { class: "hit", x: 0, y: 0, width: 10, height: 50 });
  const at = (event) => {
    const area = picture.getBoundingClientRect();
    return Math.min(BARS - 1, Math.max(0, Math.floor(((event.clientX - area.left) / area.width) * BARS)));
  };
  hit.style.visibility = "hidden";
  picture.addEventListener("pointermove", (event) => {
    const bin = at(event);
    const parts = data.verdicts.filter((verdict) => bars[verdict][bin] > 0).map((verdict) => `${verdict} ${number(bars[verdict][bin])}`);
    title.textContent = `${(bin / BARS).toFixed(2)} to ${((bin + 1) / BARS).toFixed(2)}: ${parts.join(", ") || "none"}`;
    hit.setAttribute("x", bin * 10);
    hit.style.visibility = "";
  });
  picture.addEventListener("pointerleave", () => { hit.style.visibility = "hidden"; });
  picture.addEventListener("click", (event) => press(at(event)));
  return [title, hit];
}

/** Of each axis how its values are spread, each bar in the colours of the verdicts. */
function showScales() {
  replaceRows(byId("scales"), scales.map((scale, place) => {
    const bars = counts.bars[place];
    const sums = bars[data.verdicts[0]].map((_, bin) => data.verdicts.reduce((sum, verdict) => sum + bars[verdict][bin], 0));
    const highest = Math.max(1, ...sums);
    const middle = counts.medians[place];
    const picture = svg("svg", { viewBox: "0 0 200 50", preserveAspectRatio: "none", role: "img", "aria-label": `${spoken(scale.name)}: median ${two(middle)}` });
    const limited = wanted.below < 1 && wanted.scale === place;
    // One path a verdict instead of a shape a bar: the panels are drawn anew at each filter.
    const paths = {};
    sums.forEach((_, bin) => {
      let top = 49;
      const beyond = limited && bin / BARS >= wanted.below - 1e-9;
      for (const verdict of [...data.verdicts].reverse()) {
        const height = (48 * bars[verdict][bin]) / highest;
        top -= height;
        if (height <= 0) continue;
        const kind = beyond ? `fill ${verdict} beyond` : `fill ${verdict}`;
        paths[kind] = `${paths[kind] || ""}M${bin * 10 + 0.5} ${Math.min(top, 48).toFixed(2)}h9v${Math.max(height, 1).toFixed(2)}h-9z`;
      }
    });
    for (const [kind, path] of Object.entries(paths)) picture.append(svg("path", { class: kind, d: path }));
    picture.append(...barUnderPointer(picture, bars, (bin) => {
      const below = (bin + 1) / BARS;
      filter(limited && wanted.below === below ? { below: 1 } : { scale: place, below });
    }));
    picture.append(svg("line", { class: "base", x1: 0, x2: 200, y1: 49.5, y2: 49.5 }));
    if (!Number.isNaN(middle)) picture.append(svg("line", { class: "median", x1: middle * 200, x2: middle * 200, y1: 0, y2: 50 }));
    const sort = scale.axis ? `axis:${scale.name}` : "worst";
    const head = button(() => filter({ sort: wanted.sort === sort ? "worst" : sort }), { class: "scale-name", "aria-pressed": wanted.sort === sort && sort !== "worst", title: scale.axis ? scale.axis.question : "The mean of the axes by their weights" },
      foreign(spoken(scale.name)), element("span", { class: "number" }, two(middle)));
    return element("div", { class: scale.axis ? "scale" : "scale whole" }, head, picture);
  }));
}

/** What stands in a table of models or samplers: how often its frames are kept, and medians beside those of the whole run. */
function showTables() {
  const all = data.statistics.all;
  const middle = (together, scale) => together.axes.find(([name]) => name === scale.name)?.[1].percentiles[2];
  const keeps = (together) => (together.verdicts.keep || 0) / together.frames;
  const difference = (mine, whole) => {
    const by = mine - whole;
    const made = element("span", { class: Math.abs(by) < 0.005 ? "difference" : by > 0 ? "difference better" : "difference worse" });
    made.textContent = Math.abs(by) < 0.005 ? "\u00a0" : `${by > 0 ? "+" : "−"}${Math.abs(by).toFixed(2).slice(1)}`;
    return made;
  };
  const cell = (mine, whole) => {
    if (mine === undefined) return element("td", { class: "number" }, "–");
    const made = element("td", { class: "number" }, two(mine), difference(mine, whole));
    // Faint up to a tenth, strong from three tenths on.
    const strength = Math.min(1, Math.abs(mine - whole) / 0.3);
    if (strength > 0.1) made.style.backgroundColor = `color-mix(in oklab, var(--${mine > whole ? "keep" : "reject"}) ${Math.round(45 * strength)}%, transparent)`;
    return made;
  };
  const row = (name, together, press) => {
    const verdicts = element("span", { class: "verdict-bar thin" }, ...data.verdicts.map((verdict) => {
      const part = element("span", { class: `part ${verdict}`, title: `${verdict}: ${number(together.verdicts[verdict] || 0)}` });
      part.style.flexGrow = together.verdicts[verdict] || 0;
      return part;
    }));
    const head = press ? button(press, { class: "link", title: name }, foreign(name)) : name;
    return element("tr", {}, element("th", { scope: "row" }, head), element("td", { class: "number" }, number(together.frames)),
      element("td", { class: "number" }, percent(keeps(together))), element("td", { class: "bar-cell" }, verdicts), ...scales.map((scale) => cell(middle(together, scale), middle(all, scale))));
  };
  const tables = [];
  for (const [wish, title, known] of [["model", "Model", data.statistics.by_model], ["sampler", "Sampler", data.statistics.by_sampler]]) {
    const names = Object.keys(known).sort((a, b) => keeps(known[b]) - keeps(known[a]) || known[b].frames - known[a].frames);
    if (names.length < 2) continue;
    const head = element("thead", {}, element("tr", {}, ...[title, "Frames", "Kept", "", ...scales.map((scale) => spoken(scale.name))].map((name, column) => element("th", { scope: "col", class: column === 1 || column === 2 || column > 3 ? "number" : "" }, name))));
    const rows = names.slice(0, MOST_OPTIONS).map((name) => row(name, known[name], () => { filter({ [wish]: `=${name}` }); toGrid(); }));
    const body = element("tbody", {}, ...rows);
    const foot = element("tfoot", {}, row("All frames", all, null));
    tables.push(element("div", { class: "scrolled wide-table", tabindex: 0, role: "region", "aria-label": `By ${wish}` }, element("table", { class: "figures-table" }, head, body, foot)));
    if (names.length > rows.length) tables.push(element("p", { class: "quiet" }, `The first ${MOST_OPTIONS} of ${number(names.length)}.`));
  }
  byId("made").hidden = tables.length === 0;
  byId("made-tables").replaceChildren(...tables, element("p", { class: "quiet" }, "Medians, beside those of all frames; whatever is filtered. A name shows its frames."));
}

/** A small picture of a frame that opens it. */
function smallPicture(place, words) {
  const frame = data.frames[place];
  const source = thumbnail(place);
  const made = button(() => openFrame(place), { class: "tiny", title: `${frame.name}\n${words}`, "aria-label": `${frame.name}: ${words}` });
  made.append(source ? element("img", { src: source, alt: "", loading: "lazy", decoding: "async" }) : element("span", { class: "missing" }, "no picture"),
    element("span", { class: `sign ${frame.verdict}`, "aria-hidden": "true" }, SIGNS[frame.verdict]));
  return made;
}

const inWords = (frame) => `${frame.verdict}, overall ${two(frame.overall)}`;

function showGroups(most) {
  if (!data.groups) return;
  const several = data.groups.filter((group) => group.frames.length > 1);
  const kept = (group) => group.frames.some((place) => data.frames[place].verdict === "keep");
  const without = several.filter((group) => !kept(group)).length;
  // Groups of which nothing is kept need somebody first.
  const rank = new Map(several.map((group) => [group, (kept(group) ? 2 : 0) + (group.best === null ? -1 : data.frames[group.best].overall ?? 0)]));
  several.sort((a, b) => rank.get(a) - rank.get(b));
  byId("groups").hidden = false;
  byId("groups-title").textContent = `${many(several.length, "group", "groups")} of two frames or more, ${number(without)} without a frame to keep` +
    (several.length < data.groups.length ? `; ${many(data.groups.length - several.length, "frame", "frames")} alone` : "");
  byId("group-list").replaceChildren(...several.slice(0, most).map((group) => {
    const best = group.best === null ? null : data.frames[group.best];
    const others = group.frames.filter((place) => place !== group.best).sort((a, b) => (data.frames[b].overall ?? -1) - (data.frames[a].overall ?? -1));
    const pictures = element("span", { class: "tinies" });
    if (best) {
      const picture = smallPicture(group.best, `the best: ${inWords(best)}`);
      picture.classList.add("best");
      pictures.append(picture);
    }
    pictures.append(...others.slice(0, 7).map((place) => smallPicture(place, inWords(data.frames[place]))));
    const name = button(() => { filter({ ...NO_FILTER, set: { title: `Group ${group.key}`, frames: group.frames, ordered: false }, sort: "best" }); toGrid(); }, { class: "link", title: group.key }, foreign(group.key || "(no folder)"));
    return element("div", { class: "group" }, name, element("span", { class: "quiet" }, many(group.frames.length, "frame", "frames")), best ? element("span", {}, badge(best.verdict), ` ${two(best.overall)}`) : element("span", { class: "quiet" }, "none was read"), pictures);
  }));
  byId("groups-more").hidden = several.length <= most;
  byId("groups-more").onclick = () => showGroups(most + 100);
}

function showSequences(most) {
  const found = data.statistics.sequences;
  byId("sequences").hidden = found.length === 0;
  byId("sequences-title").textContent = `Sequences: ${many(found.length, "row of numbered files", "rows of numbered files")}`;
  byId("sequences-more").hidden = found.length <= most;
  byId("sequences-more").onclick = () => showSequences(most + 20);
  // Drawn when it is asked for: a run can hold thousands of frames in a row.
  const draw = () => { if (byId("sequences").open) byId("sequence-list").replaceChildren(...found.slice(0, most).map(sequence)); };
  byId("sequences").ontoggle = draw;
  draw();
}

function sequence(one) {
  const flicker = new Map(one.flicker);
  const name = button(() => { filter({ ...NO_FILTER, set: { title: `Sequence ${one.name}`, frames: one.frames, ordered: true }, sort: "name" }); toGrid(); }, { class: "link", title: one.name }, foreign(one.name));
  const head = element("div", { class: "sequence-head" }, name, element("span", { class: "quiet" }, many(one.frames.length, "frame", "frames")));
  if (one.jump) {
    const [axis, place, by] = one.jump;
    head.append(element("span", {}, `Largest jump: ${spoken(axis)} by ${two(by)} at `, button(() => openFrame(place), { class: "link", title: data.frames[place].name }, foreign(data.frames[place].name))));
  }
  const most = Math.max(0.0001, ...flicker.values());
  const lines = scales.filter((scale) => scale.axis && flicker.has(scale.name)).map((scale) => {
    const by = flicker.get(scale.name);
    return element("div", { class: by === most && by > 0 ? "spark most" : "spark" }, element("span", {}, spoken(scale.name)), sparkline(one, scale), element("span", { class: "number", title: "How much the value changes from one frame to the next, on average" }, `±${by.toFixed(3)}`));
  });
  return element("div", { class: "sequence" }, head, element("div", { class: "sparks" }, ...lines));
}

/** An axis over the frames of a sequence; a press on it opens the frame there. */
function sparkline(one, scale) {
  const at = scales.indexOf(scale);
  const last = Math.max(1, one.frames.length - 1);
  const picture = svg("svg", { viewBox: "0 0 300 30", preserveAspectRatio: "none", "aria-hidden": "true" });
  picture.append(svg("line", { class: "base", x1: 0, x2: 300, y1: 29, y2: 29 }));
  // A frame without the value leaves a gap.
  let path = "";
  let pen = "M";
  one.frames.forEach((place, step) => {
    const value = data.frames[place].values[at];
    if (Number.isNaN(value)) { pen = "M"; return; }
    path += `${pen}${((300 * step) / last).toFixed(1)} ${(29 - 28 * value).toFixed(1)}`;
    pen = "L";
  });
  picture.append(svg("path", { class: "line", d: path }));
  if (one.jump && one.jump[0] === scale.name) {
    const step = one.frames.indexOf(one.jump[1]);
    picture.append(svg("line", { class: "jump", x1: (300 * step) / last, x2: (300 * step) / last, y1: 0, y2: 30 }));
  }
  picture.addEventListener("click", (event) => {
    const area = picture.getBoundingClientRect();
    openFrame(one.frames[Math.round(((event.clientX - area.left) / area.width) * last)]);
  });
  return picture;
}

// ---- grid ----

/** An axis in a card: its name, its value, a bar; words without values and defects say what was found instead. */
function smallAxis(axis, figures) {
  if (!figures) return element("div", { class: "axis absent", title: `${spoken(axis.name)}: not asked` }, element("span", { class: "what" }, spoken(axis.name)), element("span", {}, "–"));
  const value = figures.value;
  const weak = value !== null && value < WEAK;
  const says = figures.count !== undefined ? String(figures.count) : value === null ? figures.word ?? "–" : terse(value);
  if (axis.not_applicable && value === null) return element("div", { class: "axis absent", title: `${spoken(axis.name)}: not applicable` }, element("span", { class: "what" }, spoken(axis.name)), foreign(says));
  const title = `${spoken(axis.name)}: ${figures.count !== undefined ? many(figures.count, "box", "boxes") : value === null ? figures.word : two(value)}`;
  const made = element("div", { class: weak ? "axis weak" : "axis", title }, element("span", { class: "what" }, spoken(axis.name)), foreign(says));
  if (value !== null) {
    const bar = element("span", { class: "line" }, element("span", {}));
    bar.firstChild.style.width = `${100 * value}%`;
    made.append(bar);
  }
  return made;
}

/** What a frame is sorted by, where no card says it anyway. */
function sortedBy(frame) {
  return wanted.sort === "undecided" && !Number.isNaN(frame.undecided) ? `undecided ${two(frame.undecided)}` : "";
}

function disagreementMark(frame) {
  const axes = frame.disagrees.map(([axis]) => spoken(axis)).join(", ");
  return element("span", { class: "mark", title: `Model and classical measure disagree: ${axes}` }, element("span", { "aria-hidden": "true" }, "≠ "), wanted.sort === "disagree" ? `${terse(disagreement(frame))} ${axes}` : axes);
}

/** A rule without its verdict, which stands beside it, after its number. */
function ruleText(frame) {
  const place = data.rules.indexOf(frame.rule);
  if (place < 0) return frame.rule;
  return `${place + 1}. ${frame.rule.trim().replace(/^\w+\s+/, "")}`;
}

function whyMissing(frame) {
  return frame.unread || "There is no picture of this frame.";
}

function card(at, place) {
  const frame = data.frames[at];
  const made = frame.made || {};
  const picture = cardPicture(at, frame.boxes, whyMissing(frame), `${inWords(frame)}; ${frame.rule}`, place, () => openFrame(at));
  const top = element("div", { class: "top" }, badge(frame.verdict), element("span", { class: "overall", title: "overall" }, two(frame.overall)));
  if (bests.has(at)) top.append(element("span", { class: "mark best", title: "The best of its group" }, element("span", { "aria-hidden": "true" }, "★ "), "best"));
  if (frame.disagrees.length) top.append(disagreementMark(frame));
  const by = sortedBy(frame);
  if (by) top.append(element("span", { class: "quiet by" }, by));
  const caption = element("div", { class: "caption" }, top, fileName(frame.name));
  if (frame.axes.length) caption.append(element("div", { class: "axes" }, ...data.axes.map((axis) => smallAxis(axis, frame.byAxis.get(axis.name)))));
  // What the card shows already instead of the picture is not said twice.
  if (!frame.unread || frame.thumbnail) caption.append(foreign(ruleText(frame), { class: "rule", title: frame.rule }));
  if (made.prompt) caption.append(element("p", { class: "prompt", dir: "auto", title: made.prompt }, made.prompt));
  const under = [made.model, made.sampler].filter((name) => name !== undefined).map((name) => foreign(name, { title: name }));
  if (made.seed !== undefined) under.unshift(element("span", { title: "seed" }, `seed ${made.seed}`));
  if (under.length) caption.append(element("div", { class: "under" }, ...under));
  return element("li", { class: `card ${frame.verdict}${selected.has(at) ? " selected" : ""}` }, picture, selectButton(at, place), caption);
}

/** What is scrolled to must not lie under the filters, which stay in sight and can have more than one row. */
function keepClear() {
  const whole = getComputedStyle(byId("filters")).display !== "contents";
  const stays = whole ? byId("filters") : byId("filters").querySelector(".main");
  const height = getComputedStyle(stays).position === "sticky" ? stays.offsetHeight : 0;
  document.documentElement.style.scrollPaddingTop = `${height + 8}px`;
}

/** Sets filters and shows what fits. */
function filter(changes) {
  ask(changes);
  for (const name of ["rule", "model", "sampler", "only", "scale", "below", "sort"]) byId(name).value = wanted[name];
  if (byId("text").value !== wanted.text) byId("text").value = wanted.text;
  byId("below-value").textContent = wanted.below < 1 ? wanted.below.toFixed(2) : "any";
  byId("count").textContent = shown.length === data.frames.length ? many(shown.length, "frame", "frames") : `${number(shown.length)} of ${many(data.frames.length, "frame", "frames")}`;
  byId("set").hidden = !wanted.set;
  if (wanted.set) byId("set").replaceChildren(foreign(short(wanted.set.title)), " ×");
  byId("reset").disabled = Object.keys(NO_FILTER).every((name) => wanted[name] === NO_FILTER[name] || name === "scale");
  showPanels();
  showPage();
}
