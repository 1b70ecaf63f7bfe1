"""The official Anthropic client, streaming with tools: anthropic_tools.py BASE_URL. Prints what it saw as JSON."""

import json, sys

import anthropic

client = anthropic.Anthropic(base_url=sys.argv[1], api_key="any", max_retries=0)
weather = {
    "name": "weather",
    "description": "Tells the weather.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
messages = [{"role": "user", "content": [{"type": "text", "text": "How is the weather there?"}, image]}]
seen = {"turns": []}


def turn():
    pieces, arguments = [], []
    with client.messages.stream(
        model="auto", max_tokens=100, system="Be brief.", messages=messages, tools=[weather]
    ) as stream:
        for event in stream:
            if event.type == "text":
                pieces.append(event.text)
            if event.type == "input_json":
                arguments.append(event.partial_json)
        reply = stream.get_final_message()
    calls = [block for block in reply.content if block.type == "tool_use"]
    seen["turns"].append({
        "pieces": pieces, "arguments": [piece for piece in arguments if piece], "reason": reply.stop_reason,
        "calls": [[call.id, call.name, json.dumps(call.input)] for call in calls],
        "tokens": [reply.usage.input_tokens, reply.usage.output_tokens],
    })
    return reply.content, calls


content, calls = turn()
messages.append({"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in content]})
results = [{"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "sunny"}, image]}
           for call in calls]
messages.append({"role": "user", "content": results})
turn()

messages.append({"role": "assistant", "content": "Sunny."})
messages.append({"role": "user", "content": "break"})
try:
    with client.messages.stream(model="auto", max_tokens=100, messages=messages) as stream:
        for event in stream:
            pass
    seen["broken"] = "read to its end"
except anthropic.APIStatusError as error:
    seen["broken"] = error.body["error"]["message"]

print(json.dumps(seen))
