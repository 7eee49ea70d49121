// Times in the reader's own time zone, as Slack's date notation asks for them.

const DAY = 24 * 3600 * 1000;

const shown = (options) => (at) => new Intl.DateTimeFormat(undefined, options).format(at);

const TOKENS = {
  date: shown({ dateStyle: "long" }),
  date_long: shown({ dateStyle: "full" }),
  date_short: shown({ dateStyle: "medium" }),
  date_num: (at) => at.toISOString().slice(0, 10),
  date_pretty: (at) => near(at) ?? shown({ dateStyle: "long" })(at),
  date_long_pretty: (at) => near(at) ?? shown({ dateStyle: "full" })(at),
  date_short_pretty: (at) => near(at) ?? shown({ dateStyle: "medium" })(at),
  time: shown({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" }),
  time_secs: shown({ hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }),
};

function near(at) {
  const midnight = new Date().setHours(0, 0, 0, 0);
  const days = Math.floor((at - midnight) / DAY);
  return { "-1": "yesterday", 0: "today", 1: "tomorrow" }[days];
}

export function formatted(seconds, format, fallback) {
  const at = new Date(Number(seconds) * 1000);
  if (Number.isNaN(at.getTime())) return fallback;
  const tokens = [...format.matchAll(/\{(\w+)\}/g)].map((found) => found[1]);
  if (!tokens.every((token) => token in TOKENS)) return fallback;
  return format.replace(/\{(\w+)\}/g, (_, token) => TOKENS[token](at));
}

export const clock = (seconds) => TOKENS.time(new Date(Number(seconds) * 1000));
export const clockWithSeconds = (seconds) => TOKENS.time_secs(new Date(Number(seconds) * 1000));
