const data = JSON.parse(document.getElementById("data").textContent);
const filters = { recipe: at("recipe"), split: at("split"), asset: at("asset"), state: at("state"), sort: at("sort"), order: at("order") };
const viewer = at("viewer");
const grid = at("pairs").firstElementChild;
let listed = data.pairs;
let current = null;

// --- A review: what a person said of pairs. Kept by the browser under the dataset's name, and saved as a file. -------
const FORMAT = "pairbridge-review/1";
const STORED = `${FORMAT} ${data.dataset}`;
const verdicts = new Map();
const tags = new Map();

function asReview() {
  const of = (wanted) => [...verdicts].filter(([, verdict]) => verdict === wanted).map(([key]) => key).sort();
  return { format: FORMAT, dataset: data.dataset, accepted: of("accepted"), rejected: of("rejected"), tags: Object.fromEntries([...tags].sort()) };
}

function takeReview(review) {
  if (review.format !== FORMAT) throw new Error(`it is no ${FORMAT}`);
  if (review.dataset !== data.dataset) throw new Error(`it is of the dataset ${review.dataset}`);
  verdicts.clear();
  tags.clear();
  for (const key of review.accepted) verdicts.set(key, "accepted");
  for (const key of review.rejected) verdicts.set(key, "rejected");
  for (const [key, words] of Object.entries(review.tags || {})) tags.set(key, words);
}

function reviewed() {
  let kept = "";
  try {
    localStorage.setItem(STORED, JSON.stringify(asReview()));
  } catch {
    kept = "; this browser does not keep them: save the review before you leave";
  }
  const { accepted, rejected } = asReview();
  at("reviewed").textContent = `${accepted.length} accepted, ${rejected.length} rejected, ${tags.size} tagged${kept}`;
}

function decide(pair, verdict) {
  if (verdict) verdicts.set(pair.key, verdict);
  else verdicts.delete(pair.key);
}

function toggle(pair, verdict) {
  decide(pair, verdicts.get(pair.key) === verdict ? null : verdict);
  reviewed();
  const place = listed.indexOf(pair);
  if (cards.has(place)) showVerdict(cards.get(place), pair);
  if (current === pair) showCurrentVerdict();
}

function decideListed(verdict) {
  for (const pair of listed) decide(pair, verdict);
  reviewed();
  list();
}

// --- What was drawn: every parameter of the pairs, as numbers or as words. --------------------------------------------
function* leaves(value, path) {
  if (Array.isArray(value)) {
    // A matrix follows from what was drawn.
    if (Array.isArray(value[0])) return;
    // Things in a list are alike; the numbers of a vector each mean something of their own.
    for (const [place, one] of value.entries()) yield* leaves(one, typeof one === "object" ? `${path}[]` : `${path}[${place}]`);
  } else if (value && typeof value === "object") {
    for (const [name, one] of Object.entries(value)) yield* leaves(one, path ? `${path}.${name}` : name);
  } else if (value !== null) yield [path, value];
}

function drawnOf(pair) {
  const found = [...Object.entries(pair.figures), ...leaves(pair.meta.params || {}, "")];
  for (const asset of pair.meta.assets) found.push([`asset: ${asset.role}`, asset.id]);
  for (const name of ["mask_source", "relighter", "draw"]) if (pair.meta[name] !== undefined) found.push([name, pair.meta[name]]);
  return found;
}

function collected(pairs) {
  const found = new Map();
  for (const pair of pairs) {
    for (const [path, value] of drawnOf(pair)) {
      if (!found.has(path)) found.set(path, []);
      found.get(path).push(value);
    }
  }
  return found;
}

function short(number) {
  return Number.isInteger(number) && Math.abs(number) < 1e6 ? String(number) : number.toPrecision(3);
}

function histogram(path, values) {
  const sorted = [...values].sort((a, b) => a - b);
  const [low, high, median] = [sorted[0], sorted[sorted.length - 1], sorted[sorted.length >> 1]];
  const bins = new Array(20).fill(0);
  for (const value of values) bins[Math.min(bins.length - 1, Math.floor((bins.length * (value - low)) / (high - low)))] += 1;
  const most = Math.max(...bins);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const set = (node, facts) => { for (const [name, value] of Object.entries(facts)) node.setAttribute(name, value); return node; };
  set(svg, { viewBox: "0 0 200 50", preserveAspectRatio: "none", role: "img", "aria-label": `Histogram of ${path}: ${values.length} values from ${short(low)} to ${short(high)}, median ${short(median)}` });
  bins.forEach((count, place) => {
    if (!count) return;
    const height = Math.max(1.5, (50 * count) / most);
    svg.append(set(document.createElementNS(svg.namespaceURI, "rect"), { x: place * 10 + 0.6, width: 8.8, y: 50 - height, height }));
  });
  const ends = element("div", { className: "ends" }, ...[low, high].map((value) => element("span", { textContent: short(value) })));
  return element("li", {}, element("h4", { textContent: path }), element("small", { textContent: `${values.length} values, median ${short(median)}` }), svg, ends);
}

function tally(path, values) {
  const counts = new Map();
  for (const value of values) counts.set(String(value), (counts.get(String(value)) || 0) + 1);
  const ordered = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  const rows = ordered.slice(0, 8).map(([value, count]) => {
    const row = element("li", { title: value }, element("span", { textContent: value }), element("span", { textContent: count }));
    row.style.setProperty("--part", `${(100 * count) / ordered[0][1]}%`);
    return row;
  });
  const rest = ordered.length > 8 ? `, ${ordered.length - 8} more not shown` : "";
  return element("li", {}, element("h4", { textContent: path }), element("small", { textContent: `${values.length} values, ${ordered.length} different${rest}` }), element("ul", { className: "values" }, ...rows));
}

function draw() {
  if (!at("drawn").open) return;
  const parts = [];
  for (const recipe of [...new Set(listed.map((pair) => pair.recipe))].sort()) {
    const own = listed.filter((pair) => pair.recipe === recipe);
    const charts = [];
    const constant = [];
    for (const [path, values] of collected(own)) {
      if (values.every((value) => value === values[0])) constant.push(`${path} ${typeof values[0] === "number" ? short(values[0]) : values[0]}`);
      else charts.push((values.every((value) => typeof value === "number") ? histogram : tally)(path, values));
    }
    parts.push(element("h3", { textContent: `${recipe}: ${own.length} pairs` }), element("ul", { className: "charts" }, ...charts));
    if (constant.length) parts.push(element("p", { className: "note", textContent: `The same in all of them: ${constant.join(", ")}` }));
  }
  at("charts").replaceChildren(...parts);
}

// --- The list. Cards exist for what is in view and a little around it, so that thousands of pairs cost no more. ------
const GAP = 16;
const TEXT = 84;
const AROUND = 3;
const cards = new Map();
let columns = 1;
let row = 300;

function picture(field, key, file) {
  const image = element("img", { src: file, alt: `${field.name} of ${key}`, loading: "lazy", width: field.width, height: field.height });
  image.classList.toggle("small", Math.max(field.width, field.height) < SMALL);
  return image;
}

function showVerdict(item, pair) {
  const verdict = verdicts.get(pair.key);
  item.classList.toggle("rejected", verdict === "rejected");
  item.querySelector(".accept").setAttribute("aria-pressed", verdict === "accepted");
  item.querySelector(".reject").setAttribute("aria-pressed", verdict === "rejected");
  item.querySelector(".words").textContent = (tags.get(pair.key) || []).join(", ");
}

function verdictButton(pair, name, verdict) {
  const button = element("button", { type: "button", className: name.toLowerCase(), textContent: name, ariaLabel: `${name} ${pair.key}` });
  button.addEventListener("click", () => toggle(pair, verdict));
  return button;
}

function card(pair, place) {
  const tiles = element("span", { className: "two" });
  for (const field of pair.fields) if (field.thumbnail) tiles.append(picture(field, pair.key, field.thumbnail));
  const from = pair.assets.join(", ");
  const item = element(
    "li", {},
    element("a", { href: `#${pair.key}` }, tiles, element("span", { className: "key", textContent: pair.key, title: pair.key }),
      element("span", { className: "from", textContent: from, title: from })),
    element("div", { className: "verdict" }, verdictButton(pair, "Accept", "accepted"), verdictButton(pair, "Reject", "rejected"), element("span", { className: "words" })),
  );
  item.setAttribute("aria-posinset", place + 1);
  item.setAttribute("aria-setsize", listed.length);
  showVerdict(item, pair);
  return item;
}

function measure() {
  const width = grid.clientWidth;
  const tiles = listed.length ? Math.max(1, ...listed.slice(0, 50).map((pair) => pair.fields.filter((field) => field.thumbnail).length)) : 2;
  columns = Math.max(1, Math.floor((width + GAP) / (tiles * 135 + GAP)));
  row = Math.ceil(((width + GAP) / columns - GAP) / tiles) + TEXT + GAP;
  grid.style.setProperty("--columns", columns);
  grid.style.setProperty("--row", `${row - GAP}px`);
}

function scrolled() {
  const rows = Math.ceil(listed.length / columns);
  const top = -grid.getBoundingClientRect().top;
  const first = Math.min(Math.max(0, Math.floor(top / row) - AROUND), Math.max(0, rows - 1));
  const last = Math.max(first, Math.min(rows, Math.ceil((top + innerHeight) / row) + AROUND));
  const [from, to] = [first * columns, Math.min(listed.length, last * columns)];
  for (const [place, item] of cards) {
    if (place >= from && place < to) continue;
    item.remove();
    cards.delete(place);
  }
  let after = null;
  // Cards that stay are not moved: that would take the focus away.
  for (let place = to - 1; place >= from; place -= 1) {
    if (!cards.has(place)) {
      cards.set(place, card(listed[place], place));
      grid.insertBefore(cards.get(place), after);
    }
    after = cards.get(place);
  }
  grid.style.paddingTop = `${first * row}px`;
  grid.style.paddingBottom = `${Math.max(0, rows - last) * row}px`;
}

function relist() {
  grid.replaceChildren();
  cards.clear();
  measure();
  scrolled();
}

function reveal(pair) {
  const place = listed.indexOf(pair);
  if (place < 0) return;
  if (!cards.has(place)) {
    scrollTo(0, scrollY + grid.getBoundingClientRect().top + Math.floor(place / columns) * row - innerHeight / 3);
    scrolled();
  }
  const item = cards.get(place);
  if (item) item.querySelector("a").focus();
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

function isInState(pair) {
  const state = filters.state.value;
  return !state || state === "pairs" || (verdicts.get(pair.key) || "undecided") === state;
}

function sorted(pairs) {
  const [path, sign] = [filters.sort.value, Number(filters.order.value)];
  if (!path) return sign > 0 ? pairs : [...pairs].reverse();
  const value = new Map(pairs.map((pair) => [pair, (drawnOf(pair).find(([name]) => name === path) || [])[1]]));
  // Pairs without the parameter come last, whichever way.
  const [having, others] = [pairs.filter((pair) => value.get(pair) !== undefined), pairs.filter((pair) => value.get(pair) === undefined)];
  return [...having.sort((a, b) => sign * (value.get(a) - value.get(b))), ...others];
}

function list() {
  const state = filters.state.value;
  listed = state === "holes" ? [] : sorted(data.pairs.filter((pair) => isInState(pair) && matches(pair, [...pair.assets, ...(tags.get(pair.key) || [])])));
  // Where no asset is known to be at fault, the reason names those that were used.
  const holes = state && state !== "holes" ? [] : data.holes.filter((entry) => matches(entry, [entry.asset || "", entry.reason]));
  relist();
  draw();
  at("holes").querySelector("ul").replaceChildren(...holes.map(hole));
  at("holes").hidden = holes.length === 0;
  at("nothing").hidden = listed.length + holes.length > 0;
  at("shown").textContent = `${listed.length} pairs, ${holes.length} quarantined`;
}

// --- One pair. ------------------------------------------------------------------------------------------------------
function showCurrentVerdict() {
  const verdict = verdicts.get(current.key);
  at("accept").setAttribute("aria-pressed", verdict === "accepted");
  at("reject").setAttribute("aria-pressed", verdict === "rejected");
}

function show(pair) {
  current = pair;
  // What a model made is looked at beside what it should have made.
  const names = pair.fields.map((field) => field.name);
  compare(pair.key, pair.fields, names.includes("output") ? [names.indexOf("output"), names.indexOf("output") - 1] : [0, 1]);
  at("viewer-key").textContent = pair.key;
  const place = listed.indexOf(pair);
  at("place").textContent = place < 0 ? "" : `${place + 1} of ${listed.length}`;
  at("previous").disabled = place <= 0;
  at("next").disabled = place < 0 || place === listed.length - 1;
  showCurrentVerdict();
  at("tags").value = (tags.get(pair.key) || []).join(", ");
  at("fields").replaceChildren(...pair.fields.map((field) => element(
    "a", { href: field.file, target: "_blank", title: `${field.name}, ${field.width} × ${field.height} pixels: open the file` },
    picture(field, pair.key, field.file), field.name,
  )));
  const meta = pair.meta;
  const facts = { Recipe: pair.recipe, Kind: meta.kind, Split: pair.split, Group: meta.group, Draw: meta.draw, Mask: meta.mask_source, Relighter: meta.relighter, ...pair.figures };
  at("facts").replaceChildren(...Object.entries(facts).filter(([, value]) => value !== undefined).map(
    ([name, value]) => element("div", {}, element("dt", { textContent: name }), element("dd", { textContent: value })),
  ));
  at("used").tBodies[0].replaceChildren(...meta.assets.map((asset) => element(
    "tr", {}, ...["role", "id", "licence", "author"].map((name) => element("td", { textContent: asset[name] ?? "" })),
  )));
  at("meta").querySelector("pre").textContent = JSON.stringify(meta, null, 2);
  if (!viewer.open) {
    setCut(50);
    setZoom(0);
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

at("filters").addEventListener("input", list);
at("filters").addEventListener("reset", () => setTimeout(list));
at("filters").addEventListener("submit", (event) => event.preventDefault());
at("drawn").addEventListener("toggle", draw);
at("accept-listed").addEventListener("click", () => decideListed("accepted"));
at("reject-listed").addEventListener("click", () => decideListed("rejected"));
at("forget-listed").addEventListener("click", () => decideListed(null));
at("save").addEventListener("click", () => {
  const url = URL.createObjectURL(new Blob([JSON.stringify(asReview(), null, 1)], { type: "application/json" }));
  element("a", { href: url, download: "review.json" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
  at("said").textContent = "Saved as review.json. In a mix, exclude: review.json leaves out what is rejected, keep: review.json uses only what is accepted.";
});
at("open").addEventListener("change", async () => {
  const [file] = at("open").files;
  if (!file) return;
  try {
    takeReview(JSON.parse(await file.text()));
    at("said").textContent = `Opened ${file.name}.`;
    reviewed();
    list();
  } catch (error) {
    at("said").textContent = `${file.name} cannot be used: ${error.message}`;
  }
  at("open").value = "";
});
at("previous").addEventListener("click", () => step(-1));
at("next").addEventListener("click", () => step(1));
at("close").addEventListener("click", () => viewer.close());
at("accept").addEventListener("click", () => toggle(current, "accepted"));
at("reject").addEventListener("click", () => toggle(current, "rejected"));
at("tags").addEventListener("input", () => {
  const words = at("tags").value.split(",").map((word) => word.trim()).filter(Boolean);
  if (words.length) tags.set(current.key, words);
  else tags.delete(current.key);
  reviewed();
  const item = cards.get(listed.indexOf(current));
  if (item) showVerdict(item, current);
});
viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
// Of the document: a button that has just been disabled takes the focus out of the viewer.
addEventListener("keydown", (event) => {
  if (!viewer.open || isTyping(event)) return;
  if (event.key === "n") step(1);
  if (event.key === "p") step(-1);
  if (event.key === "a") toggle(current, "accepted");
  if (event.key === "x") toggle(current, "rejected");
});
viewer.addEventListener("close", () => {
  // The event comes a frame after the closing: by then another pair may have been asked for, or shown.
  if (viewer.open) return;
  if (location.hash === `#${current.key}`) history.replaceState(null, "", "#");
  reveal(current);
});
addEventListener("hashchange", follow);
addEventListener("scroll", scrolled, { passive: true });
let width = 0;
new ResizeObserver(() => {
  if (grid.clientWidth === width) return;
  width = grid.clientWidth;
  relist();
}).observe(grid);

try {
  takeReview(JSON.parse(localStorage.getItem(STORED)));
} catch {
  // Nothing is kept, or it cannot be read: the review begins empty.
}
// Parameters that every pair of a recipe has once can be sorted by.
for (const path of [...collected(data.pairs)].filter(([, values]) => values.every((value) => typeof value === "number")).map(([name]) => name)) {
  filters.sort.append(element("option", { textContent: path, value: path }));
}
reviewed();
list();
follow();
