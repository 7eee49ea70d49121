// The doctor: a button that runs the checks of `flowbot doctor`, and what they found.

import { store, turn } from "./app.js";
import { el, fill } from "./dom.js";

// The worst first.
const ORDER = ["fail", "warn", "ok"];

const WORDS = { ok: "OK", warn: "Warning", fail: "Failed" };

let asking = false;

export function doctor() {
  const summary = el("p", { class: "doctor-summary", role: "status" });
  const list = el("ul", { class: "rows doctor", tabindex: 0, "aria-label": "Findings of the doctor" });
  const button = el("button", { type: "button", class: "button", onclick: ask }, "Ask the doctor");
  return { parts: [button, summary, list], draw };

  async function ask() {
    if (asking) return;
    asking = true;
    summary.textContent = "Checking…";
    await turn("doctor", {});
    asking = false;
    summary.textContent = counted(store.get("doctor", []));
  }

  function draw() {
    fill(list, sorted(store.get("doctor", [])), { key: (one) => `${one.name} ${one.found}`, make: row });
    if (!asking) summary.textContent = counted(store.get("doctor", []));
  }
}

const sorted = (found) => [...found].sort((one, other) => ORDER.indexOf(one.status) - ORDER.indexOf(other.status));

function counted(found) {
  if (!found.length) return "";
  const number = (status) => found.filter((one) => one.status === status).length;
  return `${found.length} checks: ${number("fail")} failed, ${number("warn")} with a warning`;
}

function row(one) {
  return el(
    "li",
    {},
    el("span", {}, el("b", {}, one.name), el("span", {}, one.found), one.remedy && el("small", {}, one.remedy)),
    el("span", { class: `tag ${one.status}` }, WORDS[one.status]),
  );
}
