// Announces new messages to screen readers: the sender, and the text that stands for the whole message.

import { nameOf, place } from "./app.js";
import { byId, el } from "./dom.js";
import { mrkdwn } from "./mrkdwn.js";

const KEPT = 20;
const heard = new Set();

export function announce(news, fresh) {
  const messages = Object.entries(news.set)
    .filter(([key]) => key.startsWith("m:"))
    .map(([, message]) => message);
  const unheard = messages.filter((one) => !heard.has(voice(one)));
  for (const one of messages) heard.add(voice(one));
  if (fresh) return;
  const live = byId("live");
  for (const one of unheard) if (one.user !== place.user) live.append(el("p", {}, spoken(one)));
  while (live.children.length > KEPT) live.firstChild.remove();
}

const voice = (message) => `${message.channel}:${message.ts}:${message.text}`;

function spoken(message) {
  const words = el("span", {}, mrkdwn(message.text)).textContent;
  return `${nameOf(message.user)}${message.private ? ", only to you" : ""}: ${words}`;
}
