"""Asked in an interpreter: which packages does it have, and are they byte-compiled? Prints one line of JSON."""

from __future__ import annotations

import importlib.util
import json
import platform
import sys
from importlib import metadata
from pathlib import Path


def main() -> None:
    """``probe.py PACKAGE ...``."""
    versions: dict[str, str | None] = {}
    compiled = True
    for name in sys.argv[1:]:
        spec = importlib.util.find_spec(name)
        versions[name] = None if spec is None else _version(name)
        if spec is not None and spec.origin is not None and spec.origin.endswith(".py"):
            compiled = compiled and Path(importlib.util.cache_from_source(spec.origin)).exists()
    print(json.dumps({"python": platform.python_version(), "versions": versions, "byte_compiled": compiled}))


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "?"


if __name__ == "__main__":
    main()
