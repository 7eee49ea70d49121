// Renders Block Kit: every block that the bot sends and other common ones; for unknown blocks, their type.

import { el } from "./dom.js";
import { element } from "./elements.js";
import { mrkdwn, textObject } from "./mrkdwn.js";

// `hands` says what happens when something is pressed or chosen: see messages.js and modals.js.
export function blocks(list, hands) {
  return list.map((block) => (BLOCKS[block.type] ?? unknown)(block, hands));
}

const unknown = (block) => el("p", { class: "unknown" }, `This page cannot show a block of type “${block.type}”.`);

function section(block, hands) {
  const fields = (block.fields ?? []).map((field) => el("div", { class: "field" }, textObject(field)));
  return el(
    "div",
    { class: "section" },
    el(
      "div",
      { class: "section-text" },
      block.text && el("p", {}, textObject(block.text)),
      fields.length ? el("div", { class: "fields" }, fields) : null,
    ),
    block.accessory ? element(block.accessory, block, hands) : null,
  );
}

function context(block) {
  const parts = block.elements.map((one) => (one.type === "image" ? image(one) : el("span", {}, textObject(one))));
  return el("div", { class: "context" }, parts);
}

function actions(block, hands) {
  return el(
    "div",
    { class: "actions" },
    block.elements.map((one) => element(one, block, hands)),
  );
}

function input(block, hands) {
  const id = `in-${block.block_id}`;
  const error = hands.errors?.[block.block_id];
  const notes = [
    block.hint && el("p", { id: `${id}-hint`, class: "field-hint" }, block.hint.text),
    error && el("p", { id: `${id}-error`, class: "field-error" }, error),
  ];
  const control = element(block.element, block, hands, id);
  const described = notes.filter(Boolean).map((note) => note.id);
  if (described.length) control.setAttribute("aria-describedby", described.join(" "));
  if (error) control.setAttribute("aria-invalid", "true");
  if (!block.optional) control.setAttribute("aria-required", "true");
  const optional = block.optional ? el("small", {}, " (optional)") : null;
  if (control.matches("[role]")) control.setAttribute("aria-labelledby", `${id}-label`); // a label cannot name a group
  const label = el("label", { id: `${id}-label`, for: id }, block.label.text, optional);
  return el("div", { class: "input" }, label, control, notes);
}

// External images are named, not fetched: the page works without a network.
const image = (block) =>
  el("span", { class: "image", role: "img", "aria-label": block.alt_text }, `🖼 ${block.alt_text}`);

function richText(block) {
  return el("div", { class: "rich" }, (block.elements ?? []).map(richPart));
}

const RICH = {
  rich_text_section: (part) => el("p", {}, part.elements.map(richLeaf)),
  rich_text_quote: (part) => el("blockquote", {}, part.elements.map(richLeaf)),
  rich_text_preformatted: (part) => el("pre", {}, part.elements.map(richLeaf)),
  rich_text_list: (part) =>
    el(
      part.style === "ordered" ? "ol" : "ul",
      {},
      part.elements.map((one) => el("li", {}, richPart(one))),
    ),
};

const richPart = (part) => (RICH[part.type] ?? unknown)(part);

const STYLED = { bold: "strong", italic: "em", strike: "s", code: "code" };

function richLeaf(leaf) {
  if (leaf.type === "text") {
    const styles = Object.keys(STYLED).filter((name) => leaf.style?.[name]);
    return styles.reduce((inner, name) => el(STYLED[name], {}, inner), document.createTextNode(leaf.text));
  }
  const notation = {
    user: `<@${leaf.user_id}>`,
    channel: `<#${leaf.channel_id}>`,
    usergroup: `<!subteam^${leaf.usergroup_id}>`,
    link: `<${leaf.url}|${leaf.text ?? leaf.url}>`,
    emoji: `:${leaf.name}:`,
    broadcast: `<!${leaf.range}>`,
  }[leaf.type];
  return notation ? el("span", {}, mrkdwn(notation)) : unknown(leaf);
}

const BLOCKS = {
  section,
  context,
  actions,
  input,
  image,
  header: (block) => el("h3", { class: "block-header" }, block.text.text),
  divider: () => el("hr"),
  markdown: (block) => el("p", { class: "markdown" }, block.text),
  rich_text: richText,
};
