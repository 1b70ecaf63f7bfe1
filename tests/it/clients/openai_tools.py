"""The official OpenAI client, streaming with tools: openai_tools.py BASE_URL. Prints what it saw as one JSON object."""

import json, sys

import openai

client = openai.OpenAI(base_url=sys.argv[1], api_key="any", max_retries=0)
weather = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
                       "additionalProperties": False},
        "strict": True,
    },
}
image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
messages = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "How is the weather there?"}, image]},
]
seen = {"turns": []}


def turn():
    pieces, arguments = [], []
    with client.chat.completions.stream(
        model="auto", messages=messages, tools=[weather], stream_options={"include_usage": True}
    ) as stream:
        for event in stream:
            if event.type == "content.delta":
                pieces += [event.delta] if event.delta else []
            if event.type == "tool_calls.function.arguments.delta":
                arguments.append(event.arguments_delta)
        reply = stream.get_final_completion()
    choice = reply.choices[0]
    calls = choice.message.tool_calls or []
    seen["turns"].append({
        "pieces": pieces, "arguments": arguments, "reason": choice.finish_reason,
        "calls": [[call.id, call.function.name, call.function.arguments] for call in calls],
        "tokens": [reply.usage.prompt_tokens, reply.usage.completion_tokens],
    })
    return choice.message


asked = turn()
messages.append({
    "role": "assistant", "content": asked.content,
    "tool_calls": [{"id": call.id, "type": "function",
                    "function": {"name": call.function.name, "arguments": call.function.arguments}}
                   for call in asked.tool_calls],
})
messages += [{"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in asked.tool_calls]
turn()

messages += [{"role": "assistant", "content": "Sunny."}, {"role": "user", "content": "break"}]
try:
    for chunk in client.chat.completions.create(model="auto", messages=messages, stream=True):
        pass
    seen["broken"] = "read to its end"
except openai.APIError as error:
    seen["broken"] = error.message

print(json.dumps(seen))
