"""An agent with PersonaRouteMiddleware: which of two chat models answered whom."""

import asyncio, json

from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage

from personaroute.langchain import PersonaRouteMiddleware


def saying(name):
    return GenericFakeChatModel(messages=iter([AIMessage(name)] * 9))


models = {"GPT-4o": saying("large"), "Llama-3-8B-Instruct": saying("small")}
agent = create_agent(saying("neither"), tools=[], middleware=[PersonaRouteMiddleware(models)])
question = {"messages": [{"role": "user", "content": [{"type": "text", "text": "Prove that 2 is prime."}]}]}
users = ["cost-first", "quality-first"]
seen = {"sync": {}, "async": {}}
for user in users:
    seen["sync"][user] = agent.invoke(question, context={"user_id": user})["messages"][-1].content
    answer = asyncio.run(agent.ainvoke(question, context={"user_id": user}))
    seen["async"][user] = answer["messages"][-1].content
try:
    PersonaRouteMiddleware({"nobody's model": saying("x")})
except ValueError as error:
    seen["unknown"] = str(error)
print(json.dumps(seen))
