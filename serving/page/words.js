// Small words that every part of the page uses. Every text goes in as text, never as HTML.

export const at = (id) => document.getElementById(id);
export const percent = (share, digits = 0) => `${(100 * share).toFixed(digits)} %`;
export const length = (share) => `${(100 * share).toFixed(2)}%`;
export const megabytes = (bytes) => `${(bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0)} MB`;

export function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

export function swatch(colour) {
  const made = element("span", undefined, "swatch");
  made.style.background = colour || "transparent";
  return made;
}

export function when(text) {
  const date = new Date(text);
  const today = date.toDateString() === new Date().toDateString();
  return today ? date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }) : date.toLocaleDateString();
}

export function extent(grid) {
  const km = (n) => (n * grid.pixel_m / 1000).toLocaleString("en", { maximumFractionDigits: n * grid.pixel_m < 1e5 ? 1 : 0 });
  return `${km(grid.width)} × ${km(grid.height)} km`;
}
