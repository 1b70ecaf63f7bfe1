"""personaroute.Router: package.py [[text, user], ...]. Prints what it decided as one JSON object."""

import json, os, sys, tempfile

import numpy

import personaroute

asked = json.loads(sys.argv[1])
router = personaroute.Router()
llms = [candidate.llm for candidate in router.catalog]


def shown(decision):
    return {
        "order": [score.llm for score in decision.ranking],
        "utilities": [score.utility for score in decision.ranking],
        "state": decision.user_state,
    }


seen = {"single": [shown(router.route(text, user=user)) for text, user in asked]}
seen["batch"] = [shown(decision) for decision in router.route_batch({"text": t, "user": u} for t, u in asked)]
if asked:
    scores = router.scores([text for text, _ in asked], users=[user for _, user in asked])
    assert scores.utility.dtype == numpy.float32 and (numpy.sort(scores.order, axis=1) == numpy.arange(len(llms))).all()
    seen["arrays"] = {"best": scores.best, "shape": list(scores.utility.shape)}

text = "Prove that 2 is prime."
before = shown(router.route(text, user="somebody new"))["order"]
liked = before[-1]
low, high = router.reward_range
rated = [
    personaroute.Interaction(llm, high if llm == liked else low, group=group, text=text)
    for group in range(4)
    for llm in (liked, before[0])
]
profile = router.adapt(rated, user="somebody new")
after = shown(router.route(text, user="somebody new", profile=profile))["order"]
seen["adapted"] = {
    "state": profile.state, "interactions": profile.interactions, "liked": liked, "before": before, "after": after
}


def error_of(call):
    try:
        call()
    except Exception as error:
        return [type(error).__name__, str(error)]
    return None


with tempfile.TemporaryDirectory() as empty:
    seen["errors"] = {
        "preference": error_of(lambda: router.route(text, preference=3.0)),
        "bundle": error_of(lambda: personaroute.Router(os.path.join(empty, "absent"))),
        "not a bundle": error_of(lambda: personaroute.Router(empty)),
        "unknown field": error_of(lambda: router.route_batch([{"text": text, "usr": "ada"}])),
        "lengths": error_of(lambda: router.scores(["a", "b"], users=["ada"])),
    }
print(json.dumps(seen))
