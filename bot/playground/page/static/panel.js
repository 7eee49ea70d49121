// The control panel: the state of the cloud, Slack, the bot and its database, and switches that make them fail.

import { nameOf, store, turn } from "./app.js";
import { clockWithSeconds } from "./dates.js";
import { doctor } from "./doctor.js";
import { el, fill } from "./dom.js";

const SWITCHES = [
  [
    "The cloud",
    [
      ["slow", "Slow", "a stop takes 6 seconds; meanwhile the card says “Calling”"],
      ["lost", "Lost reply", "the stop works but its reply is lost: the bot reads the flow back before it says “stopped”"],
      ["error", "Error 500", "a stop fails with an error that leaves its outcome open"],
      ["throttled", "Limit 429", "the gateway refuses a stop because of too many calls"],
      ["unreadable", "Unreadable", "flows cannot be read: no request opens"],
      ["down", "Down", "no connection: nothing is sent"],
    ],
  ],
  [
    "Slack",
    [
      ["slack_limited", "Limit 429", "every call gets a 429 and must wait a second"],
      ["slack_down", "Down", "the bot cannot ask Slack who somebody is, so it refuses"],
    ],
  ],
  ["The database", [["locked", "Locked", "nothing can be written: commands are refused, with a message"]]],
];

let built = false;
const parts = {};

export function showPanel(panel) {
  if (!built) build(panel);
  drawBot();
  drawSwitches();
  parts.doctor.draw();
  fill(parts.flows, store.get("flows", []), { key: (one) => one.id, make: flowRow });
  fill(parts.requests, store.get("requests", []), { key: (one) => one.id, make: requestRow });
  fill(parts.cloud, newestFirst("c:"), { key: (one) => one.key, make: cloudRow });
  fill(parts.slack, newestFirst("s:"), { key: (one) => one.key, make: slackRow });
  fill(parts.people, rights(), { key: (one) => one.id, make: personRow });
  fill(parts.audit, store.get("audit", []), { key: (one) => one.id, make: auditRow });
  fill(parts.log, logLines(), { key: (one) => one.key, make: logRow });
}

function build(panel) {
  parts.bot = el("div", { class: "bot" });
  parts.switches = el("div", { class: "switches" });
  parts.doctor = doctor();
  // A list can be longer than its frame; it needs a place in the tab order to be scrolled by keyboard.
  const list = (name, title, open) =>
    part(title, open, (parts[name] = el("ul", { class: `rows ${name}`, tabindex: 0, "aria-label": title })));
  panel.append(
    el("h2", {}, "Control panel"),
    part("The bot", true, parts.bot),
    list("flows", "Flows", true),
    list("requests", "Requests", true),
    part("Failures", true, parts.switches),
    part("Doctor", true, ...parts.doctor.parts),
    list("cloud", "Calls to the cloud", true),
    list("slack", "Calls to Slack", false),
    list("people", "People’s rights", false),
    list("audit", "Audit", false),
    list("log", "The bot’s log", false),
  );
  built = true;
}

const part = (title, open, ...inside) =>
  el("details", { open, class: "part" }, el("summary", {}, el("h3", {}, title)), ...inside);

const newestFirst = (prefix) =>
  store
    .under(prefix)
    .map((one, index) => ({ ...one, key: `${one.at}-${index}` }))
    .sort((one, other) => other.at - one.at);

const logLines = () =>
  store
    .get("log", [])
    .map((one, index) => ({ ...one, key: `${one.timestamp}-${index}` }))
    .reverse();

const BOT_WORDS = {
  ready: "running",
  starting: "starting…",
  killed: "killed",
  stopped: "stopped",
  ended: "exited by itself",
};

function drawBot() {
  const bot = store.get("bot");
  if (!bot) return;
  const waiting = Object.entries(store.get("inbox", {}))
    .filter(([state]) => state !== "done")
    .reduce((sum, [, number]) => sum + number, 0);
  const items = [{ ...bot, waiting }];
  fill(parts.bot, items, { key: () => "bot", make: botRow });
}

function botRow(bot) {
  const about = [
    bot.pid && `process ${bot.pid}`,
    bot.starts > 1 && `started ${bot.starts} times`,
    bot.waiting ? `${bot.waiting} waiting in the inbox` : "inbox empty",
  ]
    .filter(Boolean)
    .join(" · ");
  const running = bot.state === "ready";
  return el(
    "div",
    { class: "bot-row" },
    el("p", { class: `state ${bot.state}` }, el("b", {}, BOT_WORDS[bot.state] ?? bot.state), el("small", {}, about)),
    el(
      "button",
      {
        type: "button",
        class: running ? "button danger" : "button primary",
        "data-focus": "bot",
        disabled: bot.state === "starting",
        onclick: () => turn("bot", { do: running ? "kill" : "start" }),
      },
      running ? "Kill the bot now" : "Start the bot",
    ),
  );
}

function drawSwitches() {
  const on = new Set(store.get("switches", []));
  if (!parts.switches.children.length) parts.switches.append(...SWITCHES.map(switchGroup));
  for (const box of parts.switches.querySelectorAll("input")) box.checked = on.has(box.name);
  const names = SWITCHES.flatMap(([whose, list]) =>
    list.filter(([name]) => on.has(name)).map(([, label]) => `${whose}: ${label}`),
  );
  document.body.dataset.trouble = names.length ? "yes" : "no";
}

function switchGroup([title, list]) {
  return el("fieldset", {}, el("legend", {}, title), el("div", { class: "switch-list" }, list.map(oneSwitch)));
}

function oneSwitch([name, label, about]) {
  const onchange = (event) => turn("switch", { name, on: event.target.checked });
  return el(
    "label",
    { class: "switch", title: about },
    el("input", { type: "checkbox", role: "switch", name, onchange }),
    el("span", {}, el("b", {}, label), el("small", {}, ` ${about}`)),
  );
}

function flowRow(flow) {
  const other = flow.status === "ACTIVE" ? "STANDBY" : "ACTIVE";
  return el(
    "li",
    {},
    el("span", {}, el("b", {}, flow.name), el("small", {}, `${flow.project} · …${flow.id.slice(-4)}`)),
    el("span", { class: `tag ${flow.status}` }, flow.status),
    el(
      "button",
      {
        type: "button",
        class: "quiet",
        "data-focus": "flow",
        "aria-label": `Set ${flow.name} to ${other}, as in the cloud’s console`,
        onclick: () => turn("flow", { project: flow.projectId, flow: flow.id, status: other }),
      },
      flow.status === "ACTIVE" ? "stop" : "start",
    ),
  );
}

function requestRow(request) {
  const what = `${request.dry_run ? "dry run: " : ""}${request.verb} ${request.flow}`;
  const about = `${nameOf(request.user)} · ${request.votes} vote${request.votes === 1 ? "" : "s"} · …${request.id.slice(-4)} v${request.version}`;
  return el(
    "li",
    {},
    el("span", {}, el("b", {}, what), el("small", {}, about)),
    el("span", { class: `tag ${request.state}` }, request.state),
    el("span", { class: `tag ${request.progress}` }, request.progress),
  );
}

function cloudRow(call) {
  const path = call.path.replace(/^\/v1\/[^/]+/, "");
  const flow = call.flow ? ` …${call.flow.slice(-4)}` : "";
  const took = call.took === null ? "no answer" : `${Math.round(call.took * 1000)} ms`;
  return el(
    "li",
    { title: call.path },
    el("time", {}, clockWithSeconds(call.at)),
    el("b", { class: `method ${call.method}` }, call.method),
    el("span", { class: "path" }, path + flow),
    el("span", { class: `status s${String(call.status ?? "none")[0]}` }, String(call.status ?? "—")),
    el("small", {}, took),
  );
}

function slackRow(call) {
  return el(
    "li",
    {},
    el("time", {}, clockWithSeconds(call.at)),
    el("span", { class: "path" }, call.method),
    el(
      "span",
      { class: `status s${call.error ? "4" : String(call.status ?? "n")[0]}` },
      call.error || String(call.status ?? "—"),
    ),
  );
}

function rights() {
  const groups = store.get("groups", []);
  return store
    .get("people", [])
    .filter((one) => one.id !== "USLACKBOT" && one.kind !== "app" && !one.stranger)
    .map((one) => ({
      id: one.id,
      name: one.name,
      kind: one.kind,
      sets: one.sets,
      groups: groups.map((group) => ({ id: group.id, name: group.name, in: group.members.includes(one.id) })),
    }));
}

function personRow(one) {
  const kinds = ["member", "guest", "deactivated", ...(one.kind === "single-channel guest" ? [one.kind] : [])];
  const kind = el(
    "select",
    {
      "aria-label": `Account type: ${one.name}`,
      "data-focus": "kind",
      onchange: (event) => turn("person", { user: one.id, kind: event.target.value }),
    },
    kinds.map((each) => el("option", { value: each, selected: each === one.kind }, each)),
  );
  const groups = one.groups.map((group) =>
    el(
      "label",
      { class: "in-group" },
      el("input", {
        type: "checkbox",
        checked: group.in,
        "data-focus": group.id,
        onchange: (event) => turn("group", { group: group.id, user: one.id, in: event.target.checked }),
      }),
      ` @${group.name}`,
    ),
  );
  return el(
    "li",
    {},
    el("span", {}, el("b", {}, one.name), el("small", {}, one.sets.join(", ") || "in no set")),
    kind,
    el("span", {}, groups),
  );
}

function auditRow(event) {
  return el(
    "li",
    {},
    el("time", {}, clockWithSeconds(event.at)),
    el("b", {}, event.what),
    el("span", { class: "path" }, event.user ? nameOf(event.user) : "flowbot"),
    el("small", {}, event.request ? `…${event.request.slice(-4)}` : ""),
  );
}

function logRow(line) {
  return el(
    "li",
    { class: line.level },
    el("small", {}, line.level ?? ""),
    el("span", { class: "path" }, line.event ?? ""),
  );
}
