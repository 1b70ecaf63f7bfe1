"use strict";
const $ = (id) => document.getElementById(id);
const talk = [];
const add = (parent, kind, text = "") => {
  const element = document.createElement("div");
  element.className = kind;
  element.textContent = text;
  parent.append(element);
  return element;
};

// The key lives in the page alone: it is neither stored nor put into an address.
const credentials = () => ($("key").value ? { authorization: `Bearer ${$("key").value}` } : {});
const failure = async (response) => {
  const told = await response.json().catch(() => null);
  return new Error(told?.error?.message || `the gateway answered ${response.status}`);
};

async function loadModels() {
  $("models-error").textContent = "";
  try {
    const response = await fetch("v1/models", { headers: credentials() });
    if (!response.ok) throw await failure(response);
    const { data } = await response.json();
    const options = data.map(({ id, owned_by }) => new Option(owned_by === "personaroute" ? `${id} (routed)` : id, id));
    $("model").replaceChildren(...options);
  } catch (error) {
    $("model").replaceChildren();
    $("models-error").textContent = error.message;
  }
}
loadModels();
$("key").onchange = loadModels;
$("declare").onchange = () => { $("preference").disabled = !$("declare").checked; };
$("preference").oninput = () => { $("shown").value = $("preference").value; };
$("text").onkeydown = (event) => {
  if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); $("ask").requestSubmit(); }
};

function explain(turn, response) {
  const model = response.headers.get("x-personaroute-model");
  const told = JSON.parse(response.headers.get("x-personaroute-explain") || "null");
  const pick = add(turn, "pick");
  const name = document.createElement("b");
  name.textContent = model || "no model";
  const state = response.headers.get("x-personaroute-user-state");
  const fallback = response.headers.get("x-personaroute-fallback");
  pick.append(name, `${state ? ` · ${state} user` : ""}${fallback ? ` · fell back: ${fallback}` : ""}`);
  if (!told) return;
  const more = document.createElement("details");
  const summary = document.createElement("summary");
  summary.textContent = told.why;
  more.append(summary);
  const table = document.createElement("table");
  const number = (value) => (value === undefined ? "" : value.toFixed(3));
  const rows = [["LLM", "utility", "quality", "cost"],
    ...told.ranking.map((entry) => [entry.llm, number(entry.utility), number(entry.effect), number(entry.cost)])];
  rows.forEach((cells, index) => {
    const row = table.insertRow();
    for (const text of cells) {
      const cell = document.createElement(index ? "td" : "th");
      cell.textContent = text;
      row.append(cell);
    }
  });
  more.append(table);
  turn.append(more);
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const parts = rest.split(/\r?\n\r?\n/);
    rest = parts.pop();
    for (const part of parts) {
      const data = part.split(/\r?\n/).filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim()).join("\n");
      if (data && data !== "[DONE]") yield JSON.parse(data);
    }
  }
}

$("ask").onsubmit = async (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text) return;
  $("text").value = "";
  $("send").disabled = true;
  add(add($("talk"), "turn"), "said mine", text);
  const turn = add($("talk"), "turn");
  talk.push({ role: "user", content: text });
  const headers = { "content-type": "application/json", "x-personaroute-explain": "1", ...credentials() };
  if ($("declare").checked) headers["x-personaroute-preference"] = $("preference").value;
  const body = { model: $("model").value, messages: talk, stream: true };
  if ($("user").value.trim()) body.user = $("user").value.trim();
  let answer = "";
  try {
    const response = await fetch("v1/chat/completions", { method: "POST", headers, body: JSON.stringify(body) });
    explain(turn, response);
    const said = add(turn, "said");
    if (!response.ok) throw await failure(response);
    for await (const chunk of events(response.body)) {
      if (chunk.error) throw new Error(chunk.error.message);
      answer += chunk.choices?.[0]?.delta?.content || "";
      said.textContent = answer;
      turn.scrollIntoView({ block: "end" });
    }
    talk.push({ role: "assistant", content: answer });
  } catch (error) {
    talk.pop();
    add(turn, "error", error.message);
  }
  $("send").disabled = false;
  $("text").focus();
};
