// A mask painted over the picture. `element`, `props` and `watch` are gradio's; `painted_mask.py` has the value.
// The canvas holds the mask itself, grey and opaque, so that what is read back is what was given; a filter tints it.
const image = element.querySelector("img");
const canvas = element.querySelector("canvas");
const context = canvas.getContext("2d", { willReadFrequently: true });
const tip = element.querySelector(".tip");
const part = (name) => element.querySelector("." + name);
let told = null; // the last value that was written here
let given = null; // the mask that painting began with
let strokes = [];
let open = null;
let erases = false;

function draw(stroke, from = 0) {
  context.strokeStyle = context.fillStyle = stroke.erases ? "#000" : "#fff";
  context.lineWidth = stroke.width;
  context.lineCap = context.lineJoin = "round";
  const points = stroke.points.slice(Math.max(0, from - 1));
  context.beginPath();
  context.moveTo(...points[0]);
  for (const point of points) context.lineTo(...point);
  context.stroke();
}

function redraw() {
  context.fillStyle = "#000";
  context.fillRect(0, 0, canvas.width, canvas.height);
  if (given) context.drawImage(given, 0, 0);
  strokes.forEach((stroke) => draw(stroke));
}

function marked() {
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  let some = 0;
  for (let at = 0; at < data.length; at += 4) some += data[at] > 0;
  return (4 * some) / data.length;
}

function label() {
  const share = marked();
  const words = share ? `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} % of the picture is marked` : "nothing is marked";
  canvas.setAttribute("aria-label", `Mask: ${words}`);
  part("undo").disabled = !strokes.length;
  part("clear").disabled = !share;
  return share;
}

function tell() {
  const mask = label() ? canvas.toDataURL("image/png") : "";
  told = JSON.stringify({ size_WH: [canvas.width, canvas.height], picture: "", mask });
  props.value = told;
}

function place(event) {
  const box = canvas.getBoundingClientRect();
  return [((event.clientX - box.left) / box.width) * canvas.width,
    ((event.clientY - box.top) / box.height) * canvas.height];
}

const width = () => Math.max(1, (part("size").value / 100) * Math.min(canvas.width, canvas.height));

function point(event) {
  const box = canvas.getBoundingClientRect();
  const across = (width() * box.width) / canvas.width;
  Object.assign(tip.style, { display: "block", left: `${event.clientX - box.left}px`, top: `${event.clientY - box.top}px`,
    width: `${across}px`, height: `${across}px` });
}

canvas.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  canvas.setPointerCapture(event.pointerId);
  open = { erases, width: width(), points: [place(event)] };
  strokes.push(open);
  draw(open);
  event.preventDefault();
});
canvas.addEventListener("pointermove", (event) => {
  point(event);
  if (!open) return;
  const known = open.points.length;
  for (const one of event.getCoalescedEvents?.() ?? []) open.points.push(place(one));
  if (open.points.length === known) open.points.push(place(event));
  draw(open, known);
});
canvas.addEventListener("lostpointercapture", () => {
  if (!open) return;
  open = null;
  tell();
});
canvas.addEventListener("pointerleave", () => { tip.style.display = "none"; });
function choose(eraser) {
  erases = eraser;
  part("brush").setAttribute("aria-pressed", String(!eraser));
  part("eraser").setAttribute("aria-pressed", String(eraser));
}
part("brush").addEventListener("click", () => choose(false));
part("eraser").addEventListener("click", () => choose(true));
part("undo").addEventListener("click", () => { strokes.pop(); redraw(); tell(); });
part("clear").addEventListener("click", () => { strokes = []; given = null; redraw(); tell(); });

async function take() {
  if (!props.value || props.value === told) return;
  told = props.value;
  const value = JSON.parse(told);
  if (value.picture) image.src = value.picture;
  let mask = null;
  if (value.mask) {
    mask = new Image();
    mask.src = value.mask;
    await mask.decode();
  }
  if (told !== props.value) return; // another came meanwhile
  [canvas.width, canvas.height] = value.size_WH;
  part("stage").style.setProperty("--aspect", canvas.width / canvas.height);
  [given, strokes, open] = [mask, [], null];
  redraw();
  label();
}
watch("value", take);
take();
