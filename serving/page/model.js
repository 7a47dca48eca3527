// What serves: the champion, its honest score, and how far it may be trusted.

import { at, element, length } from "./words.js";

export function showModel(said) {
  const [words, mood] = !said.ready ? ["no model", "bad"] : said.following ? ["serving", "good"] : ["last good", "warn"];
  showBadge(words, mood);
  at("model-name").textContent = said.model || "No model yet";
  at("model-number").textContent = said.number ? `number ${said.number}` : "";
  at("model-digest").textContent = said.bundle ? `graph ${said.bundle.file.sha256.slice(0, 12)} · ${said.contract.bands.length} bands` : "";
  showTrouble(said.following ? "" : said.message);
  showScore(said.evaluation);
  at("trust").hidden = !said.sets && !said.applicability;
  at("model-sets").textContent = said.sets ? said.sets.sentence : "";
  at("model-known").textContent = said.applicability ? said.applicability.sentence : "";
}

export function showBadge(words, mood) {
  at("badge").textContent = words;
  at("badge").className = `badge ${mood}`;
}

export function showTrouble(words) {
  at("model-message").hidden = !words;
  at("model-message").textContent = words;
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
  at("score-words").replaceChildren(
    element("b", score.value.toFixed(2)),
    ` ${name.replaceAll("_", " ")}, ${score.low.toFixed(2)} to ${score.high.toFixed(2)} from ${score.n_blocks} blocks held out on the ground.`,
  );
  const flattering = evaluation.optimism[name];
  if (flattering) at("score-words").append(` Random pixels would have said ${flattering.value.toFixed(2)}; that does not count.`);
}
