// Renders Slack's mrkdwn. Text written by people or the cloud can only become text.

import { channelOf, goTo, groupOf, move, nameOf, place, store, toast, personOf } from "./app.js";
import { formatted } from "./dates.js";
import { el } from "./dom.js";

const ATOM = /```([\s\S]+?)```|`([^`\n]+)`|<([^<>\n]+)>/g;
const STYLES = [
  ["strong", /(^|[^\w*])\*(\S(?:[^*\n]*\S)?)\*(?![\w*])/],
  ["em", /(^|[^\w_])_(\S(?:[^_\n]*\S)?)_(?![\w_])/],
  ["s", /(^|[^\w~])~(\S(?:[^~\n]*\S)?)~(?![\w~])/],
];
const HOLD = /(\uE000\d+\uE001)/;
const EMOJI = {
  white_check_mark: "✅",
  x: "❌",
  warning: "⚠️",
  octagonal_sign: "🛑",
  wave: "👋",
  eyes: "👀",
  tada: "🎉",
};

// Short names and ids stay in one piece; long ones may break anywhere.
const codeSpan = (words) => el("code", { class: words.length > 38 ? "long" : null }, words);

const decoded = (text) => text.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");

export function mrkdwn(text) {
  const atoms = [];
  const held = text.replace(/[\uE000\uE001]/g, "\uFFFD").replace(ATOM, (_, pre, code, angle) => {
    atoms.push(pre ? el("pre", {}, decoded(pre)) : code ? codeSpan(decoded(code)) : notation(angle));
    return `\uE000${atoms.length - 1}\uE001`;
  });
  return held.split(/(?<=\n)/).reduce((nodes, line) => [...nodes, ...block(line, atoms)], []);
}

function block(line, atoms) {
  const quoted = /^(?:&gt;|>)\s?(.*)\n?$/.exec(line);
  return quoted ? [el("blockquote", {}, styled(quoted[1], atoms))] : styled(line, atoms);
}

function styled(text, atoms) {
  const first = STYLES.map(([tag, pattern]) => ({ tag, found: pattern.exec(text) }))
    .filter(({ found }) => found)
    .sort((one, other) => one.found.index - other.found.index)[0];
  if (!first) return leaves(text, atoms);
  const { tag, found } = first;
  const start = found.index + found[1].length;
  const end = found.index + found[0].length;
  return [
    ...leaves(text.slice(0, start), atoms),
    el(tag, {}, styled(found[2], atoms)),
    ...styled(text.slice(end), atoms),
  ];
}

function leaves(text, atoms) {
  return text
    .split(HOLD)
    .filter(Boolean)
    .map((part) => {
      const held = /^\uE000(\d+)\uE001$/.exec(part);
      return held ? atoms[Number(held[1])] : document.createTextNode(emoji(decoded(part)));
    });
}

const emoji = (text) => text.replace(/:([a-z_]+):/g, (whole, name) => EMOJI[name] ?? whole);

// The notation between angle brackets.
function notation(inside) {
  const [target, label] = split(inside);
  if (target.startsWith("@")) return pill(`@${nameOf(target.slice(1))}`, target.slice(1) === place.user);
  if (target.startsWith("#")) return channelPill(target.slice(1), label);
  if (target.startsWith("!date^")) return dated(target, label);
  if (target.startsWith("!subteam^")) return groupPill(target.slice(9), label);
  if (target.startsWith("!")) return pill(`@${target.slice(1)}`, true);
  return link(target, label);
}

function split(inside) {
  const bar = inside.indexOf("|");
  return bar < 0 ? [inside, ""] : [inside.slice(0, bar), inside.slice(bar + 1)];
}

const pill = (words, mine) => el("span", { class: mine ? "pill mine" : "pill" }, words);

function groupPill(id, label) {
  const group = groupOf(id);
  return pill(group ? `@${group.name}` : label || `@${id}`, group?.members.includes(place.user));
}

function channelPill(id, label) {
  const channel = channelOf(id);
  if (!channel) return pill(`#${label || id}`, false);
  return el(
    "button",
    { type: "button", class: "pill link", onclick: () => move({ channel: id, thread: null }) },
    `#${channel.name}`,
  );
}

function dated(target, label) {
  const [, seconds, format] = target.split("^");
  const at = new Date(Number(seconds) * 1000);
  const stamp = Number.isNaN(at.getTime()) ? null : at.toISOString();
  return el("time", { datetime: stamp, title: decoded(label) }, formatted(seconds, format ?? "", decoded(label)));
}

function link(target, label) {
  const words = decoded(label || target);
  const address = decoded(target);
  const inside = inThisWorkspace(address);
  if (inside) return el("button", { type: "button", class: "inline-link", onclick: inside }, words);
  if (!/^(https?:\/\/|mailto:)/i.test(address)) return document.createTextNode(`<${words}>`);
  return el("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, words);
}

function inThisWorkspace(address) {
  const site = store.get("workspace")?.site;
  if (!site || !address.startsWith(site)) return null;
  const message = /^archives\/(\w+)\/p(\d+)(\d{6})(?:\?|$)/.exec(address.slice(site.length));
  if (message) return () => goTo(message[1], `${message[2]}.${message[3]}`);
  const person = /^team\/(\w+)$/.exec(address.slice(site.length));
  return person ? () => toast(described(person[1])) : null;
}

function described(id) {
  const person = personOf(id);
  return person ? `${person.name} (${id}): ${[person.kind, ...person.sets].join(", ")}` : `${id} is not a person here`;
}

export function textObject(object) {
  if (!object) return [];
  return object.type === "mrkdwn" ? mrkdwn(object.text) : [document.createTextNode(object.text)];
}
