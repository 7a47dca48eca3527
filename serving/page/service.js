// How the page talks to the service: one origin, a key where one is asked for, and errors as sentences.

import { at } from "./words.js";

const KEPT = "geoml-key";
const waiting = [];

export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Headers that every question carries; none where the service asks for no key. */
export function credentials() {
  const key = sessionStorage.getItem(KEPT);
  return key ? { Authorization: `Bearer ${key}` } : {};
}

/** Shows the field for a key; `again` runs once one was given. */
export function askForKey(again) {
  const form = at("key-form");
  if (again && !waiting.includes(again)) waiting.push(again);
  if (!form.hidden) return;
  at("key-words").textContent = sessionStorage.getItem(KEPT) ? "This key is not known, or may not do this." : "This service asks for a key.";
  form.hidden = false;
  at("key").focus();
}

export async function refused(answer) {
  let words = `The service answered ${answer.status}.`;
  try {
    words = (await answer.json()).error.message;
  } catch { /* no body that is ours */ }
  return new Refusal(answer.status, words);
}

export async function call(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { cache: "no-store", ...options, headers: { ...credentials(), ...options.headers } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, "The service does not answer. It is asked again.");
  }
  if (!answer.ok) throw await refused(answer);
  return answer;
}

export const ask = async (path, options) => (await call(path, options)).json();

at("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const key = at("key").value.trim();
  if (!/^[\x21-\x7e]{1,200}$/.test(key)) {
    at("key-words").textContent = "A key is one word without spaces.";
    return;
  }
  sessionStorage.setItem(KEPT, key);
  at("key").value = "";
  at("key-form").hidden = true;
  for (const again of waiting.splice(0)) again();
});
