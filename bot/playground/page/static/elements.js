// Interactive elements: buttons, menus and inputs.

import { nameOf, store } from "./app.js";
import { confirmed } from "./confirm.js";
import { el } from "./dom.js";

export function element(one, block, hands, id = null) {
  const make = ELEMENTS[one.type];
  if (!make) return el("span", { class: "unknown" }, `This page cannot show an element of type “${one.type}”.`);
  return make(one, block, hands, id);
}

// Sends a press or a choice, after the confirmation dialog if there is one.
async function use(one, block, hands, value = null) {
  if (one.confirm && !(await confirmed(one.confirm))) return;
  await hands.press(one, block, value);
}

function button(one, block, hands) {
  if (one.url)
    return el("a", { class: "button", href: one.url, target: "_blank", rel: "noopener noreferrer" }, one.text.text);
  const kind = { danger: "button danger", primary: "button primary" }[one.style] ?? "button";
  return el(
    "button",
    {
      type: "button",
      class: kind,
      "aria-label": one.accessibility_label,
      "data-focus": one.action_id,
      "data-action": one.action_id,
      onclick: () => use(one, block, hands),
    },
    one.text.text,
  );
}

function typed(type) {
  return (one, block, hands, id) => {
    const given = {
      id,
      placeholder: one.placeholder?.text,
      maxlength: one.max_length,
      minlength: one.min_length,
      "data-focus": one.action_id,
      autofocus: one.focus_on_load,
      value: hands.value(block, one) ?? one.initial_value ?? "",
      oninput: (event) => hands.hold(block, one, event.target.value),
    };
    return one.multiline ? el("textarea", { rows: 4, ...given }) : el("input", { type, ...given });
  };
}

const option = (value, words, selected) => el("option", { value, selected }, words);

function select(options) {
  return (one, block, hands, id) => {
    const start = hands.value(block, one) ?? one.initial_option?.value ?? "";
    const chosen = (event) => (
      hands.hold(block, one, event.target.value),
      hands.inInput(block) || use(one, block, hands, event.target.value)
    );
    const node = el(
      "select",
      {
        id,
        "data-focus": one.action_id,
        "aria-label": id ? null : (one.placeholder?.text ?? one.action_id),
        onchange: chosen,
      },
      option("", one.placeholder?.text ?? "Choose…", !start),
      options(one, start),
    );
    return node;
  };
}

function given(one, start) {
  const list = (options) => options.map((each) => option(each.value, each.text.text, each.value === start));
  if (!one.option_groups) return list(one.options);
  return one.option_groups.map((group) => el("optgroup", { label: group.label.text }, list(group.options)));
}

const people = (one, start) =>
  store.get("people", []).map((each) => option(each.id, nameOf(each.id), each.id === (start || one.initial_user)));
const channels = (one, start) =>
  store.get("channels", []).map((each) => option(each.id, `#${each.name}`, each.id === (start || one.initial_channel)));

// The bot provides the options, requested while the person types.
function external(one, block, hands, id) {
  const list = el(
    "select",
    {
      "aria-label": "Options",
      "data-focus": one.action_id,
      onchange: (event) => (
        hands.hold(block, one, event.target.value),
        hands.inInput(block) || use(one, block, hands, event.target.value)
      ),
    },
    option("", "Type to search", true),
  );
  const search = async (event) => {
    const query = event.target.value;
    if (query.length < (one.min_query_length ?? 3)) return;
    const told = await hands.suggest(one, query);
    list.replaceChildren(
      option("", "Choose…", true),
      ...(told.options?.options ?? []).map((each) => option(each.value, each.text.text, false)),
    );
  };
  return el(
    "span",
    { class: "external" },
    el("input", {
      id,
      type: "search",
      placeholder: one.placeholder?.text,
      "aria-label": id ? null : "Search",
      oninput: search,
    }),
    list,
  );
}

function boxes(type) {
  return (one, block, hands, id) => {
    const name = `${block.block_id}-${one.action_id}`;
    const chosen = () => [...group.querySelectorAll("input:checked")].map((box) => box.value);
    const changed = () => {
      const value = type === "radio" ? chosen()[0] : chosen();
      hands.hold(block, one, value);
      if (!hands.inInput(block)) use(one, block, hands, value);
    };
    const initial = (one.initial_options ?? [one.initial_option].filter(Boolean)).map((each) => each.value);
    const start = new Set([hands.value(block, one) ?? initial].flat());
    const group = el(
      "span",
      { id, role: type === "radio" ? "radiogroup" : "group", class: "boxes" },
      one.options.map((each) =>
        el(
          "label",
          {},
          el("input", {
            type,
            name,
            value: each.value,
            checked: start.has(each.value),
            "data-focus": `${one.action_id}-${each.value}`,
            onchange: changed,
          }),
          ` ${each.text.text}`,
        ),
      ),
    );
    return group;
  };
}

function multi(options) {
  return (one, block, hands, id) => {
    const changed = (event) => {
      const value = [...event.target.selectedOptions].map((each) => each.value);
      hands.hold(block, one, value);
      if (!hands.inInput(block)) use(one, block, hands, value);
    };
    return el(
      "select",
      {
        id,
        multiple: true,
        "data-focus": one.action_id,
        "aria-label": id ? null : (one.placeholder?.text ?? one.action_id),
        onchange: changed,
      },
      options(one, ""),
    );
  };
}

function overflow(one, block, hands) {
  const chosen = (event) => {
    const value = event.target.value;
    event.target.value = "";
    use(one, block, hands, value);
  };
  return el(
    "select",
    { class: "overflow", "aria-label": "More actions", "data-focus": one.action_id, onchange: chosen },
    option("", "⋯", true),
    given(one, ""),
  );
}

const ELEMENTS = {
  button,
  overflow,
  plain_text_input: typed("text"),
  email_text_input: typed("email"),
  url_text_input: typed("url"),
  number_input: typed("number"),
  datepicker: typed("date"),
  timepicker: typed("time"),
  static_select: select(given),
  users_select: select(people),
  channels_select: select(channels),
  conversations_select: select(channels),
  external_select: external,
  multi_static_select: multi(given),
  multi_users_select: multi(people),
  multi_channels_select: multi(channels),
  checkboxes: boxes("checkbox"),
  radio_buttons: boxes("radio"),
};
