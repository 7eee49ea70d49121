// The messages of a channel or thread: sender, time, content and buttons.

import { act, channelOf, nameOf, openThread, personOf, place, store } from "./app.js";
import { blocks } from "./blocks.js";
import { clock } from "./dates.js";
import { el, fill } from "./dom.js";
import { mrkdwn } from "./mrkdwn.js";

const GROUPED = 5 * 60;
const COLOURS = 8;

export const inChannel = (id) => store.under(`m:${id}:`).sort((one, other) => (one.ts < other.ts ? -1 : 1));

export function showChannel(list) {
  const all = inChannel(place.channel);
  show(
    list,
    all.filter((one) => !one.thread || one.broadcast),
    all,
  );
}

export function showThread(list) {
  const all = inChannel(place.channel);
  show(
    list,
    all.filter((one) => one.ts === place.thread || one.thread === place.thread),
    [],
  );
}

// Keeps a list scrolled to its end if it was there, and leaves the position alone otherwise.
function show(list, messages, all) {
  const stuck = list.scrollHeight - list.scrollTop - list.clientHeight < 60 || !list.children.length;
  const names = JSON.stringify([store.get("people", []).map((one) => one.name), place.user]);
  const items = messages.map((message, index) => ({
    message,
    names,
    follows: follows(message, messages[index - 1]),
    replies: repliesTo(message, all),
    isNew: isFirstNew(message, messages[index - 1]),
  }));
  fill(list, items, { key: (item) => item.message.ts, make: row });
  if (stuck) list.scrollTop = list.scrollHeight;
}

function follows(message, before) {
  if (!before || before.user !== message.user || before.private !== message.private || message.blocks.length)
    return false;
  return Number(message.ts) - Number(before.ts) < GROUPED && !before.blocks.length;
}

function repliesTo(message, all) {
  const replies = all.filter((one) => one.thread === message.ts);
  return replies.length ? { count: replies.length, last: replies.at(-1).ts } : null;
}

function isFirstNew(message, before) {
  const mark = place.newSince ?? "";
  return Boolean(mark) && message.ts > mark && message.user !== place.user && (!before || before.ts <= mark);
}

function row({ message, follows: joined, replies, isNew }) {
  const classes = ["message", joined && "joined", message.private && "private"].filter(Boolean).join(" ");
  return el(
    "li",
    { class: classes, tabindex: "-1" },
    isNew && el("p", { class: "new-mark" }, "New"),
    message.private && el("p", { class: "only-you" }, "Only visible to you"),
    message.broadcast &&
      el(
        "p",
        { class: "only-you" },
        "Replied to a thread: ",
        el("button", { type: "button", class: "inline-link", onclick: () => openThread(message.thread) }, "open it"),
      ),
    el(
      "div",
      { class: "message-row" },
      avatar(message),
      el(
        "div",
        { class: "message-body" },
        head(message),
        el("div", { class: "content" }, content(message)),
        replies && summary(message, replies),
      ),
    ),
  );
}

function avatar(message) {
  if (message.user === store.get("workspace").bot)
    return el("img", { class: "avatar", src: "/static/flowbot.svg", alt: "" });
  return el(
    "span",
    { class: `avatar colour-${colour(message.user)}`, "aria-hidden": "true" },
    nameOf(message.user).slice(0, 1),
  );
}

export function colour(id) {
  return [...id].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 9973, 7) % COLOURS;
}

function head(message) {
  const person = personOf(message.user);
  const badge = person?.kind === "app" ? el("span", { class: "badge" }, "app") : null;
  const at = new Date(Number(message.ts) * 1000).toISOString();
  return el(
    "p",
    { class: "message-head" },
    el("b", {}, nameOf(message.user)),
    badge,
    el("time", { datetime: at }, clock(message.ts)),
    message.edited && el("small", {}, "(edited)"),
  );
}

function content(message) {
  if (!message.blocks.length) return el("p", { class: "plain" }, mrkdwn(message.text));
  return blocks(message.blocks, handsOn(message));
}

// A press refers to the version that this window shows, even if a newer one is on its way, as in Slack's clients.
function handsOn(message) {
  const target = { channel: message.channel, ts: message.ts, version: message.version };
  return {
    inInput: () => false,
    value: () => null,
    hold: () => null,
    press: (one, block, value) => act("click", { ...target, action: one.action_id, value }),
    suggest: (one, query) => act("suggest", { ...target, action: one.action_id, query }),
  };
}

function summary(message, replies) {
  const words = `${replies.count} ${replies.count === 1 ? "reply" : "replies"}`;
  return el(
    "button",
    { type: "button", class: "replies", "data-focus": "replies", onclick: () => openThread(message.ts) },
    words,
    el("small", {}, "last at ", el("time", {}, clock(replies.last))),
  );
}

export function markRead() {
  const last = inChannel(place.channel).at(-1);
  const channel = channelOf(place.channel);
  if (last && channel && last.ts > channel.readTo && document.visibilityState === "visible")
    act("read", { channel: place.channel, ts: last.ts });
}
