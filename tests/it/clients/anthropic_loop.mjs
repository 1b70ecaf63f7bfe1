// Anthropic's client for Node in tool loops: anthropic_loop.mjs BASE_URL. Prints what it saw as JSON.

import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: process.argv[2].replace(/\/v1$/, ""), apiKey: "any", maxRetries: 0 });
const input_schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tools = [{ name: "weather", description: "Tells the weather.", input_schema }];

async function loop(stream) {
  const messages = [{ role: "user", content: "How is the weather in Oslo and in Rome?" }];
  const calls = [];
  for (let turn = 0; turn < 3; turn++) {
    const request = { model: "auto", max_tokens: 100, messages, tools };
    const reply = stream ? await client.messages.stream(request).finalMessage() : await client.messages.create(request);
    const asked = reply.content.filter((block) => block.type === "tool_use");
    if (!asked.length) return { calls, text: reply.content.map((block) => block.text ?? "").join("") };
    calls.push(...asked.map((call) => [call.name, call.input.city]));
    messages.push({ role: "assistant", content: reply.content });
    const result = (call) => ({ type: "tool_result", tool_use_id: call.id, content: "sunny" });
    messages.push({ role: "user", content: asked.map(result) });
  }
}

console.log(JSON.stringify({ messages: await loop(false), "messages, streamed": await loop(true) }));
