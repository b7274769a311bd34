"use strict";
// Whatever the data holds reaches the document by textContent and properties, never as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const filters = { recipe: at("recipe"), split: at("split"), asset: at("asset"), state: at("state") };
const viewer = at("viewer");
const stage = at("stage");
// Below this an image is shown with its pixels as squares, as it is, not blurred.
const SMALL = 200;
let listed = data.pairs;
let current = null;

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function picture(field, key, file) {
  const image = element("img", { src: file, alt: `${field.name} of ${key}`, loading: "lazy", width: field.width, height: field.height });
  image.classList.toggle("small", Math.max(field.width, field.height) < SMALL);
  return image;
}

function card(pair) {
  const tiles = element("span", { className: "two" });
  for (const field of pair.fields.slice(0, 2)) tiles.append(picture(field, pair.key, field.thumbnail));
  const from = pair.assets.join(", ");
  return element(
    "li", {},
    element("a", { href: `#${pair.key}` }, tiles, element("span", { className: "key", textContent: pair.key }),
      element("span", { className: "from", textContent: from, title: from })),
  );
}

function hole(entry) {
  const about = [entry.fault, entry.asset && `asset ${entry.asset}`, entry.gate && `gate ${entry.gate}`].filter(Boolean).join(", ");
  return element(
    "li", {},
    element("span", { className: "key", textContent: entry.key }),
    element("span", { className: "why" }, entry.reason, element("small", { textContent: about })),
  );
}

function matches(entry, names) {
  const wanted = filters.asset.value.trim().toLowerCase();
  return (!filters.recipe.value || entry.recipe === filters.recipe.value)
    && (!filters.split.value || entry.split === filters.split.value)
    && (!wanted || [entry.key, ...names].some((name) => name.toLowerCase().includes(wanted)));
}

function list() {
  const state = filters.state.value;
  listed = state === "holes" ? [] : data.pairs.filter((pair) => matches(pair, pair.assets));
  // Where no asset is known to be at fault, the reason names those that were used.
  const holes = state === "pairs" ? [] : data.holes.filter((entry) => matches(entry, [entry.asset || "", entry.reason]));
  at("pairs").firstElementChild.replaceChildren(...listed.map(card));
  at("holes").querySelector("ul").replaceChildren(...holes.map(hole));
  at("holes").hidden = holes.length === 0;
  at("nothing").hidden = listed.length + holes.length > 0;
  at("shown").textContent = `${listed.length} pairs, ${holes.length} quarantined`;
}

function setCut(percent) {
  at("cut").value = percent;
  stage.style.setProperty("--cut", `${at("cut").value}%`);
}

function side(which) {
  const field = current.fields.find((one) => one.name === at(`${which}-field`).value);
  const image = at(which);
  image.src = field.file;
  image.alt = `${field.name} of ${current.key}`;
  image.classList.toggle("small", Math.max(field.width, field.height) < SMALL);
  at(`${which}-tag`).textContent = field.name;
  if (which === "left") {
    at("compare").style.setProperty("--w", field.width);
    at("compare").style.setProperty("--h", field.height);
  }
}

function show(pair) {
  // Left and right stay what they were chosen to be where the next pair has these fields too.
  const names = pair.fields.map((field) => field.name);
  const before = ["left", "right"].map((which) => at(`${which}-field`).value);
  current = pair;
  ["left", "right"].forEach((which, number) => {
    const select = at(`${which}-field`);
    select.replaceChildren(...names.map((name) => element("option", { textContent: name })));
    select.value = names.includes(before[number]) ? before[number] : names[Math.min(number, names.length - 1)];
    side(which);
  });
  at("viewer-key").textContent = pair.key;
  const place = listed.indexOf(pair);
  at("place").textContent = place < 0 ? "" : `${place + 1} of ${listed.length}`;
  at("previous").disabled = place <= 0;
  at("next").disabled = place < 0 || place === listed.length - 1;
  at("fields").replaceChildren(...pair.fields.map((field) => element(
    "a", { href: field.file, target: "_blank", title: `${field.name}, ${field.width} × ${field.height} pixels: open the file` },
    picture(field, pair.key, field.file), field.name,
  )));
  const meta = pair.meta;
  const facts = { Recipe: pair.recipe, Kind: meta.kind, Split: pair.split, Group: meta.group, Draw: meta.draw, Mask: meta.mask_source, Relighter: meta.relighter };
  at("facts").replaceChildren(...Object.entries(facts).filter(([, value]) => value !== undefined).map(
    ([name, value]) => element("div", {}, element("dt", { textContent: name }), element("dd", { textContent: value })),
  ));
  at("used").tBodies[0].replaceChildren(...meta.assets.map((asset) => element(
    "tr", {}, ...["role", "id", "licence", "author"].map((name) => element("td", { textContent: asset[name] ?? "" })),
  )));
  at("meta").querySelector("pre").textContent = JSON.stringify(meta, null, 2);
  if (!viewer.open) {
    setCut(50);
    viewer.showModal();
    at("cut").focus();
  }
}

function follow() {
  const pair = data.pairs.find((one) => `#${one.key}` === location.hash);
  if (pair) show(pair);
  else if (viewer.open) viewer.close();
}

function step(by) {
  const next = listed[listed.indexOf(current) + by];
  if (next) location.replace(`#${next.key}`);
}

function drag(event) {
  const box = stage.getBoundingClientRect();
  setCut(Math.round((100 * (event.clientX - box.left)) / box.width));
}

at("filters").addEventListener("input", list);
at("filters").addEventListener("reset", () => setTimeout(list));
at("filters").addEventListener("submit", (event) => event.preventDefault());
at("cut").addEventListener("input", () => setCut(at("cut").value));
for (const which of ["left", "right"]) at(`${which}-field`).addEventListener("change", () => side(which));
stage.addEventListener("pointerdown", (event) => { stage.setPointerCapture(event.pointerId); drag(event); });
stage.addEventListener("pointermove", (event) => { if (stage.hasPointerCapture(event.pointerId)) drag(event); });
at("previous").addEventListener("click", () => step(-1));
at("next").addEventListener("click", () => step(1));
at("close").addEventListener("click", () => viewer.close());
viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
// Of the document: a button that has just been disabled takes the focus out of the viewer.
addEventListener("keydown", (event) => {
  if (!viewer.open || event.target.tagName === "SELECT" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "n") step(1);
  if (event.key === "p") step(-1);
});
viewer.addEventListener("close", () => {
  // The event comes a frame after the closing: by then another pair may have been asked for, or shown.
  if (viewer.open) return;
  if (location.hash === `#${current.key}`) history.replaceState(null, "", "#");
  const card = document.querySelector(`.grid a[href="#${current.key}"]`);
  if (card) card.focus();
});
addEventListener("hashchange", follow);
list();
follow();
