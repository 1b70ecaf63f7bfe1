"""The interface of LLMRouter's `PersonalizedRouterTrainer`: runs an installed `personaroute-train`."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from .personalized_router import PersonalizedRouter

PROGRAM = "personaroute-train"


class PersonalizedRouterTrainer:
    """Trains the model of a router's configuration and exports it where the router loads it from."""

    def __init__(self, router: PersonalizedRouter, device: str = "cpu", quiet: bool = False) -> None:
        """`device` is `cpu` or `cuda`."""
        self.router = router
        self.device = device
        self.quiet = quiet

    def train(self) -> Path:
        """Trains, exports the bundle and returns its folder; progress goes to standard error.

        Raises FileNotFoundError where `personaroute-train` is not installed, CalledProcessError where it fails.
        """
        program = find_program()
        quiet = ["--quiet"] if self.quiet else []
        config, run = str(self.router.yaml_path), self.router.run
        bundle = run / "bundle"
        _run([program, "train", "--config", config, "--run", str(run), "--device", self.device, *quiet])
        _run([program, "export", "--run", str(run), "--out", str(bundle)])
        self.router._router = None  # The next query opens the new bundle.
        return bundle


def find_program() -> str:
    """Returns the trainer: `PERSONAROUTE_TRAIN`, or `personaroute-train` on the search path."""
    program = os.environ.get("PERSONAROUTE_TRAIN") or shutil.which(PROGRAM)
    if program is None:
        raise FileNotFoundError(
            f"{PROGRAM} is not installed: run `cargo xtask install` in PersonaRoute's repository and put its `bin` folder "
            "on PATH, or set PERSONAROUTE_TRAIN to the program"
        )
    return program


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
