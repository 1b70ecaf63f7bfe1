"""The official Anthropic client against the gateway: anthropic_client.py BASE_URL. Prints what it saw as JSON."""

import json, sys

import anthropic

client = anthropic.Anthropic(base_url=sys.argv[1], api_key="any", max_retries=0)
question = [{"role": "user", "content": "How many primes are below 100?"}]
seen = {}

reply = client.messages.create(model="auto", max_tokens=100, messages=question, metadata={"user_id": "anna"})
seen["content"] = reply.content[0].text

with client.messages.stream(model="auto", max_tokens=100, messages=question) as stream:
    seen["pieces"] = list(stream.text_stream)

try:
    client.messages.create(model="no-such-model", max_tokens=100, messages=question)
except anthropic.NotFoundError as error:
    seen["not_found"] = error.status_code

print(json.dumps(seen))
