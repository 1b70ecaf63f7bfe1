"""LlamaIndex: a selector that picks the user's best LLM among a router query engine's choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llama_index.core.base.base_selector import BaseSelector, SelectorResult, SingleSelection
from llama_index.core.schema import QueryBundle
from llama_index.core.tools.types import ToolMetadata

from .query import catalog_names
from .router import Router


class PersonaRouteSelector(BaseSelector):
    """Selects one of the choices, whose names are LLMs of the bundle or what their upstreams call them."""

    def __init__(
        self,
        *,
        router: Router | None = None,
        llms: Mapping[str, str] | None = None,
        user: str | None = None,
        preference: float | None = None,
    ) -> None:
        self._router = router or Router()
        self._llms = llms
        self.user = user
        self._preference = preference

    def _select(self, choices: Sequence[ToolMetadata], query: QueryBundle) -> SelectorResult:
        names = [choice.get_name() for choice in choices]
        known = catalog_names(names, self._router.models, self._llms)
        if not known:
            raise ValueError(f"none of the choices {names} is an LLM of the bundle; name them with `llms`")
        decision = self._router.route(
            query.query_str, user=self.user, preference=self._preference, candidates=list(dict.fromkeys(known.values()))
        )
        place = next(place for place, name in enumerate(names) if known.get(name) == decision.llm)
        return SelectorResult(selections=[SingleSelection(index=place, reason=decision.why)])

    async def _aselect(self, choices: Sequence[ToolMetadata], query: QueryBundle) -> SelectorResult:
        return self._select(choices, query)

    def _get_prompts(self) -> dict[str, Any]:
        return {}

    def _update_prompts(self, prompts: dict[str, Any]) -> None:
        """There are no prompts: the choice is no LLM's."""
