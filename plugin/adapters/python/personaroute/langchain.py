"""LangChain: an agent middleware that gives each model call to the user's best chat model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse

from .query import catalog_names, text_of
from .router import Router


class PersonaRouteMiddleware(AgentMiddleware):
    """Chooses among `models` before every model call of an agent.

    `models` maps names (the bundle's LLMs, or what their upstreams call them) to chat models. `user` finds the user's id
    in a request; by default `user_id` of the runtime's context. A turn without new text of the user (tool results) keeps
    the decision, as its last user message is the same.
    """

    def __init__(
        self,
        models: Mapping[str, Any],
        *,
        router: Router | None = None,
        llms: Mapping[str, str] | None = None,
        user: Callable[[ModelRequest], str | None] | None = None,
        preference: float | None = None,
    ) -> None:
        super().__init__()
        self.router = router or Router()
        named = catalog_names(models, self.router.models, llms)
        if not named:
            raise ValueError(f"none of the models {sorted(models)} is an LLM of the bundle; name them with `llms`")
        self._models = {llm: models[name] for name, llm in named.items()}
        self._user = user or _user_of_context
        self._preference = preference

    def wrap_model_call(self, request: ModelRequest, handler: Callable[[ModelRequest], ModelResponse]) -> ModelResponse:
        return handler(self._routed(request))

    async def awrap_model_call(
        self, request: ModelRequest, handler: Callable[[ModelRequest], Awaitable[ModelResponse]]
    ) -> ModelResponse:
        return await handler(self._routed(request))

    def _routed(self, request: ModelRequest) -> ModelRequest:
        of_users = [message for message in request.messages if message.type == "human"]
        text = text_of(of_users[-1].content) if of_users else ""
        decision = self.router.route(
            text, user=self._user(request), preference=self._preference, candidates=list(self._models)
        )
        model = self._models.get(decision.llm or "")
        return request if model is None else request.override(model=model)


def _user_of_context(request: ModelRequest) -> str | None:
    context = getattr(request.runtime, "context", None)
    found = context.get("user_id") if isinstance(context, Mapping) else getattr(context, "user_id", None)
    return None if found is None else str(found)
