"use strict";
// The map page. It knows the service's addresses and nothing else; every text goes in as text, never as HTML.

const at = (id) => document.getElementById(id);
const state = { rows: [], row: null, layer: "classes", scale: 1, left: 0, top: 0, least: 1, asked: 0, mark: { left: 0, top: 0 } };
const percent = (share, digits = 0) => `${(100 * share).toFixed(digits)} %`;
const length = (share) => `${(100 * share).toFixed(2)}%`;

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store" });
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.error ? content.error.message : `The service answered ${answer.status}.`);
  return content;
}

// --- the champion ------------------------------------------------------------------------------

function showModel(said) {
  const [words, mood] = !said.ready ? ["no model", "bad"] : said.following ? ["serving", "good"] : ["last good", "warn"];
  at("badge").textContent = words;
  at("badge").className = `badge ${mood}`;
  at("model-name").textContent = said.model || "No model yet";
  at("model-number").textContent = said.number ? `number ${said.number}` : "";
  at("model-digest").textContent = said.bundle ? `graph ${said.bundle.file.sha256.slice(0, 12)} · ${said.contract.bands.length} bands` : "";
  at("model-message").hidden = said.following;
  at("model-message").textContent = said.message;
  showScore(said.evaluation);
  at("trust").hidden = !said.sets && !said.applicability;
  at("model-sets").textContent = said.sets ? said.sets.sentence : "";
  at("model-known").textContent = said.applicability ? said.applicability.sentence : "";
}

function showScore(evaluation) {
  const names = evaluation ? Object.keys(evaluation.scores) : [];
  const name = names.includes("overall_accuracy") ? "overall_accuracy" : names[0];
  at("score").hidden = !name;
  if (!name) return;
  const score = evaluation.scores[name];
  at("score-bar").style.width = length(score.value);
  at("score-low").style.left = length(score.low);
  at("score-high").style.left = length(score.high);
  const words = at("score-words");
  words.replaceChildren(
    element("b", score.value.toFixed(2)),
    ` ${name.replaceAll("_", " ")}, ${score.low.toFixed(2)} to ${score.high.toFixed(2)} from ${score.n_blocks} blocks held out on the ground.`,
  );
  const flattering = evaluation.optimism[name];
  if (flattering) words.append(` Random pixels would have said ${flattering.value.toFixed(2)}; that does not count.`);
}

// --- the list ----------------------------------------------------------------------------------

function showList() {
  at("nothing").hidden = state.rows.length > 0;
  at("predictions").replaceChildren(...state.rows.map((row) => {
    const item = element("li");
    const button = element("button");
    button.type = "button";
    button.setAttribute("aria-current", String(state.row !== null && row.id === state.row.id));
    const title = element("span", undefined, "title");
    title.append(element("span", row.name), element("span", when(row.at)));
    const shares = element("span", undefined, "shares");
    for (const entry of row.classes) {
      const part = element("i");
      part.style.width = length(entry.share);
      part.style.background = entry.colour;
      part.title = `${entry.name} ${percent(entry.share, 1)}`;
      shares.append(part);
    }
    const sure = row.mean_confidence === null ? "" : ` · ${percent(row.mean_confidence)} sure`;
    const size = `${(row.grid.width * row.grid.pixel_m / 1000).toFixed(1)} × ${(row.grid.height * row.grid.pixel_m / 1000).toFixed(1)} km`;
    const outside = row.outside_share === null ? "" : ` · ${percent(row.outside_share)} outside`;
    button.append(title, shares, element("small", `${size} · model ${row.number}${sure}${outside}`));
    button.addEventListener("click", () => choose(row));
    item.append(button);
    return item;
  }));
}

function when(text) {
  const date = new Date(text);
  const today = date.toDateString() === new Date().toDateString();
  return today ? date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }) : date.toLocaleDateString();
}

async function refresh() {
  try {
    showModel(await ask("/model"));
    const { predictions } = await ask("/predictions");
    const changed = predictions.map((row) => row.id).join() !== state.rows.map((row) => row.id).join();
    state.rows = predictions;
    if (changed) showList();
    const wanted = predictions.find((row) => row.id === location.hash.slice(1)) || predictions[0];
    if (state.row === null && wanted) choose(wanted);
  } catch (error) {
    at("badge").textContent = "no answer";
    at("badge").className = "badge bad";
    at("model-message").hidden = false;
    at("model-message").textContent = error instanceof TypeError ? "The service does not answer. It is asked again." : error.message;
  }
}

// --- the map -----------------------------------------------------------------------------------

function choose(row) {
  state.row = row;
  history.replaceState(null, "", `#${row.id}`);
  at("pixel").hidden = at("marker").hidden = true;
  for (const id of ["world", "controls", "ruler"]) at(id).hidden = false;
  at("blank").hidden = true;
  for (const id of ["picture", "overlay", "outside"]) {
    at(id).style.width = `${row.grid.width}px`;
    at(id).style.height = `${row.grid.height}px`;
  }
  at("picture").src = `/predictions/${row.id}/map.png?layer=image`;
  at("download").href = `/predictions/${row.id}/map.tif`;
  showLayer();
  showList();
  fit();
}

function showLayer() {
  const { row } = state;
  if (!row.layers.includes(state.layer)) state.layer = "classes";
  const { layer } = state;
  for (const button of document.querySelectorAll("[data-layer]")) {
    button.hidden = !row.layers.includes(button.dataset.layer);
    button.setAttribute("aria-checked", String(button.dataset.layer === layer));
  }
  at("overlay").hidden = layer === "image";
  at("opacity").disabled = layer === "image";
  if (layer !== "image") {
    at("overlay").src = `/predictions/${row.id}/map.png?layer=${layer}`;
    at("overlay").alt = `The map: ${layer.replace("_", " ")}`;
  }
  at("overlay").style.opacity = at("opacity").value / 100;
  showOutside();
  showLegend();
}

// What lies outside the area of applicability is hatched over whatever layer is shown.
function showOutside() {
  const { row } = state;
  const known = row.layers.includes("outside");
  at("hatching").hidden = !known;
  at("outside").hidden = !known || !at("hatch").checked;
  if (known) at("outside").style.maskImage = `url("/predictions/${row.id}/map.png?layer=outside")`;
}

function showLegend() {
  const { row, layer } = state;
  const legend = at("legend");
  legend.hidden = layer === "image";
  legend.replaceChildren();
  const parts = { classes: classLegend, confidence: confidenceLegend, set_size: setLegend, dissimilarity: farLegend };
  if (layer in parts) legend.append(...parts[layer](row));
  if (row.outside_share === null || layer === "image") return;
  const line = element("p", undefined, "outside");
  line.append(element("span", undefined, "hatch"), "Outside: unlike the samples", element("b", percent(row.outside_share, 1)));
  legend.append(line);
}

function classLegend(row) {
  const table = element("table");
  for (const entry of row.classes) {
    const line = table.insertRow();
    const swatch = element("span", undefined, "swatch");
    swatch.style.background = entry.colour;
    line.insertCell().append(swatch, entry.name);
    line.insertCell().textContent = percent(entry.share, 1);
  }
  return [element("h2", `${percent(row.valid_share, 1)} of the area answered`), table];
}

function ends(...words) {
  const line = element("div", undefined, "ends");
  line.append(...words.map((word) => element("span", word)));
  return line;
}

function confidenceLegend(row) {
  const sure = row.mean_confidence === null ? "" : `, ${percent(row.mean_confidence)} on average`;
  return [element("h2", `Probability of the class shown${sure}`), element("div", undefined, "ramp"), ends("0 %", "50 %", "100 %")];
}

function setLegend(row) {
  const steps = element("div", undefined, "steps");
  row.set_colours.forEach((colour, position) => {
    const step = element("span", String(position + 1), position * 2 < row.set_colours.length ? "pale" : "dark");
    step.style.background = colour;
    steps.append(step);
  });
  const promised = row.coverage === null ? "" : ` Promised to hold the true one ${percent(row.coverage)} of the time.`;
  return [element("h2", `Classes in a pixel's set, ${row.mean_set_size.toFixed(1)} on average.${promised}`), steps];
}

function farLegend() {
  const words = ends("none", "threshold", "2.5 times");
  words.classList.add("far");
  return [element("h2", "Dissimilarity to the samples the model learned from"), element("div", undefined, "ramp far"), words];
}

function place() {
  const { scale, left, top, row } = state;
  at("world").style.transform = `translate(${left}px, ${top}px) scale(${scale})`;
  at("world").classList.toggle("near", scale > 1.5);
  // The marker keeps its size on the screen, and frames exactly one pixel once pixels are larger than it.
  const edge = Math.max(1, 14 / scale);
  Object.entries({ left: state.mark.left + 0.5 - edge / 2, top: state.mark.top + 0.5 - edge / 2, width: edge, height: edge })
    .forEach(([name, value]) => { at("marker").style[name] = `${value}px`; });
  at("marker").style.borderWidth = `${2 / scale}px`;
  at("marker").style.boxShadow = `0 0 0 ${1.5 / scale}px #000, inset 0 0 0 ${1 / scale}px #000`;
  // Stripes keep their width on the screen, too.
  at("outside").style.setProperty("--stripe", `${2 / scale}px`);
  const metres = row.grid.pixel_m / scale;
  const rough = 120 * metres;
  const power = 10 ** Math.floor(Math.log10(rough));
  const round = [5, 2, 1].map((n) => n * power).find((n) => n <= rough);
  at("ruler-bar").style.width = `${round / metres}px`;
  at("ruler-words").textContent = round >= 1000 ? `${round / 1000} km` : `${round} m`;
}

function fit() {
  const { clientWidth: width, clientHeight: height } = at("stage");
  const { grid } = state.row;
  const margin = 24;
  state.scale = Math.min((width - 2 * margin) / grid.width, (height - 2 * margin) / grid.height, 8);
  state.least = state.scale / 3;
  state.left = (width - grid.width * state.scale) / 2;
  state.top = (height - grid.height * state.scale) / 2;
  place();
}

function zoom(factor, x = at("stage").clientWidth / 2, y = at("stage").clientHeight / 2) {
  if (!state.row) return;
  const scale = Math.min(64, Math.max(state.least, state.scale * factor));
  state.left = x - (x - state.left) * scale / state.scale;
  state.top = y - (y - state.top) * scale / state.scale;
  state.scale = scale;
  place();
}

function ground(event) {
  const box = at("stage").getBoundingClientRect();
  const { grid } = state.row;
  const col = (event.clientX - box.left - state.left) / state.scale;
  const line = (event.clientY - box.top - state.top) / state.scale;
  const inside = col >= 0 && line >= 0 && col < grid.width && line < grid.height;
  return { col, line, inside, easting: grid.left + col * grid.pixel_m, northing: grid.top - line * grid.pixel_m };
}

async function askPixel(point) {
  const { row } = state;
  const turn = ++state.asked;
  state.mark = { left: Math.floor(point.col), top: Math.floor(point.line) };
  at("marker").hidden = false;
  place();
  try {
    const said = await ask(`/predictions/${row.id}/at?easting=${point.easting}&northing=${point.northing}`);
    if (turn !== state.asked) return;
    const entry = row.classes.find((each) => each.name === said.class);
    at("pixel-swatch").style.background = entry ? entry.colour : "transparent";
    at("pixel-class").textContent = said.class || "no answer";
    at("pixel-confidence").textContent = said.confidence === null ? "" : `${percent(said.confidence)} sure`;
    at("pixel-place").textContent = `${said.easting.toFixed(0)} E  ${said.northing.toFixed(0)} N  ${row.grid.crs}`;
    showSet(said, row);
    showTrust(said);
    at("lineage").replaceChildren(...said.lineage.map((link) => {
      const item = element("li");
      item.append(element("b", link.kind), element("p", link.sentence.replace(said.trust, "").trim()), element("span", link.id, "mono"));
      return item;
    }));
    at("pixel").hidden = false;
  } catch (error) {
    refuse(error.message);
  }
}

function showSet(said, row) {
  const panel = at("pixel-set");
  panel.hidden = said.set === null;
  if (said.set === null) return;
  const others = said.set.filter((name) => name !== said.class);
  panel.replaceChildren(element("p", others.length ? "May also be" : "No other class in its set"));
  for (const name of others) {
    const entry = row.classes.find((each) => each.name === name);
    const chip = element("span", undefined, "chip");
    const swatch = element("span", undefined, "swatch");
    swatch.style.background = entry ? entry.colour : "transparent";
    chip.append(swatch, name);
    panel.append(chip);
  }
  if (said.coverage !== null) panel.append(element("small", `Such sets are promised to hold the true class ${percent(said.coverage)} of the time.`));
}

function showTrust(said) {
  at("pixel-trust").hidden = said.dissimilarity === null;
  if (said.dissimilarity === null) return;
  const most = said.dissimilarity >= 2.5;
  const times = `${Number(said.dissimilarity.toFixed(2))} times the threshold${most ? " or more" : ""}`;
  const near = said.density === null ? "" : `, ${said.density}${said.density >= 250 ? " or more" : ""} ${said.density === 1 ? "sample" : "samples"} near`;
  at("pixel-trust").className = said.outside ? "outside" : "inside";
  at("pixel-like").textContent = said.outside
    ? `Unlike anything the model learned from: ${times}.`
    : `Like what the model learned from: ${times}${near}.`;
  at("pixel-holds").textContent = said.outside ? "Neither its scores nor its sets are known to hold here." : "";
  at("scale-here").style.left = length(Math.min(said.dissimilarity / 2.5, 1));
}

const fingers = new Map();
let moved = 0;

at("stage").addEventListener("pointerdown", (event) => {
  if (!state.row || event.button > 0) return;
  at("stage").setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, event);
  if (fingers.size === 1) moved = 0;
});
at("stage").addEventListener("pointermove", (event) => {
  if (!state.row) return;
  const point = ground(event);
  at("where").hidden = !point.inside;
  at("where").textContent = `${point.easting.toFixed(0)} E  ${point.northing.toFixed(0)} N`;
  const before = fingers.get(event.pointerId);
  if (!before) return;
  moved += Math.hypot(event.clientX - before.clientX, event.clientY - before.clientY);
  if (fingers.size === 1) {
    state.left += event.clientX - before.clientX;
    state.top += event.clientY - before.clientY;
    at("stage").classList.toggle("moving", moved > 4);
    place();
  } else if (fingers.size === 2) {
    const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
    const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1;
    const box = at("stage").getBoundingClientRect();
    zoom(apart(event) / apart(before), (event.clientX + other.clientX) / 2 - box.left, (event.clientY + other.clientY) / 2 - box.top);
  }
  fingers.set(event.pointerId, event);
});
for (const kind of ["pointerup", "pointercancel"]) {
  at("stage").addEventListener(kind, (event) => {
    const was = fingers.delete(event.pointerId);
    at("stage").classList.remove("moving");
    if (!was || kind === "pointercancel" || moved > 4 || fingers.size > 0) return;
    const point = ground(event);
    if (point.inside) askPixel(point);
  });
}
at("stage").addEventListener("wheel", (event) => {
  event.preventDefault();
  const box = at("stage").getBoundingClientRect();
  zoom(Math.exp(-event.deltaY * (event.deltaMode === 1 ? 0.05 : 0.0016)), event.clientX - box.left, event.clientY - box.top);
}, { passive: false });
at("stage").addEventListener("keydown", (event) => {
  const step = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[event.key];
  if (!state.row) return;
  if (step) { state.left += step[0]; state.top += step[1]; place(); event.preventDefault(); }
  if (event.key === "+" || event.key === "=") zoom(1.4);
  if (event.key === "-") zoom(1 / 1.4);
  if (event.key === "0") fit();
});
at("zoom-in").addEventListener("click", () => zoom(1.6));
at("zoom-out").addEventListener("click", () => zoom(1 / 1.6));
at("zoom-fit").addEventListener("click", fit);
at("opacity").addEventListener("input", () => { at("overlay").style.opacity = at("opacity").value / 100; });
at("hatch").addEventListener("change", showOutside);
at("pixel-close").addEventListener("click", () => { at("pixel").hidden = at("marker").hidden = true; });
for (const button of document.querySelectorAll("[data-layer]")) {
  button.addEventListener("click", () => { state.layer = button.dataset.layer; showLayer(); });
}
window.addEventListener("resize", () => { if (state.row) fit(); });

// --- sending a raster --------------------------------------------------------------------------

function refuse(words) {
  at("refusal").hidden = !words;
  at("refusal").textContent = words;
}

function send(file) {
  refuse("");
  const request = new XMLHttpRequest();
  const name = file.name.replace(/\.tiff?$/i, "").replace(/[^\w .,()+-]/g, "_").slice(0, 80);
  request.open("POST", `/classify?name=${encodeURIComponent(name)}`);
  request.setRequestHeader("Content-Type", "image/tiff");
  request.responseType = "blob";
  at("progress").hidden = false;
  at("progress").classList.remove("working");
  at("progress-bar").style.width = "0";
  at("progress-words").textContent = `Sending ${file.name}`;
  request.upload.addEventListener("progress", (event) => {
    if (event.lengthComputable) at("progress-bar").style.width = length(event.loaded / event.total);
  });
  request.upload.addEventListener("load", () => {
    at("progress").classList.add("working");
    at("progress-bar").style.removeProperty("width");
    at("progress-words").textContent = `Classifying ${file.name}`;
  });
  request.addEventListener("loadend", () => { at("progress").hidden = true; at("file").value = ""; });
  request.addEventListener("error", () => refuse("The service did not answer. Try: send it again."));
  request.addEventListener("load", async () => {
    if (request.status === 200) {
      const id = request.getResponseHeader("X-Prediction-Id");
      await refresh();
      const row = state.rows.find((each) => each.id === id);
      if (row) choose(row);
      return;
    }
    try {
      refuse(JSON.parse(await request.response.text()).error.message);
    } catch {
      refuse(`The service answered ${request.status}.`);
    }
  });
  request.send(file);
}

at("file").addEventListener("change", () => { if (at("file").files[0]) send(at("file").files[0]); });
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  window.addEventListener(kind, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files[0]) send(event.dataTransfer.files[0]);
  });
}

refresh();
setInterval(refresh, 4000);
