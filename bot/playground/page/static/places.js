// The list of channels, the choice of the acting person, and the hint about what to do next.

import { channelOf, move, place, store, titleOf } from "./app.js";
import { byId, el, fill } from "./dom.js";

export function showPlaces(list) {
  const channels = store.get("channels", []);
  fill(list, [{ id: "title" }, ...channels.map((one) => ({ ...one, here: one.id === place.channel }))], {
    key: (one) => one.id,
    make: (one) => (one.id === "title" ? el("h2", {}, "Channels") : channelButton(one)),
  });
}

function channelButton(channel) {
  const number = channel.pings || channel.unread;
  const mark =
    number && !channel.here
      ? el(
          "span",
          { class: channel.pings ? "count pings" : "count" },
          String(number),
          el("span", { class: "unseen" }, channel.pings ? " for you" : " unread"),
        )
      : null;
  const sign = channel.dm ? "● " : channel.private ? "🔒 " : "# ";
  const words = [el("span", { "aria-hidden": "true" }, sign), channel.dm ? titleOf(channel) : channel.name];
  return el(
    "button",
    {
      type: "button",
      class: channel.unread && !channel.here ? "place unread" : "place",
      "aria-current": channel.here ? "page" : null,
      "data-focus": "place",
      onclick: () => move({ channel: channel.id, thread: null }),
    },
    el("span", {}, words),
    mark,
  );
}

const OUTSIDE = ["guest", "single-channel guest", "other organisation", "deactivated"];

// People by relevance: by set, then colleagues in no set, then outsiders.
function sections() {
  const people = store.get("people", []).filter((one) => one.id !== "USLACKBOT" && one.kind !== "app");
  const sections = new Map();
  for (const one of people) {
    const title = OUTSIDE.includes(one.kind) ? "Outside or deactivated" : (one.sets[0] ?? "Colleagues in no set");
    sections.set(title, [...(sections.get(title) ?? []), one]);
  }
  const last = ["Colleagues in no set", "Outside or deactivated"];
  return [...sections].sort(([one], [other]) => last.indexOf(one) - last.indexOf(other));
}

let drawn = "";

export function showActing(select) {
  const now = JSON.stringify([sections(), place.user]);
  if (now === drawn) return;
  drawn = now;
  select.replaceChildren(
    ...sections().map(([title, people]) =>
      el(
        "optgroup",
        { label: title },
        people.map((one) => el("option", { value: one.id, selected: one.id === place.user }, described(one))),
      ),
    ),
  );
}

function described(one) {
  const kind = one.kind === "member" ? one.sets.map((set) => ` · ${set}`).join("") : ` · ${one.kind}`;
  return `${one.name}${kind}${one.pinged && one.id !== place.user ? ` — ${one.pinged} new` : ""}`;
}

// Suggests what to do next: a first command, or acting as somebody who was mentioned.
export function showHint(node, { write, actAs }) {
  const bot = store.get("workspace").bot;
  const cards = store.under("m:").filter((one) => one.user === bot && one.blocks.length);
  const open = cards.some((one) => one.blocks.some((block) => block.type === "actions"));
  const called = store.get("people", []).filter((one) => one.pinged && one.id !== place.user && one.canType);
  const waiting = open ? called.map((one) => ({ kind: "person", ...one })) : [];
  const items = cards.length ? waiting : [{ kind: "try", id: "try" }];
  const able = store.get("me")?.canType && channelOf(place.channel);
  fill(node, able ? items.slice(0, 5) : [], {
    key: (one) => one.id,
    make: (one) => (one.kind === "try" ? tryIt(write) : lookAs(one, actAs)),
  });
}

function tryIt(write) {
  const flow = store.get("flows", []).find((one) => one.status === "ACTIVE");
  const text = `/flow stop ${flow?.name ?? "main-feed"} because the picture loops`;
  return el("p", {}, "Try ", el("button", { type: "button", class: "chip", onclick: () => write(text) }, text));
}

const lookAs = (one, actAs) =>
  el("button", { type: "button", class: "chip", onclick: () => actAs(one.id) }, `Act as ${one.name}, who was mentioned`);

export function showHead() {
  const channel = channelOf(place.channel);
  byId("chat-title").textContent = channel ? titleOf(channel) : "No channel";
  byId("chat-about").textContent = channel
    ? channel.dm
      ? "Direct messages from the app"
      : `${channel.members} members${channel.private ? ", private" : ""}${channel.archived ? ", archived" : ""}`
    : "";
}
