"""PersonaRouteSelector: which choice it selects for whom."""

import json

from llama_index.core.tools import ToolMetadata

from personaroute.llama_index import PersonaRouteSelector

choices = [ToolMetadata(description="", name="gpt-4o"), ToolMetadata(description="", name="Llama-3-8B-Instruct")]
seen = {"selected": {}}
for user in ["cost-first", "quality-first"]:
    result = PersonaRouteSelector(user=user).select(choices, "Prove that 2 is prime.")
    seen["selected"][user] = result.inds
    seen["reason"] = result.reasons[0]
print(json.dumps(seen))
