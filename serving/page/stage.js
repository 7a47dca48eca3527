// The map: the image that was sent, one layer over it, stripes over ground unlike the samples, one pixel framed.

import { utm } from "./ground.js";
import { Hatched, Pictured } from "./layers.js";
import { at } from "./words.js";

const { L } = window;
const EQUATOR_M = 156543.034; // one pixel of zoom 0 at the equator
const LAST = 24;
const MARGIN = 14;

const map = L.map("stage", { zoomControl: false, attributionControl: false, minZoom: 1, maxZoom: LAST  });
map.setView([20, 0], 2);
L.control.scale({ imperial: false, maxWidth: 140 }).addTo(map);
L.control.attribution({ prefix: '<a href="/page/vendor/leaflet/LICENSE">Leaflet</a>' }).addTo(map);
const outlines = L.layerGroup().addTo(map);
const shown = { row: null, layers: {}, mark: null, corners: null };
let trouble = () => {};

// --- which part of the world ---------------------------------------------------------------------

function boundsOf(row) {
  const [west, south, east, north] = row.bounds;
  return L.latLngBounds([south, west], [north, east < west ? east + 360 : east]);
}

/** The zoom at which a pixel of the map is about as large as one on the screen. */
function native(row) {
  const latitude = Math.min(80, Math.abs(boundsOf(row).getCenter().lat)) * Math.PI / 180;
  return Math.max(1, Math.min(LAST, Math.round(Math.log2(EQUATOR_M * Math.cos(latitude) / row.grid.pixel_m))));
}

export function fit() {
  const { row } = shown;
  if (!row?.bounds) return;
  const beside = at("pixel").hidden || innerWidth < 860 ? 0 : at("pixel").offsetWidth;
  map.fitBounds(boundsOf(row), { paddingTopLeft: [MARGIN, MARGIN + 56], paddingBottomRight: [MARGIN + beside, MARGIN], maxZoom: native(row) + 3, animate: false });
}

// --- layers --------------------------------------------------------------------------------------

export function show(row, options) {
  const fresh = shown.row?.id !== row.id;
  if (fresh) {
    Object.values(shown.layers).forEach((layer) => layer.remove());
    shown.layers = {};
    shown.row = row;
    unmark();
  }
  if (!row.bounds) return;
  map.setMaxZoom(Math.min(LAST, native(row) + 6));
  if (fresh) fit();
  put("image", true, () => new Pictured(row.id, "image", { ...common(row, 1), sharp: true }));
  for (const name of row.layers.filter((each) => !["image", "outside"].includes(each))) {
    put(name, options.layer === name, () => new Pictured(row.id, name, { ...common(row, 2), sharp: true }));
  }
  if (row.layers.includes("outside")) put("outside", options.hatched, () => new Hatched(row.id, "outside", common(row, 3)));
  opacity(options.opacity);
}

// Across the antimeridian Leaflet compares bounds that it has wrapped itself, so none are given there.
function common(row, zIndex) {
  const bounds = boundsOf(row);
  return { zIndex, maxNativeZoom: Math.min(LAST, native(row) + 4), maxZoom: LAST, ...(bounds.getEast() <= 180 ? { bounds } : {}) };
}

function put(name, wanted, make) {
  if (!wanted) {
    shown.layers[name]?.remove();
    delete shown.layers[name];
  } else if (!shown.layers[name]) {
    shown.layers[name] = make().addTo(map).on("tileerror", ({ error }) => { if (error.name !== "AbortError") trouble(error.message); });
  }
}

export function opacity(share) {
  Object.entries(shown.layers).forEach(([name, layer]) => {
    if (!["image", "outside"].includes(name)) layer.setOpacity(share);
  });
}

/** Frames of all maps that lie elsewhere: a click on one chooses it. */
export function frame(rows, choose) {
  outlines.clearLayers();
  const here = shown.row?.bounds ? boundsOf(shown.row) : null;
  // Over the map that is shown a click asks for a pixel and nothing else.
  for (const row of rows.filter((each) => each.bounds && !here?.intersects(boundsOf(each)))) {
    const rectangle = L.rectangle(boundsOf(row), { color: "#9fb4ae", weight: 1, fillOpacity: 0.03, bubblingMouseEvents: false });
    rectangle.bindTooltip(element(row.name), { sticky: true }).on("click", () => choose(row)).addTo(outlines);
    rectangle.bringToBack();
  }
}

function element(words) {
  const made = document.createElement("span");
  made.textContent = words;
  return made;
}

// --- one pixel -----------------------------------------------------------------------------------

export function mark(corners) {
  unmark();
  const ring = corners.map(([lon, lat]) => [lat, lon]);
  const lines = [[4, "#000"], [2, "#fff"]].map(([weight, color]) => L.polygon(ring, { color, weight, fill: false, interactive: false }));
  const rings = [[4, "#000"], [2, "#fff"]].map(([weight, color]) =>
    L.circleMarker(L.latLngBounds(ring).getCenter(), { radius: 9, color, weight, fill: false, interactive: false }));
  const larger = map.latLngToLayerPoint(ring[0]).distanceTo(map.latLngToLayerPoint(ring[2])) > 12;
  shown.mark = L.layerGroup(larger ? lines : rings).addTo(map);
  shown.corners = corners;
}

/** Moves the map so far that the marked pixel is not under the panel. */
export function uncover() {
  if (!shown.corners) return;
  const { offsetWidth: width, offsetHeight: height } = at("pixel");
  const panel = innerWidth < 860 ? [0, height + 8] : [width + 14, 0];
  map.panInside(L.latLngBounds(shown.corners.map(([lon, lat]) => [lat, lon])).getCenter(), {
    paddingTopLeft: [20, 90], paddingBottomRight: [panel[0] + 20, panel[1] + 20],
  });
}

export function unmark() {
  shown.mark?.remove();
  shown.mark = shown.corners = null;
}

map.on("zoomend", () => { if (shown.corners) mark(shown.corners); });

// --- pointer and keys ----------------------------------------------------------------------------

/** Calls `told(words)` when a part of the map could not be drawn. */
export function onTrouble(told) {
  trouble = told;
}

/** Calls `asked(lon, lat)` for every point that is clicked, or chosen with Enter at the middle of the map. */
export function onPoint(asked) {
  const inside = (place) => shown.row?.bounds && boundsOf(shown.row).contains(place) && asked(place.lng, place.lat);
  map.on("click", (event) => inside(event.latlng));
  const stage = map.getContainer();
  stage.addEventListener("pointerdown", () => stage.classList.remove("keys"));
  stage.addEventListener("keydown", (event) => {
    stage.classList.add("keys");
    if (event.key === "Enter") inside(map.getCenter());
    if (event.key === "0") fit();
  });
}

map.on("mousemove", ({ latlng }) => {
  const { row } = shown;
  const metres = row && utm(row.grid.crs, latlng.lng, latlng.lat);
  const lon = ((latlng.lng + 540) % 360 + 360) % 360 - 180;
  const degrees = `${Math.abs(latlng.lat).toFixed(5)}° ${latlng.lat < 0 ? "S" : "N"}  ${Math.abs(lon).toFixed(5)}° ${lon < 0 ? "W" : "E"}`;
  at("where").hidden = false;
  at("where").textContent = metres ? `${metres[0].toFixed(0)} E  ${metres[1].toFixed(0)} N   ${degrees}` : degrees;
});
map.on("mouseout", () => { at("where").hidden = true; });
at("zoom-in").addEventListener("click", () => map.zoomIn());
at("zoom-out").addEventListener("click", () => map.zoomOut());
at("zoom-fit").addEventListener("click", fit);
new ResizeObserver(() => map.invalidateSize({ pan: false })).observe(map.getContainer());
