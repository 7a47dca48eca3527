// The maps that were made, newest first.

import { at, element, extent, length, percent, when } from "./words.js";

export function showList(rows, chosen, choose) {
  at("nothing").hidden = rows.length > 0;
  const focused = document.activeElement?.dataset?.id;
  at("predictions").replaceChildren(...rows.map((row) => entryOf(row, chosen, choose)));
  if (focused) at("predictions").querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus();
}

function entryOf(row, chosen, choose) {
  const item = element("li");
  const button = element("button");
  button.type = "button";
  button.dataset.id = row.id;
  button.setAttribute("aria-current", String(chosen !== null && row.id === chosen.id));
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
  const outside = row.outside_share === null ? "" : ` · ${percent(row.outside_share)} outside`;
  button.append(title, shares, element("small", `${extent(row.grid)} · model ${row.number}${sure}${outside}`));
  button.addEventListener("click", () => choose(row));
  item.append(button);
  return item;
}
