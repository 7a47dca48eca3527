// Sending a raster: at once where it is small, as a job where it is large; its progress, a way out, and refusals.

import { ask, askForKey, credentials, Refusal } from "./service.js";
import { sizeOf } from "./tiff.js";
import { at, length, megabytes } from "./words.js";

const JOB = "geoml-job";
const ENDED = new Set(["failed", "cancelled", "canceled", "refused", "lost"]);
const sending = { limits: null, finished: () => {}, stop: null };

export function setUp(finished) {
  sending.finished = finished;
  at("file").addEventListener("change", () => { if (at("file").files[0]) send(at("file").files[0]); });
  at("cancel").addEventListener("click", () => sending.stop?.());
  let depth = 0;
  for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
    window.addEventListener(kind, (event) => {
      event.preventDefault();
      depth = kind === "drop" ? 0 : Math.max(0, depth + (kind === "dragenter") - (kind === "dragleave"));
      document.body.classList.toggle("dropping", depth > 0);
      if (kind === "drop" && event.dataTransfer.files[0]) send(event.dataTransfer.files[0]);
    });
  }
  const left = sessionStorage.getItem(JOB);
  if (left) follow(left);
}

export function setLimits(limits) {
  sending.limits = limits || null;
}

export function refuse(words) {
  at("refusal").hidden = !words;
  at("refusal").textContent = words || "";
}

// --- progress ------------------------------------------------------------------------------------

function progress(words, share, stop) {
  at("progress").hidden = false;
  at("drop").hidden = true;
  at("progress").classList.toggle("working", share === null);
  at("progress-bar").style.width = share === null ? "" : length(share);
  at("progress-track").setAttribute("aria-valuenow", share === null ? "" : String(Math.round(100 * share)));
  at("progress-words").textContent = words;
  sending.stop = stop;
  at("cancel").hidden = !stop;
}

function ended(words) {
  at("progress").hidden = true;
  at("drop").hidden = false;
  at("file").value = "";
  sending.stop = null;
  refuse(words);
}

// --- one raster ----------------------------------------------------------------------------------

async function send(file) {
  if (!at("progress").hidden) return;
  refuse("");
  const size = await sizeOf(file);
  const most = sending.limits?.max_sync_pixels;
  const large = Boolean(size && most && size.width * size.height > most);
  try {
    await sendTo(large ? "/jobs" : "/classify", file);
  } catch (error) {
    // A service that does not say its limits says so here: too large for an answer is not too large for a job.
    const again = error instanceof Refusal && error.status === 413 && !large;
    if (again) return sendTo("/jobs", file).catch((second) => failed(second.status === 404 ? error : second, file));
    failed(error, file);
  }
}

function failed(error, file) {
  ended(error.message);
  if (error instanceof Refusal && error.status === 401) askForKey(() => send(file));
}

async function sendTo(path, file) {
  const name = file.name.replace(/\.tiff?$/i, "").replace(/[^\w .,()+-]/g, "_").slice(0, 80) || "raster";
  const layers = sending.limits?.probabilities ? "all,probabilities" : "all";
  const answer = await upload(`${path}?layers=${layers}&name=${encodeURIComponent(name)}`, file);
  if (path === "/jobs") return follow(JSON.parse(await answer.response.text()).id);
  ended("");
  sending.finished(answer.getResponseHeader("X-Prediction-Id"));
}

// XMLHttpRequest, because fetch does not tell how much of a body was sent.
function upload(path, file) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const stop = () => request.abort();
    request.open("POST", path);
    request.setRequestHeader("Content-Type", "image/tiff");
    Object.entries(credentials()).forEach(([name, value]) => request.setRequestHeader(name, value));
    request.responseType = "blob";
    progress(`Sending ${file.name}`, 0, stop);
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      progress(`Sending ${file.name}: ${megabytes(loaded)} of ${megabytes(total)}`, total ? loaded / total : 0, stop);
    });
    request.upload.addEventListener("load", () => progress(`Classifying ${file.name}`, null, stop));
    request.addEventListener("error", () => reject(new Refusal(0, "The service did not answer. Try: send it again.")));
    request.addEventListener("abort", () => reject(new Refusal(0, "Sending was stopped; nothing of it was kept.")));
    request.addEventListener("load", async () => {
      if (request.status < 300) return resolve(request);
      let words = `The service answered ${request.status}.`;
      try {
        words = JSON.parse(await request.response.text()).error.message;
      } catch { /* no body that is ours */ }
      reject(new Refusal(request.status, words));
    });
    request.send(file);
  });
}

// --- a job ---------------------------------------------------------------------------------------

async function follow(id) {
  sessionStorage.setItem(JOB, id);
  const stop = () => ask(`/jobs/${id}/cancel`, { method: "POST" }).catch((error) => refuse(error.message));
  for (;;) {
    let job;
    try {
      job = await ask(`/jobs/${id}`);
    } catch (error) {
      if (error.status === 401) return askForKey(() => follow(id));
      if (error.status) {
        sessionStorage.removeItem(JOB);
        return ended(error.message);
      }
      job = { state: "unknown", message: error.message, done_px: 0, all_px: 0 };
    }
    if (job.prediction) {
      sessionStorage.removeItem(JOB);
      ended("");
      return sending.finished(job.prediction);
    }
    if (ENDED.has(job.state)) {
      sessionStorage.removeItem(JOB);
      return ended(job.message || `The job ${job.state}.`);
    }
    const share = job.all_px > 0 ? job.done_px / job.all_px : null;
    const named = job.name ? `${job.name}: ` : "";
    const done = share === null ? "" : `, ${Math.floor(100 * share)} % of ${(job.all_px / 1e6).toFixed(1)} million pixels`;
    progress(`${named}${(job.message || job.state).replace(/\.$/, "")}${done}`, share || null, stop);
    await new Promise((resolve) => { setTimeout(resolve, 700); });
  }
}
