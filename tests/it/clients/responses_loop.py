"""The official clients for Python in tool loops with parallel calls: responses_loop.py BASE_URL. Prints what it saw as JSON."""

import json, sys

import anthropic, openai

base_url = sys.argv[1]
client = openai.OpenAI(base_url=base_url, api_key="any", max_retries=0)
schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
question = {"role": "user", "content": "How is the weather in Oslo and in Rome?"}
seen = {}


def responses(stream, is_stored):
    tools = [{"type": "function", "name": "weather", "description": "Tells.", "parameters": schema, "strict": False}]
    given, previous, calls = [question], None, []
    for _ in range(3):
        request = {"model": "auto", "input": given, "tools": tools}
        if previous:
            request["previous_response_id"] = previous
        if stream:
            with client.responses.stream(**request) as events:
                for event in events:
                    pass
                response = events.get_final_response()
        else:
            response = client.responses.create(**request)
        asked = [item for item in response.output if item.type == "function_call"]
        if not asked:
            return {"calls": calls, "text": response.output_text}
        calls += [[call.name, json.loads(call.arguments)["city"]] for call in asked]
        outputs = [{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"} for call in asked]
        previous = response.id if is_stored else None
        dump = [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in response.output]
        given = outputs if is_stored else given + dump + outputs


def chat():
    tools = [{"type": "function", "function": {"name": "weather", "description": "Tells.", "parameters": schema}}]
    messages, calls = [question], []
    for _ in range(3):
        reply = client.chat.completions.create(model="auto", messages=messages, tools=tools).choices[0].message
        if not reply.tool_calls:
            return {"calls": calls, "text": reply.content}
        messages.append(reply.model_dump(exclude_none=True))
        for call in reply.tool_calls:
            calls.append([call.function.name, json.loads(call.function.arguments)["city"]])
            messages.append({"role": "tool", "tool_call_id": call.id, "content": "sunny"})


def messages():
    other = anthropic.Anthropic(base_url=base_url.removesuffix("/v1"), api_key="any", max_retries=0)
    tools = [{"name": "weather", "description": "Tells.", "input_schema": schema}]
    turns, calls = [question], []
    for _ in range(3):
        reply = other.messages.create(model="auto", max_tokens=100, messages=turns, tools=tools)
        asked = [block for block in reply.content if block.type == "tool_use"]
        if not asked:
            return {"calls": calls, "text": "".join(block.text for block in reply.content)}
        calls += [[call.name, call.input["city"]] for call in asked]
        turns.append({"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in reply.content]})
        results = [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"} for call in asked]
        turns.append({"role": "user", "content": results})


for stream in (False, True):
    for is_stored in (False, True):
        seen[f"responses, stream {stream}, by id {is_stored}"] = responses(stream, is_stored)
seen["chat"], seen["messages"] = chat(), messages()
print(json.dumps(seen))
