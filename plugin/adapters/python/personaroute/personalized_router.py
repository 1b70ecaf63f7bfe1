"""The interface of LLMRouter's `PersonalizedRouter`, served by this router."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from .router import Router


class PersonalizedRouter:
    """Routes queries of users by the existing training configuration of PersonalizedRouter users.

    The model is the bundle that training exported beside `model_path.load_model_path` (else `save_model_path`): it is
    opened by the first query, so that a router can be made before it is trained.
    """

    def __init__(self, yaml_path: str | os.PathLike[str]) -> None:
        """Reads the configuration; its paths are relative to the current folder."""
        self.yaml_path = Path(yaml_path)
        config = yaml.safe_load(self.yaml_path.read_text(encoding="utf-8")) or {}
        if not isinstance(config, dict):
            raise ValueError(f"{self.yaml_path}: expected a mapping with `data_path`, `model_path` and `hparam`")
        self.config: dict[str, Any] = config
        self._router: Router | None = None

    @property
    def run(self) -> Path:
        """The folder of the training run: `model_path.save_model_path` without its extension."""
        return self._folder("save_model_path", "load_model_path")

    @property
    def bundle(self) -> Path:
        """The folder of the bundle that queries are routed with."""
        folder = self._folder("load_model_path", "save_model_path")
        return folder if (folder / "manifest.yaml").is_file() else folder / "bundle"

    @property
    def router(self) -> Router:
        """The opened router. Raises FileNotFoundError when there is no trained model."""
        if self._router is None:
            bundle = self.bundle
            if not (bundle / "manifest.yaml").is_file():
                raise FileNotFoundError(
                    f"{bundle}: no trained model; train one with PersonalizedRouterTrainer(router=router).train(), "
                    "or use personaroute.Router() for the default bundle"
                )
            self._router = Router(bundle)
        return self._router

    def route_single(self, query: dict[str, Any]) -> dict[str, Any]:
        """Returns `query` with `model_name`, the best LLM for `query["query"]` and `query["user_id"]` (0 by default)."""
        return self.route_batch(batch=[query])[0]

    def route_batch(self, batch: Any = None, task_name: str | None = None) -> list[dict[str, Any]]:
        """Returns each query of `batch` with `model_name`; a query is a dict as in `route_single`, or its text."""
        if batch is None:
            return []
        queries = [_query(item) for item in (batch if isinstance(batch, list) else [batch])]
        requests = [
            {"text": query["query"], "user": query.get("user_id", 0), "task": query.get("task") or task_name}
            for query in queries
        ]
        decided = zip(queries, self.router.route_batch(requests), strict=True)
        named = {} if task_name is None else {"task_name": task_name}
        return [{**query, "model_name": decision.llm, **named} for query, decision in decided]

    def _folder(self, *keys: str) -> Path:
        paths = self.config.get("model_path") or {}
        named = next((paths[key] for key in keys if paths.get(key)), None)
        if named is None:
            raise ValueError(f"{self.yaml_path}: `model_path.{keys[0]}` is missing")
        return Path(named).with_suffix("")


def _query(item: Any) -> dict[str, Any]:
    query = item if isinstance(item, dict) else {"query": str(item), "user_id": 0}
    if not isinstance(query.get("query"), str):
        raise ValueError("a query needs `query`, its text")
    return query
