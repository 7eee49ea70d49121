// Assembles the page: reads the acting person from the URL, follows the server, and renders changes.

import { act, channelOf, move, onMove, place, store, titleOf } from "./app.js";
import { announce } from "./announce.js";
import { composer } from "./composer.js";
import { byId } from "./dom.js";
import { markRead, showChannel, showThread } from "./messages.js";
import { showModal } from "./modals.js";
import { showPanel } from "./panel.js";
import { showActing, showHead, showHint, showPlaces } from "./places.js";

const writing = composer(byId("composer"), { id: "composer-input", inThread: false });
const replying = composer(byId("thread-composer"), { id: "reply-input", inThread: true });

function draw() {
  settle();
  showHead();
  showPlaces(byId("places"));
  showActing(byId("acting"));
  showChannel(byId("messages"));
  drawThread();
  showModal();
  showPanel(byId("panel"));
  describeComposers();
  showHint(byId("hint"), { write: writing.write, actAs });
  markRead();
}

// If the acting person is not in the open channel, their first one opens.
function settle() {
  if (channelOf(place.channel)) return;
  place.channel = store.get("channels", [])[0]?.id ?? "";
  place.newSince = channelOf(place.channel)?.readTo ?? "";
}

function drawThread() {
  const open = Boolean(place.thread);
  byId("thread").hidden = !open;
  document.body.classList.toggle("in-thread", open);
  if (open) showThread(byId("replies"));
}

function describeComposers() {
  const me = store.get("me");
  const channel = channelOf(place.channel);
  const able = Boolean(me?.canType && channel && !channel.archived);
  const why = me && !me.canType ? `${me.name} is deactivated and can no longer use Slack` : "You are in no channel";
  writing.describe(able ? `Message ${titleOf(channel)}, or type /flow` : why, able);
  replying.describe(able ? "Reply, or mention @flowbot" : why, able);
}

function actAs(user) {
  const address = new URL(location.href);
  address.searchParams.set("as", user);
  history.replaceState(null, "", address);
  place.user = user;
  place.thread = null;
  place.newSince = "";
  byId("second-window").href = address.href;
  store.connect(user, { lost });
}

function lost(isLost) {
  byId("lost").hidden = !isLost;
  byId("lost").textContent = isLost
    ? "The playground does not respond. This page reconnects when it is running again."
    : "";
}

function showTab(name) {
  document.body.dataset.tab = name;
  for (const tab of ["chat", "panel"]) byId(`tab-${tab}`).setAttribute("aria-pressed", String(tab === name));
}

function togglePanel() {
  const open = byId("panel").hidden;
  byId("panel").hidden = !open;
  byId("panel-toggle").setAttribute("aria-expanded", String(open));
}

function closeThread() {
  const root = place.thread;
  move({ thread: null });
  document.querySelector(`[data-key="${CSS.escape(root)}"] .replies`)?.focus();
}

onMove((where) => {
  if (where.channel) place.newSince = channelOf(place.channel)?.readTo ?? "";
  if (where.channel) byId("messages").replaceChildren();
  if (where.thread) byId("replies").replaceChildren();
  draw();
  if (where.thread) byId("thread-title").focus();
});

byId("acting").addEventListener("change", (event) => actAs(event.target.value));
byId("panel-toggle").addEventListener("click", togglePanel);
byId("tab-chat").addEventListener("click", () => showTab("chat"));
byId("tab-panel").addEventListener("click", () => showTab("panel"));
byId("thread-close").addEventListener("click", closeThread);
byId("thread").addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !event.defaultPrevented) closeThread();
});
document.addEventListener("visibilitychange", markRead);
store.listen((news, fresh) => {
  if (fresh) byId("messages").replaceChildren();
  draw();
  announce(news, fresh);
});

actAs(new URL(location.href).searchParams.get("as"));
