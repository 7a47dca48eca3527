// One pixel: its class, its probabilities and set, how far that may be trusted, and where it comes from.

import { at, element, length, percent, swatch } from "./words.js";

export function showPixel(said, row) {
  const colour = (name) => row.classes.find((each) => each.name === name)?.colour;
  at("pixel-swatch").style.background = colour(said.class) || "transparent";
  at("pixel-class").textContent = said.class || "no answer";
  at("pixel-confidence").textContent = said.confidence === null ? "" : `${percent(said.confidence)} sure`;
  at("pixel-place").textContent = `${said.easting.toFixed(0)} E  ${said.northing.toFixed(0)} N  ${row.grid.crs}\nrow ${said.row}, column ${said.col}`;
  showProbabilities(said, row, colour);
  showSet(said, colour);
  showTrust(said);
  at("lineage").replaceChildren(...said.lineage.map((link) => {
    const item = element("li");
    item.append(element("b", link.kind), element("p", link.sentence.replace(said.trust, "").trim()), element("span", link.id, "mono"));
    return item;
  }));
  at("pixel").hidden = false;
}

// A map keeps the probability of the class it shows. What is left belongs to the others: to the one other, or to all.
function probabilities(said, row) {
  if (said.probabilities) return Object.entries(said.probabilities).sort((one, other) => other[1] - one[1]);
  if (said.class === null || said.confidence === null) return [];
  const others = row.classes.filter((each) => each.name !== said.class);
  const rest = others.length === 1 ? others[0].name : `${others.length} other classes together`;
  return [[said.class, said.confidence], ...(others.length ? [[rest, 1 - said.confidence]] : [])];
}

function showProbabilities(said, row, colour) {
  const lines = probabilities(said, row);
  at("probabilities").hidden = !lines.length;
  at("probabilities").replaceChildren(...lines.map(([name, share]) => {
    const line = element("li");
    const bar = element("i");
    bar.style.width = length(share);
    bar.style.background = colour(name) || "#8b9a96";
    const track = element("span", undefined, "track");
    track.append(bar);
    line.append(element("span", name, "name"), element("b", percent(share)), track);
    return line;
  }));
}

function showSet(said, colour) {
  const panel = at("pixel-set");
  panel.hidden = said.set === null;
  if (said.set === null) return;
  const others = said.set.filter((name) => name !== said.class);
  panel.replaceChildren(element("p", others.length ? "May also be" : "No other class in its set"));
  for (const name of others) {
    const chip = element("span", undefined, "chip");
    chip.append(swatch(colour(name)), name);
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
