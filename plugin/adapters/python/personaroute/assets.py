"""Finds the bundle, the plugin and ONNX Runtime with which a router is opened.

Each is taken from the first of: the argument, its environment variable, what the package holds.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

DATA = Path(__file__).parent / "data"


def bundle(given: str | os.PathLike[str] | None) -> Path:
    """Returns the folder of the bundle: `given`, `PERSONAROUTE_BUNDLE`, or the default bundle of the package."""
    return _existing("bundle", given, "PERSONAROUTE_BUNDLE", DATA / "bundle")


def plugin(given: str | os.PathLike[str] | None) -> Path:
    """Returns the plugin's component: `given`, `PERSONAROUTE_PLUGIN`, or the one of the package."""
    return _existing("plugin", given, "PERSONAROUTE_PLUGIN", DATA / "personaroute.wasm")


def onnxruntime(given: str | os.PathLike[str] | None) -> Path:
    """Returns ONNX Runtime's library: `given`, `ORT_DYLIB_PATH`, or the one of the package `onnxruntime`."""
    named = given or os.environ.get("ORT_DYLIB_PATH")
    if named:
        return Path(named)
    package = importlib.util.find_spec("onnxruntime")
    if package is None or package.origin is None:
        raise FileNotFoundError("ONNX Runtime is missing: `pip install onnxruntime`, or set ORT_DYLIB_PATH to its library")
    folder = Path(package.origin).parent / "capi"
    found = sorted(folder.glob("libonnxruntime.so.*")) + sorted(folder.glob("libonnxruntime*.dylib"))
    if not found:
        raise FileNotFoundError(f"{folder}: no library of ONNX Runtime; set ORT_DYLIB_PATH to it")
    return found[-1]


def _existing(what: str, given: str | os.PathLike[str] | None, variable: str, default: Path) -> Path:
    path = Path(given or os.environ.get(variable) or default)
    if not path.exists():
        raise FileNotFoundError(f"{what}: {path} does not exist; name one, or set {variable}")
    return path
