// The Vercel AI SDK in tool loops over each of its providers: vercel_loop.mjs BASE_URL. Prints what it saw as JSON.

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

// Warnings would be printed between the results.
globalThis.AI_SDK_LOG_WARNINGS = false;

const baseURL = process.argv[2];
const openai = createOpenAI({ baseURL, apiKey: "any" });
const anthropic = createAnthropic({ baseURL, apiKey: "any" });
const seen = {};

function request(model, calls) {
  const weather = tool({
    description: "Tells the weather.",
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => {
      calls.push(["weather", city]);
      return "sunny";
    },
  });
  const prompt = "How is the weather in Oslo and in Rome?";
  return { model, prompt, tools: { weather }, stopWhen: stepCountIs(3), maxRetries: 0 };
}

for (const [name, model] of Object.entries({
  responses: openai("auto"),
  chat: openai.chat("auto"),
  messages: anthropic("auto"),
})) {
  const whole = [];
  const text = (await generateText(request(model, whole))).text;
  seen[name] = { calls: whole, text };
  const streamed = [];
  const stream = streamText({ ...request(model, streamed), onError: ({ error }) => { throw error; } });
  for await (const part of stream.fullStream) if (part.type === "error") throw part.error;
  seen[`${name}, streamed`] = { calls: streamed, text: await stream.text };
}
console.log(JSON.stringify(seen));
