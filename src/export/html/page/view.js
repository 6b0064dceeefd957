// The large view, and the start.
"use strict";

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
  linkFile(original(entry.index), "Open the image");
  showBoxes(image, entry);
  const answer = byId("view-answer");
  answer.hidden = !image.answer;
  answer.querySelector("pre").textContent = image.answer || "";
  showPicture(entry.index, whyMissing(image), () => shown[opened]?.index === entry.index);
  showView();
}

function openNeighbour(by) {
  openView(opened + by);
}

function showMarks() {
  const entry = shown[opened];
  drawMarks(entry && data.images[entry.index], entry?.boxes);
}

/** The table of all boxes; those that the filters leave out are pale. */
function showBoxes(image, entry) {
  const rows = image.boxes.map((box) => {
    const row = element("tr", entry.boxes.includes(box) ? {} : { class: "filtered" },
      element("td", {}, element("span", {}, swatch(box.label), foreign(data.labels[box.label].name))),
      element("td", {}, box.score === null ? "–" : box.score.toFixed(3)),
      element("td", {}, box.bbox.map((side) => Math.round(side)).join(", ")));
    lights(row, entry.boxes.indexOf(box));
    return row;
  });
  byId("view-boxes").hidden = rows.length === 0;
  byId("view-boxes").tBodies[0].replaceChildren(...rows);
}

/** None but those of every page. */
/** Keys of the grid and of the large view. */
function keysEverywhere() {
  return {};
}

function moreKeys() {
  return {};
}

// ---- start ----

byId("search").addEventListener("input", (event) => soon({ text: event.target.value }));
byId("score").addEventListener("input", (event) => soon({ score: Number(event.target.value) }));
byId("label").addEventListener("change", (event) => filter({ label: Number(event.target.value) }));
byId("status").addEventListener("change", (event) => filter({ status: event.target.value }));
byId("sort").addEventListener("change", (event) => filter({ sort: event.target.value }));
byId("reset").addEventListener("click", () => filter({ text: "", label: -1, status: "", score: 0, sort: "name" }));
byId("failures-only").addEventListener("click", () => { filter({ status: "failed" }); toGrid(); });
byId("view").addEventListener("close", () => { const back = opened; opened = -1; go(back); });

showRun();
filter({});
