// The confirmation dialog of a button. Cancelling sends nothing.

import { el } from "./dom.js";
import { textObject } from "./mrkdwn.js";

export function confirmed(asked) {
  return new Promise((resolve) => {
    const kind = asked.style === "danger" ? "button danger" : "button primary";
    const yes = el("button", { type: "submit", class: kind, value: "yes" }, asked.confirm.text);
    const no = el(
      "button",
      { type: "button", class: "button", autofocus: true, onclick: () => dialog.close("") },
      asked.deny.text,
    );
    const form = el(
      "form",
      { method: "dialog" },
      el("h2", { id: "confirm-title" }, asked.title.text),
      el("p", { id: "confirm-text" }, textObject(asked.text)),
      el("div", { class: "actions end" }, no, yes),
    );
    const dialog = el(
      "dialog",
      { class: "dialog", "aria-labelledby": "confirm-title", "aria-describedby": "confirm-text" },
      form,
    );
    const item = document.activeElement?.closest("[data-key]")?.dataset.key;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      dialog.close("yes");
    });
    dialog.addEventListener("close", () => {
      const answer = dialog.returnValue === "yes";
      dialog.remove();
      giveFocusBack(item);
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

// If the card was rendered again meanwhile, the browser cannot restore the focus.
function giveFocusBack(item) {
  if (document.activeElement !== document.body || !item) return;
  document.querySelector(`[data-key="${CSS.escape(item)}"]`)?.focus();
}
