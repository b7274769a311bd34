"use strict";
// Whatever the data holds reaches the document by textContent and properties, never as markup.
const at = (id) => document.getElementById(id);
const stage = at("stage");
// Below this an image is shown with its pixels as squares, as it is, not blurred.
const SMALL = 200;
const ZOOMS = [1, 1.5, 2, 3, 4, 6, 8];
// What is compared: {name, fields: [{name, file, width, height}]}.
let compared = null;
let zoomed = 0;

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function setCut(percent) {
  at("cut").value = percent;
  stage.style.setProperty("--cut", `${at("cut").value}%`);
}

function setZoom(place) {
  const frame = at("frame");
  const centre = [frame.scrollLeft + frame.clientWidth / 2, frame.scrollTop + frame.clientHeight / 2];
  const before = ZOOMS[zoomed];
  zoomed = Math.max(0, Math.min(ZOOMS.length - 1, place));
  const zoom = ZOOMS[zoomed];
  stage.style.setProperty("--zoom", zoom);
  stage.classList.toggle("enlarged", zoom > 1);
  at("zoom").textContent = `${Math.round(100 * zoom)} %`;
  at("zoom-out").disabled = zoomed === 0;
  at("zoom-in").disabled = zoomed === ZOOMS.length - 1;
  // What was in the middle stays there.
  frame.scrollLeft = (centre[0] * zoom) / before - frame.clientWidth / 2;
  frame.scrollTop = (centre[1] * zoom) / before - frame.clientHeight / 2;
}

function showSide(which) {
  const field = compared.fields.find((one) => one.name === at(`${which}-field`).value);
  const image = at(which);
  image.src = field.file;
  image.alt = `${field.name} of ${compared.name}`;
  image.classList.toggle("small", Math.max(field.width, field.height) < SMALL);
  at(`${which}-tag`).textContent = field.name;
  if (which === "left") {
    at("compare").style.setProperty("--w", field.width);
    at("compare").style.setProperty("--h", field.height);
  }
}

// Left and right stay what they were chosen to be where the next pair has these fields too.
function compare(name, fields, chosen = [0, 1]) {
  const names = fields.map((field) => field.name);
  compared = { name, fields };
  ["left", "right"].forEach((which, number) => {
    const select = at(`${which}-field`);
    const before = select.value;
    select.replaceChildren(...names.map((one) => element("option", { textContent: one })));
    select.value = names.includes(before) ? before : names[Math.min(chosen[number], names.length - 1)];
    showSide(which);
  });
}

function drag(event) {
  const box = stage.getBoundingClientRect();
  setCut(Math.round((100 * (event.clientX - box.left)) / box.width));
}

at("cut").addEventListener("input", () => setCut(at("cut").value));
for (const which of ["left", "right"]) at(`${which}-field`).addEventListener("change", () => showSide(which));
stage.addEventListener("pointerdown", (event) => {
  // A finger on an enlarged picture moves the picture; the range below moves the border.
  if (event.pointerType === "touch" && zoomed > 0) return;
  stage.setPointerCapture(event.pointerId);
  drag(event);
});
stage.addEventListener("pointermove", (event) => { if (stage.hasPointerCapture(event.pointerId)) drag(event); });
at("zoom-in").addEventListener("click", () => setZoom(zoomed + 1));
at("zoom-out").addEventListener("click", () => setZoom(zoomed - 1));

function isTyping(event) {
  return event.target.tagName === "SELECT" || (event.target.tagName === "INPUT" && event.target.type !== "range")
    || event.ctrlKey || event.metaKey || event.altKey;
}
addEventListener("keydown", (event) => {
  if (!document.querySelector("dialog[open]") || isTyping(event)) return;
  if (event.key === "+" || event.key === "=") setZoom(zoomed + 1);
  if (event.key === "-") setZoom(zoomed - 1);
});
setZoom(0);
