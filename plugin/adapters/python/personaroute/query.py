"""The query of a chat: what the hosts' adapters hand to the router."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any


def last_user_text(messages: Iterable[Mapping[str, Any]]) -> str:
    """Returns the text of the last user message of OpenAI-style messages, text parts joined; empty without one."""
    of_users = [message for message in messages if message.get("role") == "user"]
    return text_of(of_users[-1].get("content")) if of_users else ""


def text_of(content: Any) -> str:
    """Returns the text of a message's content: a string, or its text parts joined by line breaks."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part if isinstance(part, str) else part.get("text") for part in parts if isinstance(part, (str, Mapping))]
    return "\n".join(text for text in texts if isinstance(text, str))


def catalog_names(
    names: Iterable[str], models: Mapping[str, str], given: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Returns the bundle's LLM for each of a host's names that has one.

    `given` names LLMs explicitly; otherwise a name is matched with the catalog's ids and upstream names, without the
    provider before a slash and without regard to case.
    """
    known: dict[str, str] = {}
    for llm, model in models.items():
        for name in (model, llm):
            known.setdefault(_plain(name), llm)
    lookup: Callable[[str], str | None] = lambda name: (given or {}).get(name) or known.get(_plain(name))
    found = {name: lookup(name) for name in names}
    return {name: llm for name, llm in found.items() if llm is not None}


def _plain(name: str) -> str:
    return name.rsplit("/", 1)[-1].lower()
