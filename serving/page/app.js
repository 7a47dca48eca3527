// The page put together. It knows the service's addresses and nothing else.

import { showLegend } from "./legend.js";
import { showList } from "./list.js";
import { showBadge, showModel, showTrouble } from "./model.js";
import { showPixel } from "./pixel.js";
import { refuse, setLimits, setUp } from "./sending.js";
import { ask, askForKey, call, credentials } from "./service.js";
import { fit, frame, mark, onPoint, onTrouble, opacity, show, uncover, unmark } from "./stage.js";
import { at } from "./words.js";

const state = { rows: [], row: null, layer: "classes", asked: 0 };

// --- what there is -------------------------------------------------------------------------------

async function refresh() {
  try {
    const said = await ask("/model");
    // A link carries no key, and reports are not for those who have none.
    at("to-dashboard").hidden = Object.keys(credentials()).length > 0;
    showModel(said);
    setLimits(said.limits);
    const { predictions } = await ask("/predictions");
    const changed = predictions.map((row) => row.id).join() !== state.rows.map((row) => row.id).join();
    state.rows = predictions;
    if (changed || !predictions.length) list();
    const wanted = predictions.find((row) => row.id === location.hash.slice(1)) || predictions[0];
    if (state.row === null && wanted) choose(wanted);
  } catch (error) {
    showBadge(...(error.status === 401 ? ["asks for a key", "warn"] : ["no answer", "bad"]));
    showTrouble(error.status === 401 ? "" : error.message);
    if (error.status === 401) askForKey(refresh);
  }
}

function list() {
  showList(state.rows, state.row, choose);
  frame(state.rows, choose);
}

function choose(row) {
  state.row = row;
  history.replaceState(null, "", `#${row.id}`);
  close();
  at("controls").hidden = at("zoom").hidden = false;
  at("blank").hidden = true;
  at("download").href = `/predictions/${row.id}/map.tif`;
  layers();
  list();
}

async function finished(id) {
  await refresh();
  const row = state.rows.find((each) => each.id === id);
  if (row) choose(row);
}

// --- layers --------------------------------------------------------------------------------------

function layers() {
  const { row } = state;
  if (!row.layers.includes(state.layer)) state.layer = "classes";
  for (const button of buttons) {
    button.hidden = !row.layers.includes(button.dataset.layer);
    const chosen = button.dataset.layer === state.layer;
    button.setAttribute("aria-checked", String(chosen));
    button.tabIndex = chosen ? 0 : -1;
  }
  at("opacity").disabled = state.layer === "image";
  at("hatching").hidden = !row.layers.includes("outside");
  at("trouble").hidden = true;
  at("nowhere").hidden = Boolean(row.bounds);
  show(row, { layer: state.layer, hatched: at("hatch").checked, opacity: at("opacity").value / 100 });
  showLegend(row, state.layer);
}

const buttons = [...document.querySelectorAll("[data-layer]")];
for (const button of buttons) {
  button.addEventListener("click", () => { state.layer = button.dataset.layer; layers(); });
  // A group of radio buttons is one stop of the tab key; arrows move inside it.
  button.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const there = buttons.filter((each) => !each.hidden);
    const next = there[(there.indexOf(button) + step + there.length) % there.length];
    next.focus();
    next.click();
  });
}
at("opacity").addEventListener("input", () => opacity(at("opacity").value / 100));
at("hatch").addEventListener("change", layers);

// With a key a link alone would be refused, so the file is fetched and then handed over.
at("download").addEventListener("click", async (event) => {
  if (!Object.keys(credentials()).length) return;
  event.preventDefault();
  try {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await (await call(at("download").href)).blob());
    link.download = at("download").download;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  } catch (error) {
    refuse(error.message);
  }
});

// --- one pixel -----------------------------------------------------------------------------------

onPoint(async (lon, lat) => {
  const { row } = state;
  const turn = ++state.asked;
  try {
    const said = await ask(`/predictions/${row.id}/at?lon=${lon}&lat=${lat}`);
    if (turn !== state.asked) return;
    refuse("");
    mark(said.corners);
    showPixel(said, row);
    uncover();
  } catch (error) {
    if (error.status === 401) askForKey();
    // Beside the map, but inside the square around it: nothing to say.
    if (error.status !== 422) refuse(error.message);
  }
});

onTrouble((words) => {
  at("trouble").textContent = `Parts of the map are missing. ${words}`;
  at("trouble").hidden = false;
});

function close() {
  state.asked += 1;
  at("pixel").hidden = true;
  unmark();
}

at("pixel-close").addEventListener("click", close);
window.addEventListener("keydown", (event) => { if (event.key === "Escape" && !at("pixel").hidden) close(); });
window.addEventListener("hashchange", () => {
  const row = state.rows.find((each) => each.id === location.hash.slice(1));
  if (row && row.id !== state.row?.id) choose(row);
});
const narrow = matchMedia("(max-width: 860px)");
const arrange = () => { at("legend").open = !narrow.matches; };
narrow.addEventListener("change", () => { arrange(); fit(); });
arrange();

setUp(finished);
refresh();
setInterval(refresh, 4000);
