// The gateway's API as the page uses it. The key lives in the page alone: it is neither stored nor put into an address.
"use strict";

const key = () => document.getElementById("key").value;
const headers = (more = {}) => ({ "content-type": "application/json", ...(key() ? { authorization: `Bearer ${key()}` } : {}), ...more });

/** What the gateway refused, in words, with its status. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const ADVICE = {
  401: "Give an API key under Settings.",
  403: "This key may not do that.",
  404: "",
  429: "Too many requests: wait a moment and send it again.",
  502: "No LLM could answer: send it again, or see the gateway's log.",
  503: "The gateway is busy or stopping: send it again in a moment.",
  504: "The LLM took too long: send it again.",
};

async function refused(response) {
  const told = await response.json().catch(() => null);
  const said = told?.error?.message || `the gateway answered ${response.status}`;
  return new Refused(response.status, [said, ADVICE[response.status]].filter(Boolean).join(". ").replace("..", "."));
}

/** Sends a request and returns the JSON of its answer; an answer that is no success is thrown as `Refused`. */
export async function call(method, path, body, more) {
  let response;
  try {
    const init = { method, headers: headers(more), body: body === undefined ? undefined : JSON.stringify(body) };
    response = await fetch(path, init);
  } catch {
    throw new Refused(0, "The gateway does not answer: is it running?");
  }
  if (!response.ok) throw await refused(response);
  return response.json().catch(() => ({}));
}

/** Asks for a streamed chat answer; returns what its headers say, and its pieces of text. */
export async function chat(body, { preference, candidates, signal }) {
  const more = { "x-personaroute-explain": "1" };
  if (preference !== undefined) more["x-personaroute-preference"] = String(preference);
  if (candidates) more["x-personaroute-candidates"] = candidates.join(",");
  let response;
  try {
    const init = { method: "POST", headers: headers(more), body: JSON.stringify({ ...body, stream: true }), signal };
    response = await fetch("v1/chat/completions", init);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "The gateway does not answer: is it running?");
  }
  const told = (name) => response.headers.get(`x-personaroute-${name}`);
  const decision = {
    id: told("decision"), llm: told("model"), state: told("user-state"), fallback: told("fallback"),
    explained: JSON.parse(told("explain") || "null"),
  };
  if (!response.ok) throw Object.assign(await refused(response), { decision });
  return { decision, pieces: pieces(response.body) };
}

async function* pieces(body) {
  for await (const data of events(body)) {
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new Refused(502, chunk.error.message);
    const text = chunk.choices?.[0]?.delta?.content;
    if (text) yield text;
  }
  throw new Refused(502, "The answer was cut off: regenerate it");
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
      if (data) yield data;
    }
  }
}
