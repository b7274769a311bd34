// The lamps of a light map: dragged, or moved by keys. `element`, `props`, `trigger` and `watch` are gradio's.
// The value is the list that `lamp_canvas.py` reads; what is painted here is its preview.
const MOST = 8;
const SIGMA = 0.08; // as in light_maps.py
const sky = element.querySelector(".sky");
const canvas = element.querySelector("canvas");
const part = (name) => element.querySelector("." + name);
let lamps = [];
let chosen = 0;

const rgb = (lamp) => [1, 3, 5].map((at) => parseInt(lamp.colour.slice(at, at + 2), 16) * lamp.brightness);

function paint() {
  const { width, height } = canvas;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const shown = lamps.map((lamp) => {
    const spread = (lamp.softness_deg * Math.PI) / 180;
    return { lamp, colour: rgb(lamp), twice: 2 * (SIGMA ** 2 + (spread / 2) ** 2) };
  });
  for (let row = 0; row < height; row++) {
    const v = 1 - ((row + 0.5) / height) * 2;
    for (let column = 0; column < width; column++) {
      const u = ((column + 0.5) / width) * 2 - 1;
      const at = 4 * (row * width + column);
      for (const { lamp, colour, twice } of shown) {
        const share = Math.exp(-((u - lamp.u) ** 2 + (v - lamp.v) ** 2) / twice);
        for (let channel = 0; channel < 3; channel++) image.data[at + channel] += share * colour[channel];
      }
      image.data[at + 3] = 255;
    }
  }
  context.putImageData(image, 0, 0);
}

function where(lamp) {
  const words = [];
  if (lamp.v > 0.15) words.push("above");
  if (lamp.v < -0.15) words.push("below");
  if (lamp.u < -0.15) words.push("the left");
  if (lamp.u > 0.15) words.push("the right");
  const radius = Math.hypot(lamp.u, lamp.v);
  const depth = radius < 0.6 ? "in front" : radius < 0.8 ? "the side" : "behind";
  return words.length ? `from ${words.join(" and ")}, ${depth === "the side" ? "sideways" : depth}` : "from the camera";
}

function show() {
  chosen = Math.max(0, Math.min(chosen, lamps.length - 1));
  const handles = [...sky.querySelectorAll(".lamp")];
  while (handles.length > lamps.length) handles.pop().remove();
  while (handles.length < lamps.length) handles.push(handle(handles.length));
  lamps.forEach((lamp, index) => {
    const one = handles[index];
    one.style.left = `${50 * (1 + lamp.u)}%`;
    one.style.top = `${50 * (1 - lamp.v)}%`;
    one.setAttribute("aria-pressed", String(index === chosen));
    one.setAttribute("aria-label", `Lamp ${index + 1} of ${lamps.length}, ${where(lamp)}`);
  });
  const lamp = lamps[chosen];
  part("where").textContent = lamp ? `Lamp ${chosen + 1} of ${lamps.length}: ${where(lamp)}` : "No lamp: darkness";
  for (const name of ["colour", "brightness", "softness"]) part(name).disabled = !lamp;
  part("remove").disabled = !lamp;
  part("add").disabled = lamps.length >= MOST;
  if (lamp) {
    part("colour").value = lamp.colour;
    part("brightness").value = lamp.brightness;
    part("softness").value = lamp.softness_deg;
  }
  paint();
}

function tell() {
  props.value = JSON.stringify(lamps);
  show();
}

function move(index, u, v) {
  const beyond = Math.max(1, Math.hypot(u, v));
  lamps[index] = { ...lamps[index], u: u / beyond, v: v / beyond };
}

function handle(index) {
  const one = document.createElement("button");
  one.type = "button";
  one.className = "lamp";
  one.textContent = index + 1;
  one.addEventListener("focus", () => { chosen = index; show(); });
  one.addEventListener("pointerdown", (event) => {
    one.setPointerCapture(event.pointerId);
    one.focus();
    event.preventDefault();
  });
  one.addEventListener("pointermove", (event) => {
    if (!one.hasPointerCapture(event.pointerId)) return;
    const box = sky.getBoundingClientRect();
    move(index, (2 * (event.clientX - box.left)) / box.width - 1, 1 - (2 * (event.clientY - box.top)) / box.height);
    show();
  });
  one.addEventListener("lostpointercapture", tell);
  one.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? 0.2 : 0.05;
    const way = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] }[event.key];
    if (way) move(index, lamps[index].u + way[0], lamps[index].v + way[1]);
    else if (event.key === "Delete") lamps.splice(index, 1);
    else return;
    event.preventDefault();
    tell();
  });
  sky.append(one);
  return one;
}

part("add").addEventListener("click", () => {
  lamps.push({ u: 0.4, v: 0.4, softness_deg: 10, colour: "#ffffff", brightness: 0.7 });
  chosen = lamps.length - 1;
  tell();
});
part("remove").addEventListener("click", () => { lamps.splice(chosen, 1); tell(); });
for (const [name, key, read] of [["colour", "colour", String], ["brightness", "brightness", Number],
  ["softness", "softness_deg", Number]]) {
  part(name).addEventListener("input", (event) => {
    lamps[chosen] = { ...lamps[chosen], [key]: read(event.target.value) };
    show();
  });
  part(name).addEventListener("change", tell);
}

function take() {
  lamps = JSON.parse(props.value);
  show();
}
watch("value", take);
take();
