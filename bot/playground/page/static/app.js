// Shared by every part of the page: the store, the acting person, the current channel, and requests to the server.

import { byId } from "./dom.js";
import { Store } from "./store.js";

export const store = new Store();

export const place = { user: "", channel: "", thread: null };

const movers = new Set();

export const onMove = (mover) => movers.add(mover);

export function move(where) {
  Object.assign(place, where);
  for (const mover of movers) mover(where);
}

export function openThread(ts) {
  move({ thread: ts });
}

export function goTo(channel, ts) {
  const message = store.get(`m:${channel}:${ts}`);
  move({ channel, thread: message?.thread && !message.broadcast ? message.thread : null });
  const node = document.querySelector(`[data-key="${CSS.escape(ts)}"]`);
  node?.scrollIntoView({ block: "center" });
  node?.focus();
}

export const act = (name, given) => post("do", name, { as: place.user, ...given });

export const turn = (name, given) => post("set", name, given);

async function post(door, name, given) {
  let told;
  try {
    const response = await fetch(`/${door}/${name}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(given),
    });
    told = response.ok ? await response.json() : { ok: false, problems: [await response.text()] };
  } catch {
    told = { ok: false, problems: ["The playground does not respond. Is it still running?"] };
  }
  if (told.problems?.length) toast(told.problems.join(" · "));
  return told;
}

let fading = 0;

export function toast(words) {
  const node = byId("toast");
  node.textContent = words;
  clearTimeout(fading);
  fading = setTimeout(() => (node.textContent = ""), 8000);
}

export const personOf = (id) => store.get("people", []).find((one) => one.id === id);
export const nameOf = (id) => personOf(id)?.name ?? id;
export const channelOf = (id) => store.get("channels", []).find((one) => one.id === id);
export const groupOf = (id) => store.get("groups", []).find((one) => one.id === id);

export function titleOf(channel) {
  if (!channel) return "";
  return channel.dm ? store.get("workspace").botName : `#${channel.name}`;
}
