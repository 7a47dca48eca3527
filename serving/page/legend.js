// What the colours of a layer mean.

import { at, element, percent, swatch } from "./words.js";

export function showLegend(row, layer) {
  const parts = { classes: classLegend, confidence: confidenceLegend, set_size: setLegend, dissimilarity: farLegend };
  at("legend").hidden = !(layer in parts);
  at("legend-parts").replaceChildren(...(layer in parts ? parts[layer](row) : []));
  if (row.outside_share === null || !(layer in parts)) return;
  const line = element("p", undefined, "outside");
  line.append(element("span", undefined, "hatch"), "Outside: unlike the samples", element("b", percent(row.outside_share, 1)));
  at("legend-parts").append(line);
}

function classLegend(row) {
  const table = element("table");
  for (const entry of row.classes) {
    const line = table.insertRow();
    line.insertCell().append(swatch(entry.colour), entry.name);
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
