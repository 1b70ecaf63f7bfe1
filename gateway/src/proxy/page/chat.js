// The chat page: who asks, the conversation, side by side, feedback. Nothing is loaded from elsewhere.
"use strict";
import { $, make } from "./element.js";
import { Refused, call, chat } from "./gateway.js";
import { markdown } from "./markdown.js";
import { showDecision, showOthers, showProfile } from "./why.js";

const say = (text) => { $("notice").textContent = text; };

/** What this browser remembers; without storage it lasts as long as the page. */
const kept = {
  read: (name, otherwise) => { try { return JSON.parse(localStorage.getItem(name)) ?? otherwise; } catch { return otherwise; } },
  write: (name, value) => { try { localStorage.setItem(name, JSON.stringify(value)); } catch { /* full or forbidden */ } },
};

const EXAMPLE_USERS = ["quality-first", "balanced", "cost-first"];
const MOST_CHATS = 30;
const state = {
  users: kept.read("users", []), states: {}, chosen: [kept.read("user", "")], llms: [], asked: [],
  turns: [], id: String(Date.now()), running: null,
};
const mode = () => document.querySelector("input[name=mode]:checked").value;
const user = () => state.chosen[0] ?? "";
const preference = () => ($("declare").checked ? Number($("preference").value) : undefined);
const named = (name) => name || "anonymous";
const hue = (name) => `hue-${[...name].reduce((sum, letter) => (sum * 33 + letter.codePointAt(0)) % 7919, 0) % 6}`;
const initials = (name) => named(name).split(/[\s_.@-]+/).filter(Boolean).slice(0, 2).map((word) => [...word][0]).join("").toUpperCase();

function face(name) {
  const made = make("span", name ? `face ${hue(name)}` : "face", initials(name));
  made.setAttribute("aria-hidden", "true");
  return made;
}

// ---- who asks

async function loadModels() {
  try {
    const { data } = await call("GET", "v1/models");
    const routed = ({ owned_by: owner }) => owner === "personaroute";
    const options = data.map((model) => new Option(routed(model) ? `${model.id} (routed)` : model.id, model.id));
    $("model").replaceChildren(...options);
    state.llms = data.filter((model) => !routed(model)).map(({ id }) => id);
    state.asked = state.llms.slice(0, 2);
    showLlms();
    say("");
  } catch (error) {
    $("model").replaceChildren();
    if (error.status === 401) $("settings").open = true;
    say(error.message);
  }
  await loadUsers();
}

async function loadUsers() {
  const names = [...new Set(["", ...EXAMPLE_USERS, ...state.users, user()])];
  let found = [];
  try {
    const requests = names.map((name) => ({ text: "hello", ...(name ? { user: name } : {}) }));
    ({ decisions: found } = await call("POST", "v1/route", { requests }));
  } catch {
    // A key of its own speaks for one user.
  }
  state.states = Object.fromEntries(names.map((name, place) => [name, found[place]?.user_state]));
  showUsers();
}

const shownUsers = () => ["", ...EXAMPLE_USERS.filter((name) => state.states[name] === "known" || state.states[name] === "adapted"), ...state.users]
  .filter((name, place, all) => all.indexOf(name) === place);

function showUsers() {
  const several = mode() === "users";
  const buttons = shownUsers().map((name) => {
    const button = make("button", "person");
    button.type = "button";
    button.setAttribute("aria-pressed", String(state.chosen.includes(name)));
    const label = make("span", "", named(name));
    label.append(make("small", "", name ? state.states[name] ?? "new" : "nobody in particular"));
    button.append(face(name), label);
    button.onclick = () => choose(name, several);
    return button;
  });
  $("users").replaceChildren(...buttons);
}

function choose(name, several) {
  const has = state.chosen.includes(name);
  if (!several) state.chosen = [name];
  else if (!has) state.chosen = [...state.chosen, name];
  else if (state.chosen.length > 1) state.chosen = state.chosen.filter((other) => other !== name);
  kept.write("user", user());
  showUsers();
  preview();
  showProfile(user());
}

$("somebody").onsubmit = (event) => {
  event.preventDefault();
  const name = $("user").value.trim();
  if (!name) return;
  if (!state.users.includes(name)) state.users.push(name);
  kept.write("users", state.users);
  $("user").value = "";
  choose(name, mode() === "users");
  loadUsers();
};

function showLlms() {
  const buttons = state.llms.map((llm) => {
    const button = make("button", "person", llm);
    button.type = "button";
    button.setAttribute("aria-pressed", String(state.asked.includes(llm)));
    button.onclick = () => {
      const has = state.asked.includes(llm);
      if (!has) state.asked = [...state.asked, llm];
      else if (state.asked.length > 1) state.asked = state.asked.filter((other) => other !== llm);
      showLlms();
    };
    return button;
  });
  $("llms").replaceChildren(...buttons);
}

document.querySelectorAll("input[name=mode]").forEach((radio) => {
  radio.onchange = () => {
    if (mode() === "users") state.chosen = shownUsers().slice(0, 4);
    else state.chosen = [user()];
    $("llm-choice").hidden = mode() !== "llms";
    showUsers();
  };
});

// ---- the preference, with its effect on the question at hand

const question = () => $("text").value.trim() || state.turns.at(-1)?.text || "";
let waiting = 0;

function preview() {
  $("preference-said").value = $("declare").checked ? `${$("preference").value} declared` : "the user's own";
  clearTimeout(waiting);
  waiting = setTimeout(async () => {
    const [text, model] = [question(), $("model").value];
    if (!text || state.running) return;
    try {
      const body = { text, model, ...(user() ? { user: user() } : {}), ...(preference() === undefined ? {} : { preference: preference() }) };
      showDecision(await call("POST", "v1/route", body), user());
      await showOthers(text, model, shownUsers(), user());
    } catch (error) {
      if (!(error instanceof Refused) || error.status !== 400) say(error.message);
    }
  }, 150);
}

$("declare").onchange = preview;
$("preference").oninput = () => { $("declare").checked = true; preview(); };
$("key").onchange = loadModels;
$("sheet").onsubmit = (event) => event.preventDefault();
$("model").onchange = preview;

// ---- the conversation

/** Messages that a user's earlier turns make: what that user, or LLM, answered before. */
function messages(column, until) {
  const earlier = state.turns.slice(0, until).flatMap(({ text, answers }) => {
    const answer = answers.find((other) => other.column === column) ?? answers[0];
    return answer?.text ? [{ role: "user", content: text }, { role: "assistant", content: answer.text }] : [];
  });
  return [...earlier, { role: "user", content: state.turns[until].text }];
}

function columns() {
  if (mode() === "users") return state.chosen.map((name) => ({ column: `user ${name}`, user: name }));
  if (mode() === "llms") return state.asked.map((llm) => ({ column: `llm ${llm}`, user: user(), llm }));
  return [{ column: "one", user: user() }];
}

async function ask(text) {
  const turn = { text, answers: [] };
  state.turns.push(turn);
  const place = state.turns.length - 1;
  if (place === 0) $("talk").replaceChildren();
  turn.shown = showTurn(turn, place);
  await answerAll(turn, place, columns());
}

function showTurn(turn, place) {
  const asked = make("div", "question");
  const edit = make("button", "plain", "Edit");
  edit.type = "button";
  edit.onclick = () => {
    if (state.running) return;
    $("text").value = turn.text;
    cutBack(place);
    $("text").focus();
  };
  asked.append(make("p", "", turn.text), edit);
  const shown = make("div", "columns");
  $("talk").append(asked, shown);
  asked.scrollIntoView({ block: "nearest" });
  return shown;
}

function cutBack(place) {
  state.turns.length = place;
  const parts = [...$("talk").children];
  parts.slice(2 * place).forEach((part) => part.remove());
  if (!place) showEmpty();
}

async function answerAll(turn, place, wanted) {
  const running = new AbortController();
  state.running = running;
  $("send").disabled = true;
  $("stop").hidden = false;
  say("");
  await Promise.all(wanted.map((column) => answer(turn, place, column, running.signal)));
  state.running = null;
  $("send").disabled = false;
  $("stop").hidden = true;
  store();
}

async function answer(turn, place, wanted, signal) {
  const found = { ...wanted, asked: turn.text, text: "" };
  turn.answers = [...turn.answers.filter((other) => other.column !== wanted.column), found];
  const card = newCard(turn, place, found);
  const body = { model: wanted.llm ?? $("model").value, messages: messages(wanted.column, place), ...(wanted.user ? { user: wanted.user } : {}) };
  const began = performance.now();
  try {
    const { decision, pieces } = await chat(body, { preference: preference(), signal });
    found.decision = decision;
    describe(card, found);
    if (place === state.turns.length - 1 && decision.explained) showDecision(decision.explained, wanted.user);
    for await (const piece of pieces) {
      found.first ??= performance.now() - began;
      found.text += piece;
      draw(card, found.text);
    }
  } catch (error) {
    if (error.decision) found.decision = error.decision;
    describe(card, found);
    card.said.append(make("p", error.name === "AbortError" ? "note" : "error", error.name === "AbortError" ? "stopped" : error.message));
  }
  found.took = performance.now() - began;
  describe(card, found);
  card.root.removeAttribute("aria-busy");
  if (place === state.turns.length - 1 && wanted.user === user()) {
    showOthers(turn.text, $("model").value, shownUsers(), user());
    showProfile(user());
  }
}

function newCard(turn, place, found) {
  const root = $("card").content.firstElementChild.cloneNode(true);
  const part = (kind) => root.querySelector(`.${kind}`);
  const card = { root, said: part("said"), part };
  part("face").replaceWith(face(found.user));
  root.setAttribute("aria-busy", "true");
  root.setAttribute("aria-label", `answer for ${named(found.user)}`);
  part("best").hidden = mode() === "one";
  part("copy").onclick = async () => {
    await navigator.clipboard?.writeText(found.text);
    part("copy").textContent = "Copied";
  };
  part("again").onclick = () => { if (!state.running) answerAll(turn, place, [found]); };
  part("reason").onclick = () => { showDecision(found.decision?.explained, found.user); showProfile(found.user); };
  for (const thumbs of ["up", "down"]) part(thumbs).onclick = () => rate(card, found, { thumbs }, thumbs);
  part("best").onclick = () => {
    const llm = (other) => other.llm ?? other.decision?.llm;
    const shown = [...new Set(turn.answers.map(llm).filter(Boolean))];
    if (shown.length > 1) rate(card, found, { best: llm(found), shown }, "best");
    else say("Every answer came from the same LLM: there is nothing to choose.");
  };
  const old = [...turn.shown.children].find((other) => other.dataset.column === found.column);
  root.dataset.column = found.column;
  if (old) old.replaceWith(root);
  else turn.shown.append(root);
  return card;
}

function describe(card, { decision, first, took, user: who }) {
  if (!decision) return;
  card.part("llm").textContent = decision.llm || "no LLM";
  card.part("state").textContent = mode() === "users" ? named(who) : decision.state ? `${decision.state} user` : "";
  const best = decision.explained?.ranking?.find((entry) => entry.llm === decision.llm);
  const give = best?.utility === undefined ? "" : `expected ${best.utility.toFixed(2)} ± ${(best.uncertainty ?? 0).toFixed(2)}`;
  const said = [give, first && `first word ${Math.round(first)} ms`, took && `${Math.round(took)} ms`, decision.fallback && `fell back: ${decision.fallback}`];
  card.part("meta").replaceChildren(...said.filter(Boolean).map((text) => make("span", "", text)));
}

function draw(card, text) {
  const near = $("talk").scrollHeight - $("talk").scrollTop - $("talk").clientHeight < 80;
  card.said.replaceChildren(...markdown(text));
  if (near) $("talk").scrollTop = $("talk").scrollHeight;
}

async function rate(card, found, signal, kind) {
  if (!found.user || !(found.llm || found.decision?.id)) {
    say("Choose a user first: nothing is learned about anonymous requests.");
    return;
  }
  try {
    // An LLM that was asked by name has no decision to speak about.
    const about = found.llm ? { user: found.user, llm: found.llm, text: found.asked } : { decision_id: found.decision.id };
    if (kind === "best") delete about.llm;
    await call("POST", "v1/feedback", { ...about, ...signal });
    for (const name of ["up", "down", "best"]) {
      if ((name === "best") === (kind === "best")) card.part(name).setAttribute("aria-pressed", String(name === kind));
    }
    if (kind === "best") {
      card.root.parentElement.querySelectorAll(".card").forEach((other) => other.classList.toggle("win", other === card.root));
    }
    await showProfile(found.user, true);
    await loadUsers();
    if (!state.running) preview();
  } catch (error) {
    say(error.status === 404 ? "This gateway does not learn from feedback." : error.message);
  }
}

$("forget").onclick = async () => {
  try {
    await call("DELETE", `v1/users/${encodeURIComponent(user())}`);
    await loadUsers();
    await showProfile(user());
    preview();
  } catch (error) {
    say(error.message);
  }
};

// ---- history, in this browser only

function store() {
  const chats = kept.read("chats", []).filter(({ id }) => id !== state.id);
  const turns = state.turns.map(({ text, answers }) => ({ text, answers: answers.map(({ column, user: who, llm, text: said, decision }) => ({ column, user: who, llm, text: said, decision })) }));
  kept.write("chats", [{ id: state.id, turns }, ...chats].slice(0, MOST_CHATS));
  showHistory();
}

function showHistory() {
  const chats = kept.read("chats", []);
  const buttons = chats.map(({ id, turns }) => {
    const button = make("button", "earlier", turns[0]?.text ?? "");
    button.type = "button";
    button.title = turns[0]?.text ?? "";
    if (id === state.id) button.setAttribute("aria-current", "true");
    button.onclick = () => open(id);
    return button;
  });
  $("history").replaceChildren(...buttons);
  $("history-part").hidden = !chats.length;
}

function open(id) {
  const found = kept.read("chats", []).find((other) => other.id === id);
  if (!found || state.running) return;
  Object.assign(state, { id, turns: found.turns });
  $("talk").replaceChildren();
  state.turns.forEach((turn, place) => {
    turn.shown = showTurn(turn, place);
    for (const found of turn.answers) {
      const card = newCard(turn, place, found);
      card.root.removeAttribute("aria-busy");
      describe(card, found);
      draw(card, found.text);
    }
  });
  showHistory();
}

function showEmpty() {
  const empty = $("empty").content.firstElementChild.cloneNode(true);
  empty.querySelectorAll("button").forEach((button) => { button.onclick = () => submit(button.textContent); });
  $("talk").replaceChildren(empty);
}

function fresh() {
  state.running?.abort();
  Object.assign(state, { id: String(Date.now()), turns: [] });
  showEmpty();
  showHistory();
  $("text").focus();
}

$("fresh").onclick = fresh;
$("clear").onclick = () => {
  for (const name of ["chats", "users", "user"]) kept.write(name, null);
  state.users = [];
  fresh();
  showUsers();
};

// ---- the question

function submit(text) {
  if (!text.trim() || state.running) return;
  $("text").value = "";
  ask(text.trim());
}

$("ask").onsubmit = (event) => {
  event.preventDefault();
  submit($("text").value);
};
$("text").onkeydown = (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    submit($("text").value);
  }
};
$("text").oninput = preview;
$("stop").onclick = () => state.running?.abort();
document.onkeydown = (event) => { if (event.key === "Escape") state.running?.abort(); };

showEmpty();
showHistory();
loadModels();
showProfile(user());
