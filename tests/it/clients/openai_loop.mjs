// OpenAI's client for Node in tool loops: openai_loop.mjs BASE_URL PACKAGE. Prints what it saw as JSON.

const [baseURL, name] = process.argv.slice(2);
const { default: OpenAI } = await import(name);
const client = new OpenAI({ baseURL, apiKey: "any", maxRetries: 0 });
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const question = { role: "user", content: "How is the weather in Oslo and in Rome?" };
const seen = {};

async function chat(stream) {
  const tools = [{ type: "function", function: { name: "weather", description: "Tells the weather.", parameters } }];
  const messages = [question];
  const calls = [];
  for (let turn = 0; turn < 3; turn++) {
    let message;
    if (stream) {
      message = { role: "assistant", content: "", tool_calls: [] };
      let reason = null;
      for await (const chunk of await client.chat.completions.create({ model: "auto", messages, tools, stream: true })) {
        const choice = chunk.choices[0];
        if (!choice) continue;
        message.content += choice.delta.content ?? "";
        for (const call of choice.delta.tool_calls ?? []) {
          const known = (message.tool_calls[call.index] ??= { id: call.id, type: "function", function: { name: "", arguments: "" } });
          known.function.name += call.function.name ?? "";
          known.function.arguments += call.function.arguments ?? "";
        }
        reason = choice.finish_reason ?? reason;
      }
      if (!reason) throw new Error("the stream has no finish reason");
      if (!message.tool_calls.length) delete message.tool_calls;
    } else {
      message = (await client.chat.completions.create({ model: "auto", messages, tools })).choices[0].message;
    }
    messages.push(message);
    if (!message.tool_calls) return { calls, text: message.content };
    for (const call of message.tool_calls) {
      calls.push([call.function.name, JSON.parse(call.function.arguments).city]);
      messages.push({ role: "tool", tool_call_id: call.id, content: "sunny" });
    }
  }
}

async function responses(stream, isStored) {
  const tools = [{ type: "function", name: "weather", description: "Tells the weather.", parameters, strict: false }];
  let input = [question];
  let previous;
  const calls = [];
  for (let turn = 0; turn < 3; turn++) {
    const request = { model: "auto", input, tools, previous_response_id: previous };
    let response;
    if (stream) {
      const numbers = [];
      for await (const event of await client.responses.create({ ...request, stream: true })) {
        numbers.push(event.sequence_number);
        if (event.type === "response.completed") response = event.response;
      }
      if (numbers.some((number, at) => number !== at)) throw new Error(`events are numbered ${numbers}`);
    } else {
      response = await client.responses.create(request);
    }
    const asked = response.output.filter((item) => item.type === "function_call");
    if (!asked.length) {
      const said = response.output.filter((item) => item.type === "message").flatMap((item) => item.content);
      return { calls, text: said.map((part) => part.text).join("") };
    }
    const outputs = asked.map((call) => ({ type: "function_call_output", call_id: call.call_id, output: "sunny" }));
    calls.push(...asked.map((call) => [call.name, JSON.parse(call.arguments).city]));
    previous = isStored ? response.id : undefined;
    input = isStored ? outputs : [...input, ...response.output, ...outputs];
  }
}

seen["chat"] = await chat(false);
seen["chat, streamed"] = await chat(true);
if (client.responses && name === "openai") {
  seen["responses"] = await responses(false, false);
  seen["responses, streamed"] = await responses(true, false);
  seen["responses by id"] = await responses(false, true);
  seen["responses by id, streamed"] = await responses(true, true);
}
console.log(JSON.stringify(seen));
