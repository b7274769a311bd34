const viewer = at("viewer");
const strips = [...document.querySelectorAll("button.tiles")];
let current = 0;

function show(place) {
  current = place;
  const tiles = [...strips[place].querySelectorAll("img")];
  const fields = tiles.map((image) => ({
    name: image.nextElementSibling.textContent, file: image.src,
    width: image.naturalWidth || image.width, height: image.naturalHeight || image.height,
  }));
  const names = fields.map((field) => field.name);
  // An output is looked at beside what it should be, or beside another run's.
  compare(strips[place].dataset.key, fields, names[2] === "mask" ? [0, 1] : [1, 2]);
  at("viewer-key").textContent = strips[place].dataset.key;
  at("place").textContent = `${place + 1} of ${strips.length}`;
  at("previous").disabled = place === 0;
  at("next").disabled = place === strips.length - 1;
  if (!viewer.open) {
    setCut(50);
    setZoom(0);
    viewer.showModal();
    at("cut").focus();
  }
}

function step(by) {
  if (strips[current + by]) show(current + by);
}

strips.forEach((strip, place) => strip.addEventListener("click", () => show(place)));
at("previous").addEventListener("click", () => step(-1));
at("next").addEventListener("click", () => step(1));
at("close").addEventListener("click", () => viewer.close());
viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
viewer.addEventListener("close", () => strips[current].focus());
addEventListener("keydown", (event) => {
  if (!viewer.open || isTyping(event)) return;
  if (event.key === "n") step(1);
  if (event.key === "p") step(-1);
});
