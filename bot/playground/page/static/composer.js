// The message box, with completions for the word at the cursor.

import { act, place, store } from "./app.js";
import { el } from "./dom.js";

const MOST = 8;

export function composer(form, { id, inThread }) {
  const list = el("ul", {
    id: `${id}-list`,
    class: "completions",
    role: "listbox",
    "aria-label": "Completions",
    hidden: true,
  });
  const input = el("input", {
    id,
    class: "write",
    type: "text",
    autocomplete: "off",
    spellcheck: "false",
    maxlength: 8000,
    role: "combobox",
    "aria-autocomplete": "list",
    "aria-expanded": "false",
    "aria-controls": list.id,
  });
  const send = el("button", { type: "submit", class: "button primary" }, "Send");
  form.append(list, input, send);
  const state = { input, list, chosen: -1, offers: [], past: [], inThread };
  input.addEventListener("input", () => offer(state));
  input.addEventListener("blur", () => close(state));
  input.addEventListener("keydown", (event) => pressed(event, state));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit(state);
  });
  return {
    write: (text) => {
      input.value = text;
      input.focus();
    },
    describe: (words, able) => {
      input.placeholder = words;
      input.setAttribute("aria-label", words);
      input.disabled = send.disabled = !able;
    },
  };
}

async function submit(state) {
  const text = state.input.value.trim();
  if (!text) return;
  state.past.push(text);
  state.input.value = "";
  close(state);
  await act("say", { channel: place.channel, text, thread: state.inThread ? place.thread : null });
}

function pressed(event, state) {
  const open = state.offers.length > 0;
  if (event.key === "ArrowUp" && !open && !state.input.value && state.past.length)
    state.input.value = state.past.at(-1);
  else if (open && event.key === "ArrowDown") choose(state, state.chosen + 1);
  else if (open && event.key === "ArrowUp") choose(state, state.chosen - 1);
  else if (open && event.key === "Escape") close(state);
  else if (open && event.key === "Tab" && !event.shiftKey) take(state, Math.max(state.chosen, 0));
  else if (open && event.key === "Enter" && state.chosen >= 0) take(state, state.chosen);
  else return;
  event.preventDefault();
}

function offer(state) {
  const offers = completions(state.input.value).slice(0, MOST);
  state.offers = offers;
  state.list.replaceChildren(
    ...offers.map((one, index) =>
      el(
        "li",
        {
          id: `${state.list.id}-${index}`,
          role: "option",
          "aria-selected": "false",
          onpointerdown: (event) => (event.preventDefault(), take(state, index)),
        },
        el("b", {}, one.shown),
        el("small", {}, one.about),
      ),
    ),
  );
  choose(state, -1);
  state.list.hidden = offers.length === 0;
  state.input.setAttribute("aria-expanded", String(offers.length > 0));
}

function choose(state, index) {
  const count = state.offers.length;
  state.chosen = index < 0 ? (state.chosen === 0 || index === -1 ? -1 : count - 1) : index % count;
  [...state.list.children].forEach((node, at) => node.setAttribute("aria-selected", String(at === state.chosen)));
  const active = state.list.children[state.chosen];
  if (active) state.input.setAttribute("aria-activedescendant", active.id);
  else state.input.removeAttribute("aria-activedescendant");
  active?.scrollIntoView({ block: "nearest" });
}

function take(state, index) {
  state.input.value = state.offers[index].text;
  offer(state);
}

function close(state) {
  state.offers = [];
  state.list.hidden = true;
  state.input.setAttribute("aria-expanded", "false");
  choose(state, -1);
}

// Possible completions of the text.
function completions(text) {
  if (text.startsWith("/")) return commandCompletions(text);
  const bot = `@${store.get("workspace").botName} `;
  if (text.startsWith(bot)) return afterWord(bot, text.slice(bot.length));
  const name = /(^|\s)@([\w.-]*)$/.exec(text);
  return name ? names(text.slice(0, text.length - name[2].length), name[2]) : [];
}

function commandCompletions(text) {
  const command = "/flow ";
  if (!text.startsWith(command))
    return command.startsWith(text)
      ? [{ text: command, shown: "/flow", about: "stop a live flow" }]
      : [];
  return afterWord(command, text.slice(command.length));
}

function afterWord(door, rest) {
  const [verb, ...words] = rest.split(" ");
  const verbs = store.get("verbs", []);
  if (!words.length)
    return verbs
      .filter((one) => one.name.startsWith(verb.toLowerCase()))
      .map((one) => ({ text: `${door}${one.name} `, shown: `${one.name} ${one.usage}`, about: one.does }));
  if (verb.toLowerCase() === "help")
    return verbs
      .filter((one) => words.length === 1 && one.name.startsWith(words[0]))
      .map((one) => ({ text: `${door}help ${one.name}`, shown: one.name, about: one.does }));
  if (words.length === 1) return flows(`${door}${verb} `, words[0]);
  return words.length === 2 ? tails(`${door}${verb} ${words[0]} `, words[1]) : [];
}

function flows(before, begun) {
  const fits = (flow) => flow.name.startsWith(begun) || flow.id.startsWith(begun);
  return store
    .get("flows", [])
    .filter(fits)
    .map((flow) => ({
      text: `${before}${flow.name} `,
      shown: flow.name,
      about: `${flow.status} · ${flow.project} · ${flow.id}`,
    }));
}

function tails(before, begun) {
  const known = [
    { text: `${before}because `, shown: "because …", about: "say why" },
    { text: `${before}--dry-run `, shown: "--dry-run", about: "all checks, but no call" },
    {
      text: `${before}--emergency because `,
      shown: "--emergency because …",
      about: "skip the approvals, with two presses",
    },
  ];
  return known.filter((one) => one.text.slice(before.length).startsWith(begun) && begun !== "because");
}

function names(before, begun) {
  const people = store.get("people", []).map((one) => ({ name: one.name, about: [one.kind, ...one.sets].join(" · ") }));
  const groups = store.get("groups", []).map((one) => ({ name: one.name, about: "user group" }));
  const bot = store.get("workspace").botName;
  const first = (one) => (one.name === bot ? 0 : 1);
  return [...people, ...groups]
    .filter((one) => one.name.startsWith(begun))
    .sort((a, b) => first(a) - first(b))
    .map((one) => ({ text: `${before}${one.name} `, shown: `@${one.name}`, about: one.about }));
}
