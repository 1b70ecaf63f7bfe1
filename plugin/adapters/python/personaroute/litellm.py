"""LiteLLM: a routing plugin for its router and proxy, and a pre-call hook for versions without routing plugins.

In a module beside the proxy's configuration:

    from personaroute.litellm import PersonaRoutePlugin
    plugin = PersonaRoutePlugin()

and in the configuration, with every LLM as a deployment of one model group such as `auto`:

    router_settings: {plugins: [module.plugin]}
    litellm_settings: {callbacks: [module.plugin]}
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from litellm.integrations.custom_logger import CustomLogger

from ._native import Decision
from .query import catalog_names, last_user_text
from .router import Router

LOG = logging.getLogger("personaroute")
SIGNAL = "personaroute"


class _Decider(CustomLogger):
    """What both adapters share: the decision, its headers, and LLMs that rest after a failure."""

    def __init__(
        self,
        router: Router | None = None,
        *,
        llms: Mapping[str, str] | None = None,
        rest_seconds: float = 60.0,
        default_preference: float | None = None,
    ) -> None:
        """`llms` maps LiteLLM's model names to the bundle's LLMs where their names differ.

        A model that failed is no candidate for `rest_seconds`. `default_preference` (0..1) is used for users the bundle
        does not know.
        """
        super().__init__()
        self._router = router
        self._llms = llms
        self._rest_seconds = rest_seconds
        self._default_preference = default_preference
        self._resting: dict[str, float] = {}

    @property
    def router(self) -> Router:
        if self._router is None:
            self._router = Router()
        return self._router

    async def decide(
        self, models: Sequence[str], messages: Sequence[Mapping[str, Any]], metadata: Mapping[str, Any]
    ) -> tuple[str, Decision] | None:
        """Returns the model to use and the decision; None leaves the choice to LiteLLM (fail open)."""
        try:
            return await asyncio.to_thread(self._decide, models, messages, metadata)
        except Exception:
            LOG.exception("no decision: LiteLLM chooses")
            return None

    def _decide(
        self, models: Sequence[str], messages: Sequence[Mapping[str, Any]], metadata: Mapping[str, Any]
    ) -> tuple[str, Decision] | None:
        now = time.monotonic()
        awake = [model for model in models if self._resting.get(model, 0.0) <= now] or list(models)
        known = catalog_names(awake, self.router.models, self._llms)
        if not known:
            return None
        text, user = last_user_text(messages), user_of(metadata)
        preference = self._default_preference
        if preference is not None and user is not None and self.router.profile(user).state == "known":
            preference = None
        decision = self.router.route(text, user=user, preference=preference, candidates=list(dict.fromkeys(known.values())))
        chosen = next((model for model, llm in known.items() if llm == decision.llm), None)
        return None if chosen is None else (chosen, decision)

    async def _succeeded(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        for name in _names(kwargs):
            self._resting.pop(name, None)

    async def _failed(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        for name in _names(kwargs):
            self._resting[name] = time.monotonic() + self._rest_seconds

    async def _headers(self, data: Any, *_: Any, **__: Any) -> dict[str, str] | None:
        """The decision in the proxy's response headers."""
        metadata = data.get("metadata") or data.get("litellm_metadata") or {}
        signals = metadata.get("routing_plugin_signals") or {}
        return signals.get(SIGNAL) or metadata.get(SIGNAL)


class PersonaRoutePlugin(_Decider):
    """A routing plugin: of the deployments of a model group it leaves the user's best."""

    # LiteLLM calls the hooks that the class itself has, and passes over inherited ones.
    async_log_success_event = _Decider._succeeded
    async_log_failure_event = _Decider._failed
    async_post_call_response_headers_hook = _Decider._headers

    async def run(self, context: Any) -> Any:
        if len(context.candidate_models) < 2:
            return context
        messages = context.structured_messages or context.raw_messages
        found = await self.decide(context.candidate_models, messages, context.metadata)
        if found is not None:
            model, decision = found
            context.candidate_models = [model]
            context.signals[SIGNAL] = described(decision)
        return context


class PersonaRouteHook(_Decider):
    """A pre-call hook: replaces the model name `virtual_model` by the user's best of `models`."""

    # LiteLLM calls the hooks that the class itself has, and passes over inherited ones.
    async_log_success_event = _Decider._succeeded
    async_log_failure_event = _Decider._failed
    async_post_call_response_headers_hook = _Decider._headers

    def __init__(self, models: Sequence[str], *, virtual_model: str = "auto", **options: Any) -> None:
        """`models` are `model_name`s of the proxy's model list."""
        super().__init__(**options)
        self._models = list(models)
        self._virtual_model = virtual_model

    async def async_pre_call_hook(self, user_api_key_dict: Any, cache: Any, data: Any, call_type: Any) -> Any:
        if data.get("model") != self._virtual_model:
            return data
        metadata = data.setdefault("metadata", {})
        known = {"user_api_key_end_user_id": data.get("user"), "user_api_key_user_id": user_api_key_dict.user_id}
        found = await self.decide(self._models, data.get("messages") or [], known)
        if found is None:
            data["model"] = self._models[0]
            return data
        data["model"], decision = found
        metadata[SIGNAL] = described(decision)
        return data


def user_of(metadata: Mapping[str, Any]) -> str | None:
    """Returns the request's end user (OpenAI's `user`), else the owner of the key."""
    for key in ("user_api_key_end_user_id", "user_api_key_user_id"):
        if metadata.get(key) is not None:
            return str(metadata[key])
    return None


def described(decision: Decision) -> dict[str, str]:
    """Returns the headers that describe a decision."""
    return {"x-personaroute-model": decision.llm or "", "x-personaroute-user-state": decision.user_state}


def _names(kwargs: Mapping[str, Any]) -> set[str]:
    """The names under which a finished call's deployment may stand in `candidate_models` or `models`."""
    parameters = kwargs.get("litellm_params") or {}
    metadata = parameters.get("metadata") or {}
    names = {kwargs.get("model"), metadata.get("model_group"), metadata.get("deployment")}
    provider = parameters.get("custom_llm_provider") or kwargs.get("custom_llm_provider")
    if provider and kwargs.get("model"):
        names.add(f"{provider}/{kwargs['model']}")
    return {name for name in names if isinstance(name, str)}
