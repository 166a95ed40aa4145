"""Runs the Python blocks of docs/pages and writes the pages with what they print and draw into docs/built, for mkdocs.

``python docs/execute.py``; ``--notebook`` also writes the tutorial as docs/tutorial.ipynb.

A page whose text and whose brim have not changed is taken from docs/.cache.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import hashlib
import io
import json
import re
import shutil
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGES, BUILT, CACHE = HERE / "pages", HERE / "built", HERE / ".cache"
#: Pages that are written elsewhere and shown as they are.
PLAIN = {"gallery.md": HERE / "gallery.md", "benchmarks.md": HERE / "benchmarks.md", "differences.md": HERE / "differences.md"}
BLOCK = re.compile(r"^```python\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
#: A bar in a cell of a table, which GitHub wants escaped and Python-Markdown takes as it is inside code.
BAR = re.compile(r"^\|.*$", re.MULTILINE)
#: Links to files of the repository, which are not part of the site.
OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./[^)]+\)")
#: A link to another page of the site.
PAGE_LINK = re.compile(r"\[([^\]]+)\]\([\w-]+\.md\)")
#: What a page that has been run is made of.
PART = re.compile(
    r'^```python\n(?P<code>.*?)^```\n|^```text title="output"\n(?P<output>.*?)^```\n|^!\[[^\]]*\]\((?P<figure>figures/[^)]+)\)[^\n]*\n'
    r"|(?P<words>(?:(?!```python\n|```text title|!\[)[^\n]*\n)+)",
    re.MULTILINE | re.DOTALL,
)
WIDTH = 100


def digest() -> str:
    """Of brim's source: pages are run again when it changes."""
    source = sorted((HERE.parent / "src" / "brim").rglob("*.py"))
    return hashlib.sha256(b"".join(p.read_bytes() for p in [*source, Path(__file__)])).hexdigest()


def run(page: Path, figures: Path) -> str:
    """The page with the output of its blocks, which share one namespace."""
    names: dict[str, Any] = {"__name__": "__main__"}
    counter = iter(range(1, 1000))

    def block(match: re.Match[str]) -> str:
        code = match[1]
        out = [f"```python\n{code}```\n"]
        for kind, content in outputs(code, names, page.name):
            if kind == "text":
                out.append(f'\n```text title="output"\n{content.rstrip()}\n```\n')
            else:
                file = figures / f"{page.stem}-{next(counter)}.png"
                file.write_bytes(content)
                out.append(f"\n![{page.stem}: figure](figures/{file.name}){{ loading=lazy }}\n")
        return "".join(out)

    return BLOCK.sub(block, page.read_text(encoding="utf-8"))


def outputs(code: str, names: dict[str, Any], where: str) -> Iterator[tuple[str, Any]]:
    """What a block prints, and the value of its last expression: text or pictures."""
    tree = ast.parse(code, where)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(tree, where, "exec"), names)
        value = eval(compile(ast.Expression(last.value), where, "eval"), names) if isinstance(last, ast.Expr) else None
        shows = list(shown(value))
    if printed.getvalue().strip():
        yield "text", printed.getvalue()
    yield from shows


def shown(value: Any) -> Iterator[tuple[str, Any]]:
    """A value as a notebook would show it, figures as pictures."""
    if value is None:
        return
    if hasattr(value, "_repr_png_"):
        yield "picture", value._repr_png_()
    elif isinstance(value, dict) and value and all(hasattr(v, "_repr_png_") for v in value.values()):
        for figure in value.values():
            yield "picture", figure._repr_png_()
    else:
        yield "text", str(value)


def for_site(text: str) -> str:
    """A page as Python-Markdown reads it, without links that leave the site."""
    return OUTSIDE.sub(r"`\1`", BAR.sub(lambda row: row[0].replace("\\|", "|"), text))


def notebook(text: str, folder: Path) -> str:
    """A page that has been run as a Jupyter notebook with its outputs."""
    cells: list[dict[str, Any]] = []
    for part in PART.finditer(text):
        if part["code"] is not None:
            cells.append({"cell_type": "code", "source": part["code"].rstrip(), "execution_count": None, "outputs": []})
        elif part["output"] is not None:
            cells[-1]["outputs"].append({"output_type": "stream", "name": "stdout", "text": part["output"]})
        elif part["figure"] is not None:
            data = base64.b64encode((folder / part["figure"]).read_bytes()).decode()
            cells[-1]["outputs"].append({"output_type": "display_data", "data": {"image/png": data}, "metadata": {}})
        elif part["words"].strip():
            cells.append({"cell_type": "markdown", "source": PAGE_LINK.sub(r"\1", part["words"].strip())})
    for i, cell in enumerate(cells):
        cell |= {"metadata": {}, "id": f"cell-{i}"}
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}, indent=1, ensure_ascii=False) + "\n"


def reference() -> str:
    """The page of all public names, grouped by the room they come from, and the table of families."""
    import brim

    rooms: dict[str, list[tuple[str, str]]] = {}
    for name in sorted(brim._HOMES):
        rooms.setdefault(brim._HOMES[name], []).append((name, name))
    for package in (brim.rstanarm, brim.mixedup):
        short = package.__name__.removeprefix("brim.")
        for name, value in sorted(vars(package).items()):
            home = getattr(value, "__module__", "")
            if callable(value) and home.startswith(f"{package.__name__}.") and (name, name) not in rooms.get(home, ()):
                rooms.setdefault(home, []).append((name, f"{short}.{name}"))
    parts = ["# Reference\n", families()]
    for home, public in sorted(rooms.items()):
        parts += [f"\n## {', '.join(f'`{shown}`' for _, shown in public)}\n"]
        parts += [f"\n::: {home}.{name}\n    options:\n      heading_level: 3\n" for name, _ in public]
    return "".join(parts)


def families() -> str:
    """Every family, what it is, and its parameters with their links."""
    import brim

    rows = ["\n## Families\n\n| `brim.` | | parameters and links |\n|---|---|---|\n"]
    for name in brim._FAMILIES:
        made = getattr(brim, name)
        if name not in ("custom_family", "mixture"):
            links = ", ".join(f"`{d}` {link}" for d, link in made().links.items())
            rows.append(f"| `{name}` | {made.summary} | {links} |\n")
    custom = "\n::: brim.families.custom.custom_family\n    options:\n      heading_level: 3\n"
    mixed = "\n::: brim.families.registry.mixture\n    options:\n      heading_level: 3\n"
    return "".join([*rows, custom, mixed])


def main() -> None:
    """Write every page."""
    import pandas as pd

    pd.set_option("display.width", WIDTH)
    pd.set_option("display.max_columns", None)
    shutil.rmtree(BUILT, ignore_errors=True)
    figures = BUILT / "figures"
    figures.mkdir(parents=True)
    CACHE.mkdir(exist_ok=True)
    version = digest()
    for page in sorted(PAGES.glob("*.md")):
        key = hashlib.sha256((version + page.read_text(encoding="utf-8")).encode()).hexdigest()[:24]
        kept = CACHE / f"{page.stem}-{key}.json"
        start = time.perf_counter()
        if kept.exists():
            stored = json.loads(kept.read_text(encoding="utf-8"))
            text = stored["text"]
            for name, content in stored["figures"].items():
                (figures / name).write_bytes(bytes.fromhex(content))
        else:
            text = run(page, figures)
            pictures = {p.name: p.read_bytes().hex() for p in figures.glob(f"{page.stem}-*.png")}
            kept.write_text(json.dumps({"text": text, "figures": pictures}), encoding="utf-8")
        (BUILT / page.name).write_text(for_site(text), encoding="utf-8")
        sys.stderr.write(f"{page.name}: {time.perf_counter() - start:.1f} s\n")
    for name, source in PLAIN.items():
        (BUILT / name).write_text(for_site(source.read_text(encoding="utf-8")), encoding="utf-8")
    (BUILT / "reference.md").write_text(reference(), encoding="utf-8")
    shutil.copyfile(HERE / "site.css", BUILT / "site.css")
    if "--notebook" in sys.argv[1:]:
        text = notebook((BUILT / "tutorial.md").read_text(encoding="utf-8"), BUILT)
        (HERE / "tutorial.ipynb").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
