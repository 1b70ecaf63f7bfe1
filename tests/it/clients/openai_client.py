"""The official OpenAI client against the gateway: openai_client.py BASE_URL. Prints what it saw as one JSON object."""

import asyncio, json, sys

import openai

base_url = sys.argv[1]
client = openai.OpenAI(base_url=base_url, api_key="any", max_retries=0)
question = [{"role": "user", "content": "How many primes are below 100?"}]
seen = {}

seen["models"] = [model.id for model in client.models.list()]

raw = client.chat.completions.with_raw_response.create(
    model="auto", messages=question, user="anna", temperature=0.5, extra_body={"x_unknown": {"kept": [1, 2.50, None]}}
)
reply = raw.parse()
seen["content"] = reply.choices[0].message.content
seen["tokens"] = reply.usage.total_tokens
seen["chosen"] = raw.headers.get("x-personaroute-model")
seen["decision"] = raw.headers.get("x-personaroute-decision")
seen["unknown"] = reply.model_extra.get("x_unknown")

pieces = []
for chunk in client.chat.completions.create(model="auto", messages=question, user="anna", stream=True):
    if chunk.choices and chunk.choices[0].delta.content:
        pieces.append(chunk.choices[0].delta.content)
seen["pieces"] = pieces


async def stream_async():
    asynchronous = openai.AsyncOpenAI(base_url=base_url, api_key="any", max_retries=0)
    stream = await asynchronous.chat.completions.create(model="auto", messages=question, stream=True)
    return [chunk.choices[0].delta.content async for chunk in stream if chunk.choices and chunk.choices[0].delta.content]


seen["async_pieces"] = asyncio.run(stream_async())

seen["direct"] = client.chat.completions.create(model=sys.argv[2], messages=question).choices[0].message.content

try:
    client.chat.completions.create(model="no-such-model", messages=question)
except openai.NotFoundError as error:
    seen["not_found"] = {"status": error.status_code, "code": error.code, "message": error.body.get("message")}

try:
    client.chat.completions.create(model="auto", messages=[])
except openai.BadRequestError as error:
    seen["no_messages"] = {"status": error.status_code, "param": error.body.get("param")}

print(json.dumps(seen))
