// The modal that the bot has opened for this person: inputs, errors, submitting and closing.

import { act, place, store } from "./app.js";
import { blocks } from "./blocks.js";
import { el } from "./dom.js";

let dialog = null;
let shown = null;
let values = {};
let trouble = "";
let lacking = {};

const signature = (view) => JSON.stringify([view.id, view.hash, trouble, lacking]);

// Shows the topmost modal, keeping what was typed while it is the same modal.
export function showModal() {
  const view = store.get("view");
  if (!view) return hide();
  if (shown && signature(view) === shown.signature) return;
  if (shown?.id !== view.id) [values, trouble, lacking] = [{}, "", {}];
  if (shown && shown.hash !== view.hash) lacking = {};
  if (!dialog) open();
  const focus = document.activeElement?.dataset.focus;
  dialog.replaceChildren(form(view));
  shown = { id: view.id, hash: view.hash, signature: signature(view) };
  aim(focus);
}

function open() {
  dialog = el("dialog", { class: "dialog modal", "aria-labelledby": "modal-title" });
  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    close();
  });
  document.body.append(dialog);
  dialog.showModal();
}

function hide() {
  dialog?.close();
  dialog?.remove();
  [dialog, shown, values, trouble, lacking] = [null, null, {}, "", {}];
}

function aim(focus) {
  const invalid = dialog.querySelector("[aria-invalid]");
  const wrong = invalid?.querySelector("input") ?? invalid; // in a group, its first choice
  const same = focus && dialog.querySelector(`[data-focus="${CSS.escape(focus)}"]`);
  (
    wrong ??
    same ??
    dialog.querySelector("[autofocus]") ??
    dialog.querySelector("input, textarea, select, button")
  )?.focus();
}

function form(view) {
  const { title, submit, close: dismiss } = view.content;
  const hands = handsOn(view);
  const buttons = el(
    "div",
    { class: "actions end" },
    el("button", { type: "button", class: "button", onclick: close }, dismiss?.text ?? "Cancel"),
    submit && el("button", { type: "submit", class: "button primary" }, submit.text),
  );
  const stacked =
    view.depth > 1 ? el("p", { class: "stacked" }, `${view.depth} dialogs are open; this one is on top.`) : null;
  return el(
    "form",
    { novalidate: true, onsubmit: (event) => send(event, view) },
    el("h2", { id: "modal-title" }, title.text),
    stacked,
    trouble && el("p", { class: "field-error", role: "alert" }, trouble),
    blocks(view.content.blocks, hands),
    buttons,
  );
}

function handsOn(view) {
  return {
    errors: { ...lacking, ...view.errors },
    inInput: (block) => block.type === "input",
    value: (block) => values[block.block_id],
    hold: (block, one, value) => (values[block.block_id] = value),
    press: (one, block, value) => act("click", { view: view.id, action: one.action_id, value }),
    suggest: (one, query) => act("suggest", { view: view.id, action: one.action_id, query }),
  };
}

// The client checks required fields; the bot checks everything else.
async function send(event, view) {
  event.preventDefault();
  const empty = view.content.blocks.filter((block) => block.type === "input" && !block.optional && !filled(block));
  lacking = Object.fromEntries(empty.map((block) => [block.block_id, "Please fill this in."]));
  const told = empty.length ? { ok: true } : await act("submit", { view: view.id, values });
  trouble = told.ok ? "" : (told.problems ?? []).join(" ");
  showModal();
}

function filled(block) {
  const value = values[block.block_id] ?? block.element.initial_value ?? block.element.initial_option?.value;
  return Array.isArray(value) ? value.length > 0 : Boolean(String(value ?? "").trim());
}

async function close() {
  await act("close", { view: store.get("view").id, as: place.user });
}
