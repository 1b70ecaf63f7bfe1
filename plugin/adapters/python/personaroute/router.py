"""The router with Python's defaults: parts that are found, candidates from the catalog, batches as arrays."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import _native, assets
from ._native import Candidate, Decision, Interaction, Profile


class Router:
    """Ranks LLMs for (user, query) with a model bundle.

    One router serves any number of threads; calls release the interpreter's lock.

    >>> router = Router()
    >>> decision = router.route("Prove that 2 is prime.", user="ada", preference=0.9)
    >>> decision.llm in {candidate.llm for candidate in router.catalog}
    True
    """

    def __init__(
        self,
        bundle: str | os.PathLike[str] | None = None,
        *,
        plugin: str | os.PathLike[str] | None = None,
        onnxruntime: str | os.PathLike[str] | None = None,
        encoder: str | os.PathLike[str] | None = None,
        deadline_seconds: float | None = None,
    ) -> None:
        """Opens the bundle in the folder `bundle`, by default the one of the package.

        Raises OpenError, or FileNotFoundError for a part that is not there.
        """
        self._native = _native.Router(
            assets.bundle(bundle),
            assets.plugin(plugin),
            assets.onnxruntime(onnxruntime),
            encoder=encoder,
            deadline_seconds=deadline_seconds,
        )
        self._catalog = self._native.catalog
        self._by_llm = {candidate.llm: candidate for candidate in self._catalog}

    @property
    def catalog(self) -> list[Candidate]:
        """The LLMs of the bundle, with their prices in USD per million tokens."""
        return list(self._catalog)

    @property
    def models(self) -> dict[str, str]:
        """What the upstream of each LLM of the catalog calls it."""
        return dict(self._native.models)

    @property
    def reward_range(self) -> tuple[float, float]:
        """The least and the largest reward of the training data."""
        return self._native.reward_range

    @property
    def tasks(self) -> list[str]:
        """The names of the bundle's tasks."""
        return self._native.tasks

    def route(
        self,
        text: str,
        *,
        user: str | int | None = None,
        task: str | None = None,
        preference: float | None = None,
        candidates: Sequence[str | Candidate] | None = None,
        prompt_tokens: int = 0,
        profile: Profile | None = None,
    ) -> Decision:
        """Ranks `candidates`, by default the whole catalog, for a query, best first.

        `preference` (0 cost only, 1 effect only) replaces the user's own; `profile` replaces the user's profile in the
        bundle. Raises ValueError for a bad request, TimeoutError past the deadline, RouteError for anything else.
        """
        request = self._request(text, user, task, preference, candidates, prompt_tokens, profile)
        return self._native.route(request)

    def route_batch(self, requests: Iterable[Mapping[str, Any]]) -> list[Decision]:
        """Ranks the candidates of many requests, each the keyword arguments of `route` with `text`.

        Raises the first request's exception, if one fails.
        """
        results = self._native.route_batch([self._request_of(request) for request in requests])
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return results

    def scores(
        self,
        texts: Sequence[str],
        *,
        users: Sequence[str | int | None] | None = None,
        tasks: Sequence[str | None] | None = None,
        preferences: Sequence[float] | None = None,
        candidates: Sequence[str | Candidate] | None = None,
    ) -> BatchScores:
        """Returns the scores of all candidates for many queries as numpy arrays of shape `[queries, candidates]`.

        `users`, `tasks` and `preferences` (a sequence or an array) have one entry for each text.
        """
        import numpy

        listed = self._candidates(candidates)
        column = {candidate.llm: place for place, candidate in enumerate(listed)}
        requests = [
            {"text": text, "user": user, "task": task, "preference": preference, "candidates": listed}
            for text, user, task, preference in zip(
                texts,
                _column(users, len(texts), "users"),
                _column(tasks, len(texts), "tasks"),
                _column(preferences, len(texts), "preferences"),
                strict=True,
            )
        ]
        shape = (len(requests), len(listed))
        utility, effect, cost, uncertainty = (numpy.empty(shape, dtype=numpy.float32) for _ in range(4))
        order = numpy.empty(shape, dtype=numpy.int64)
        for row, decision in enumerate(self.route_batch(requests)):
            for rank, score in enumerate(decision.ranking):
                place = column[score.llm]
                order[row, rank] = place
                utility[row, place] = score.utility
                effect[row, place] = score.effect
                cost[row, place] = score.cost
                uncertainty[row, place] = score.uncertainty
        return BatchScores([candidate.llm for candidate in listed], order, utility, effect, cost, uncertainty)

    def profile(self, user: str | int) -> Profile:
        """Returns the user's profile in the bundle; for a user it does not know, the population prior."""
        return self._native.profile(str(user)) or self._native.prior()

    def adapt(self, interactions: Sequence[Interaction], *, user: str | int | None = None) -> Profile:
        """Returns the profile of a user after these interactions, for `route(profile=...)`.

        The value of a rating is a reward within `reward_range`; of a choice, 1 for the best response of its `group` and 0 for
        the others. A known user starts from the bundle's profile, anybody else from the population prior.
        """
        profile = self._native.prior() if user is None else self.profile(user)
        return self._native.adapt(profile, list(interactions))

    def _request_of(self, request: Mapping[str, Any]) -> _native.Request:
        known = {"text", "user", "task", "preference", "candidates", "prompt_tokens", "profile"}
        unknown = sorted(set(request) - known)
        if unknown:
            raise TypeError(f"unknown field {unknown[0]!r} of a request; known are {', '.join(sorted(known))}")
        if "text" not in request:
            raise TypeError("a request needs `text`")
        return self._request(
            request["text"],
            request.get("user"),
            request.get("task"),
            request.get("preference"),
            request.get("candidates"),
            request.get("prompt_tokens") or 0,
            request.get("profile"),
        )

    def _request(
        self,
        text: str,
        user: str | int | None,
        task: str | None,
        preference: float | None,
        candidates: Sequence[str | Candidate] | None,
        prompt_tokens: int,
        profile: Profile | None,
    ) -> _native.Request:
        return _native.Request(
            text,
            self._candidates(candidates),
            user=None if user is None else str(user),
            task=task,
            preference=None if preference is None else float(preference),
            prompt_tokens=prompt_tokens,
            profile=profile,
        )

    def _candidates(self, candidates: Sequence[str | Candidate] | None) -> list[Candidate]:
        if candidates is None:
            return self._catalog
        return [self._candidate(candidate) for candidate in candidates]

    def _candidate(self, candidate: str | Candidate) -> Candidate:
        if isinstance(candidate, Candidate):
            return candidate
        # An LLM that the bundle does not know is scored by its prior; a Candidate gives its prices.
        return self._by_llm.get(candidate) or Candidate(candidate)


@dataclass(frozen=True)
class BatchScores:
    """Scores of candidates for many queries; every array has the shape `[queries, candidates]`."""

    llms: list[str]
    """The candidates in the order of the columns."""
    order: Any
    """Columns of the candidates, best first (int64)."""
    utility: Any
    """Expected reward for the user (float32)."""
    effect: Any
    """Expected quality (float32)."""
    cost: Any
    """Expected cost (float32)."""
    uncertainty: Any
    """Standard deviation of the expected reward (float32)."""

    @property
    def best(self) -> list[str]:
        """The best candidate of each query."""
        return [self.llms[place] for place in self.order[:, 0]]


def _column(values: Sequence[Any] | None, count: int, name: str) -> Sequence[Any]:
    if values is None:
        return [None] * count
    if len(values) != count:
        raise ValueError(f"{name}: {len(values)} entries for {count} texts")
    return values
