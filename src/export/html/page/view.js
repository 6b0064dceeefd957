// The large view, the keys, and the start.
"use strict";

const unreachable = new Set();

function openView(place) {
  const entry = shown[place];
  if (!entry) return;
  opened = place;
  const image = data.images[entry.index];
  byId("view-name").textContent = image.name;
  byId("place").textContent = `${number(place + 1)} of ${number(shown.length)}`;
  byId("previous").disabled = place === 0;
  byId("next").disabled = place === shown.length - 1;
  const pairs = [["Status", image.status]];
  if (image.reason) pairs.push(["Reason", image.reason]);
  if (image.width) pairs.push(["Size", `${image.width} × ${image.height} px`]);
  if (image.notes) pairs.push(["Notes", image.notes]);
  facts(byId("view-facts"), pairs);
  const source = original(entry.index);
  if (source && !unreachable.has(source)) {
    const link = element("a", { href: source, target: "_blank", rel: "noopener" }, "Open the image");
    byId("view-facts").append(element("div", {}, element("dt", {}, "File"), element("dd", {}, link)));
  }
  showBoxes(image, entry);
  const answer = byId("view-answer");
  answer.hidden = !image.answer;
  answer.querySelector("pre").textContent = image.answer || "";
  showPicture(entry.index, source);
  if (!byId("view").open) byId("view").showModal();
  showMarks();
}

/** The table of all boxes; those that the filters leave out are pale. */
function showBoxes(image, entry) {
  const rows = image.boxes.map((box) => {
    const row = element("tr", entry.boxes.includes(box) ? {} : { class: "filtered" },
      element("td", {}, element("span", {}, swatch(box.label), foreign(data.labels[box.label].name))),
      element("td", {}, box.score === null ? "–" : box.score.toFixed(3)),
      element("td", {}, box.bbox.map((side) => Math.round(side)).join(", ")));
    const lit = (on) => byId("marks").querySelectorAll("rect.box")[entry.boxes.indexOf(box)]?.classList.toggle("shown", on);
    row.addEventListener("pointerenter", () => lit(true));
    row.addEventListener("pointerleave", () => lit(false));
    return row;
  });
  byId("view-boxes").hidden = rows.length === 0;
  byId("view-boxes").tBodies[0].replaceChildren(...rows);
}

/** The thumbnail at once, and the image itself when it has come. */
function showPicture(index, source) {
  const small = thumbnail(index);
  const picture = byId("picture");
  picture.hidden = !small;
  byId("no-picture").hidden = Boolean(small);
  byId("no-picture").textContent = data.images[index].reason || "The image could not be read.";
  picture.alt = data.images[index].name;
  if (!small) return;
  picture.src = small;
  if (!source || unreachable.has(source)) return;
  const whole = new Image();
  whole.onload = () => { if (opened >= 0 && shown[opened].index === index) picture.src = source; };
  whole.onerror = () => unreachable.add(source);
  whole.src = source;
}

/** Boxes and tags over the picture, in the pixels of the screen: lines and letters are as large whatever the image's size. */
function showMarks() {
  const marks = byId("marks");
  const entry = shown[opened];
  const image = entry && data.images[entry.index];
  marks.replaceChildren();
  if (!image || !image.thumbnail) return;
  const { clientWidth: width, clientHeight: height } = marks;
  if (!width || !height) return;
  marks.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const scale = Math.min(width / image.width, height / image.height);
  const left = (width - image.width * scale) / 2;
  const top = (height - image.height * scale) / 2;
  const placed = entry.boxes.map((box) => {
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
  const text = svg("text", { fill: ink });
  text.textContent = words;
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
  if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
  const typing = event.target.matches("input, select, textarea");
  if (typing) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const viewing = byId("view").open;
  const at = viewing ? opened : current;
  const step = (by) => {
    const to = at < 0 ? page * PAGE : at + by;
    if (viewing) { if (shown[to]) openView(to); } else go(to);
  };
  const actions = {
    j: () => step(1), ArrowRight: () => step(1), k: () => step(-1), ArrowLeft: () => step(-1),
    b: () => document.body.classList.toggle("no-boxes"),
    "?": () => byId("help").showModal(),
  };
  if (!viewing) {
    Object.assign(actions, {
      "/": () => byId("search").focus(), "[": () => turn(-1), "]": () => turn(1),
    });
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
/** At most once a frame, however fast somebody types or drags. */
function soon(changes) {
  Object.assign(wanted, changes);
  cancelAnimationFrame(waiting);
  waiting = requestAnimationFrame(() => filter({}));
}

byId("filters").addEventListener("submit", (event) => event.preventDefault());
byId("search").addEventListener("input", (event) => soon({ text: event.target.value }));
byId("score").addEventListener("input", (event) => soon({ score: Number(event.target.value) }));
byId("label").addEventListener("change", (event) => filter({ label: Number(event.target.value) }));
byId("status").addEventListener("change", (event) => filter({ status: event.target.value }));
byId("sort").addEventListener("change", (event) => filter({ sort: event.target.value }));
byId("reset").addEventListener("click", () => filter({ text: "", label: -1, status: "", score: 0, sort: "name" }));
byId("keys").addEventListener("click", () => byId("help").showModal());
byId("failures-only").addEventListener("click", () => { filter({ status: "failed" }); byId("images").scrollIntoView(); });
for (const button of document.querySelectorAll("[data-turn]")) button.addEventListener("click", () => turn(Number(button.dataset.turn)));
byId("close").addEventListener("click", () => byId("view").close());
byId("previous").addEventListener("click", () => openView(opened - 1));
byId("next").addEventListener("click", () => openView(opened + 1));
byId("view").addEventListener("click", (event) => { if (event.target === byId("view")) byId("view").close(); });
byId("view").addEventListener("close", () => { const back = opened; opened = -1; go(back); });
byId("stage").addEventListener("click", () => document.body.classList.toggle("no-boxes"));
new ResizeObserver(showMarks).observe(byId("stage"));
document.addEventListener("keydown", pressed);

showRun();
filter({});
