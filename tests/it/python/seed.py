"""The page's examples: seed.py CONFIG.yaml. Prints what was selected as one JSON object."""

import json, sys

from personaroute import PersonalizedRouter, PersonalizedRouterTrainer

configuration = sys.argv[1]
seen = {}
router = PersonalizedRouter(yaml_path=configuration)
try:
    router.route_single({"query": "Explain quantum mechanics", "user_id": 0})
except Exception as error:
    seen["before"] = [type(error).__name__, str(error)]

trainer = PersonalizedRouterTrainer(router=router, device="cpu")
trainer.train()

router = PersonalizedRouter(yaml_path=configuration)
query = {"query": "Explain quantum mechanics", "user_id": 0}
result = router.route_single(query)
query2 = {"query": "Explain quantum mechanics", "user_id": 1}
result2 = router.route_single(query2)
seen["single"] = [result["model_name"], result2["model_name"]]

batch = [
    {"query": "What is the capital of France?", "user_id": 0},
    {"query": "Who wrote Romeo and Juliet?", "user_id": 1},
    {"query": "How does photosynthesis work?", "user_id": 0},
]
results = router.route_batch(batch=batch)
seen["batch"] = [result["model_name"] for result in results]
seen["text"] = router.route_batch("plain text")[0]
print(json.dumps(seen))
