// The panel that explains: the ranking as bars, what others would get, and where the user is.
"use strict";
import { $, make } from "./element.js";
import { call } from "./gateway.js";

const number = (value) => (value === undefined || value === null ? "" : value.toFixed(2).replace(/^(-?)0\./, "$1."));

/** Shows a decision as `v1/route` and the header `x-personaroute-explain` describe it. */
export function showDecision(explained, user) {
  if (!explained) return;
  $("why-title").textContent = explained.model ? `Why ${explained.model} for ${user || "anonymous"}` : "Why";
  const shown = explained.ranking.slice(0, 8);
  const scale = (name) => {
    const values = explained.ranking.map((entry) => entry[name]).filter((value) => value !== undefined);
    const [least, most] = [Math.min(...values, 0), Math.max(...values, 0)];
    return (value) => (value === undefined ? 0 : (100 * (value - least)) / (most - least || 1));
  };
  const [utility, effect, cost] = ["utility", "effect", "cost"].map(scale);
  const rows = shown.map((entry, place) => {
    const row = make("div", place ? "row" : "row first");
    const bars = make("div", "bars");
    bars.append(
      bar("of-utility", utility(entry.utility), utility((entry.utility ?? 0) + (entry.uncertainty ?? 0)) - utility(entry.utility)),
      bar("of-effect", effect(entry.effect)),
      bar("of-cost", cost(entry.cost)),
    );
    const said = `utility ${number(entry.utility)} give or take ${number(entry.uncertainty)}, quality ${number(entry.effect)}, cost ${number(entry.cost)}`;
    bars.setAttribute("role", "img");
    bars.setAttribute("aria-label", said);
    row.title = said;
    row.append(make("span", "", entry.llm), bars, make("span", "", number(entry.utility)));
    return row;
  });
  const left = explained.ranking.length - shown.length;
  if (left > 0) rows.push(make("p", "note", `and ${left} more`));
  $("ranking").replaceChildren(...rows);
  const runnerUp = explained.ranking[1] ? ` Runner-up: ${explained.ranking[1].llm}.` : "";
  $("why").textContent = `${explained.why.replace(/\.$/, "")}.${runnerUp}`;
  $("why").hidden = false;
}

function bar(kind, width, spread = 0) {
  const made = make("div", `bar ${kind}`);
  made.style.width = `${Math.max(0, Math.min(100, width))}%`;
  if (spread > 0) {
    const whisker = make("i", "");
    whisker.style.right = `${-spread / 2}px`;
    whisker.style.width = `${spread}px`;
    made.append(whisker);
  }
  return made;
}

/** Asks what others would get for the same text, where the caller may know. */
export async function showOthers(text, model, users, self) {
  const others = users.filter((user) => user !== self).slice(0, 6);
  $("others").hidden = true;
  if (!others.length || !text) return;
  try {
    const requests = others.map((user) => ({ model, text, ...(user ? { user } : {}) }));
    const { decisions } = await call("POST", "v1/route", { requests });
    const said = decisions.map((decision, place) => make("p", "", `${others[place] || "anonymous"} would get ${decision.model ?? decision.error?.message ?? "no answer"}.`));
    $("others").replaceChildren(...said);
    $("others").hidden = false;
  } catch {
    // A key that may not speak for others sees nothing of them.
  }
}

let before = null;

/** Shows what is known about a user: position, signals, and where the last signal moved it. */
export async function showProfile(user, moved = false) {
  $("profile").hidden = true;
  if (!user) return;
  let known;
  try {
    known = await call("GET", `v1/users/${encodeURIComponent(user)}`);
  } catch {
    return; // The gateway does not learn, or the key may not see this user.
  }
  const preference = known.preference?.declared ?? known.preference?.learned ?? known.preference?.trained;
  const signals = known.signals ?? 0;
  $("profile-title").textContent = `Where ${user} is`;
  const place = (value) => String(14 + 262 * (value ?? 0.5));
  const last = moved && before?.user === user ? before.preference : preference;
  for (const [id, name, value] of [["was", "cx", last], ["moved", "x1", last], ["moved", "x2", preference], ["is", "cx", preference]]) {
    $(id).setAttribute(name, place(value));
  }
  const where = preference === undefined || preference === null ? "no preference known yet" : `gives quality a weight of ${number(preference)}`;
  $("profile-said").textContent = `${known.state ?? "unknown"} · ${signals} ${signals === 1 ? "signal" : "signals"} · ${where}${moved && last !== preference ? `, ${number(last)} before` : ""}`;
  $("profile").hidden = false;
  before = { user, preference };
}
