"""Runs the Python blocks of docs/pages and writes the pages with what they print and draw into docs/built, for mkdocs.

``python docs/execute.py`` runs all pages, ``python docs/execute.py tutorial gallery/ordinal`` these; ``--words`` runs
nothing and shows what is kept, to look at words and links; ``--notebook`` also writes the tutorial as docs/tutorial.ipynb.

What a block gives is kept in docs/.cache, by its code, that of the blocks it builds on, and brim's source: words can be changed without
running anything, and a changed block runs with what it needs and no more.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import hashlib
import io
import json
import multiprocessing
import os
import re
import shutil
import sys
import textwrap
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import reference

HERE = Path(__file__).parent
PAGES, BUILT, CACHE = HERE / "pages", HERE / "built", HERE / ".cache"
#: Pages that are written elsewhere and shown as they are.
PLAIN = {"benchmarks.md": HERE / "benchmarks.md", "differences.md": HERE / "differences.md"}
BLOCK = re.compile(r"^```python\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
#: A bar in a cell of a table, which GitHub wants escaped and Python-Markdown takes as it is inside code.
BAR = re.compile(r"^\|.*$", re.MULTILINE)
#: A link to another page of the site.
PAGE_LINK = re.compile(r"\[([^\]]+)\]\([\w/-]+\.md(?:#[\w-]+)?\)")
#: What a page that has been run is made of.
PART = re.compile(
    r'^```python\n(?P<code>.*?)^```\n|^```text title="output"\n(?P<output>.*?)^```\n|^!\[[^\n]*\]\((?P<figure>figures/[^)]+)\)[^\n]*\n'
    r"|(?P<words>(?:(?!```python\n|```text title|!\[)[^\n]*\n)+)",
    re.MULTILINE | re.DOTALL,
)
WIDTH = 100
#: A row of a printed table: cells apart, but for the mark at the start of a sentence, or a head that starts within the line.
APART = re.compile(r"^\s{3}|(?<=\S.{3})\s{2,}\S")
#: Pixels of a browser an inch of a figure; figures have twice as many, for dense displays.
PIXELS = 96
#: Figures wider than this are not shrunk to the width of a phone, but scrolled.
WIDE = 600


@cache
def digest() -> str:
    """Of what gives the outputs besides a page's code: brim's source, this file, Python and JAX."""
    source = sorted((HERE.parent / "src" / "brim").rglob("*.*"))
    content = b"".join(p.read_bytes() for p in [*source, Path(__file__)] if p.suffix in (".py", ".csv", ".gz", ".json"))
    return hashlib.sha256(content + f"{sys.version_info[:2]} {metadata.version('jax')}".encode()).hexdigest()


# --------------------------------------------------------------------------- which blocks must run


@dataclass(frozen=True)
class Touched:
    """The names of a block: those it imports, all others that stand in it, those whose values it may have changed, and whether it changes
    something of what was imported.

    A block that is one expression, shown, is taken to change nothing.
    """

    imports: frozenset[str]
    names: frozenset[str]
    changed: frozenset[str]
    changes: bool

    @staticmethod
    def by(code: str, imported: frozenset[str]) -> Touched:
        """Of a block, after blocks that have ``imported``."""
        imports, names = set(), set()
        tree = ast.parse(code)
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                imports |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
            elif isinstance(node, ast.Name):
                names.add(node.id)
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                names.add(node.name)
        known = imported | imports
        shows = len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr)
        changes = not shows and any(_changes(node, known) for node in ast.walk(tree))
        return Touched(frozenset(imports), frozenset(names), frozenset() if shows else frozenset(names), changes)


def _changes(node: ast.AST, imported: frozenset[str]) -> bool:
    """Whether a statement stores into, deletes from, or calls for nothing but its effect, something that was imported."""
    if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
        return _root(node) in imported
    call = node.value if isinstance(node, ast.Expr) else None
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and _root(call.func) in imported


def _root(node: ast.AST) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def needs(blocks: Sequence[str]) -> list[set[int]]:
    """For each block the earlier ones that it builds on: they may have changed what it names, or import it."""
    found: list[set[int]] = []
    touched: list[Touched] = []
    imported: frozenset[str] = frozenset()
    for code in blocks:
        own = Touched.by(code, imported)
        direct = {
            i for i, other in enumerate(touched) if other.changes or other.imports & own.names or (other.changed & own.names) - imported
        }
        found.append(direct.union(*(found[i] for i in direct)))
        touched.append(own)
        imported |= own.imports
    return found


def key(blocks: Sequence[str], i: int, builds_on: set[int]) -> str:
    """Under which what block ``i`` gives is kept."""
    return hashlib.sha256("\0".join([digest(), *(blocks[j] for j in sorted(builds_on)), blocks[i]]).encode()).hexdigest()[:24]


# --------------------------------------------------------------------------- running them


def run(page: Path, words: bool = False) -> tuple[str, list[str]]:
    """The page with what its blocks give, and the names of its files in the cache; with ``words`` what is there and no more."""
    name = page.relative_to(PAGES).with_suffix("").as_posix()
    text = page.read_text(encoding="utf-8")
    blocks = BLOCK.findall(text)
    builds_on = needs(blocks)
    kept = [CACHE / f"{key(blocks, i, builds_on[i])}.json" for i in range(len(blocks))]
    wanted = {i for i, file in enumerate(kept) if not (words or file.exists())}
    names: dict[str, Any] = {"__name__": "__main__"}
    for i in sorted(wanted.union(*(builds_on[i] for i in wanted))):
        given = list(outputs(blocks[i], names, f"{name}.md, block {i + 1}"))
        kept[i].write_text(json.dumps(given), encoding="utf-8")
    up = "../" * name.count("/")
    counter, block = iter(range(1, 1000)), iter(zip(blocks, kept, strict=True))

    def shown_block(_match: re.Match[str]) -> str:
        code, file = next(block)
        out = [f"```python\n{code}```\n"]
        for part in json.loads(file.read_text(encoding="utf-8")) if file.exists() else ():
            if "text" in part:
                out.append(f'\n```text title="output"\n{wrapped(part["text"].rstrip())}\n```\n')
                continue
            picture = f"figures/{name.replace('/', '-')}-{next(counter)}.png"
            (BUILT / picture).write_bytes(base64.b64decode(part["png"]))
            wide = " .wide" if part["width"] > WIDE else ""
            out.append(f"\n![{part['alt']}]({up}{picture}){{{wide} width={part['width']} loading=lazy }}\n")
        return "".join(out)

    return BLOCK.sub(shown_block, text), [file.name for file in kept]


def wrapped(text: str) -> str:
    """Printed text, its long sentences broken as a terminal would; tables, whose cells stand apart, are left alone."""
    lines = (
        textwrap.wrap(line, WIDTH - 9, subsequent_indent="    ") if len(line) > WIDTH - 9 and not APART.search(line) else [line]
        for line in text.split("\n")
    )
    return "\n".join(part for line in lines for part in line)


def outputs(code: str, names: dict[str, Any], where: str) -> Iterator[dict[str, Any]]:
    """What a block prints, and the value of its last expression: text or pictures."""
    tree = ast.parse(code, where)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exec(compile(tree, where, "exec"), names)
            value = eval(compile(ast.Expression(last.value), where, "eval"), names) if isinstance(last, ast.Expr) else None
            shows = list(shown(value, ast.unparse(last) if last else ""))
        except Exception as error:
            raise RuntimeError(f"{where}: {type(error).__name__}: {error}") from error
    if printed.getvalue().strip():
        yield {"text": printed.getvalue()}
    yield from shows


def shown(value: Any, code: str) -> Iterator[dict[str, Any]]:
    """A value as a notebook would show it, figures as pictures."""
    if value is None:
        return
    figures = list(value.values()) if isinstance(value, dict) and value else [value]
    if not all(hasattr(figure, "savefig") for figure in figures):
        yield {"text": str(value)}
        return
    for figure in figures:
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=2 * PIXELS)
        picture = base64.b64encode(stream.getvalue()).decode()
        yield {"png": picture, "alt": described(figure, code), "width": round(PIXELS * figure.get_size_inches()[0])}


def described(figure: Any, code: str) -> str:
    """What a figure shows, in words: the call that draws it, what its axes are, and the titles of its panels."""

    def distinct(words: list[str]) -> str:
        return ", ".join(dict.fromkeys(" ".join(w.split()) for w in words if w))

    axes = figure.axes
    x = distinct([figure.get_supxlabel(), *(ax.get_xlabel() for ax in axes)])
    y = distinct([figure.get_supylabel(), *(ax.get_ylabel() for ax in axes)])
    parts = [f"{y} over {x}" if x and y else x or y, distinct([ax.get_title() for ax in axes][:6])]
    words = ": ".join([" ".join(code.split()), *[p for p in parts if p]])
    return re.sub(r"[\[\]{}<>|`_*\\]", lambda m: f"&#{ord(m[0])};", words)


def for_site(text: str, depth: int = 0) -> str:
    """A page, so many folders down, as Python-Markdown reads it, without links that leave the site."""
    outside = re.compile(r"\[([^\]]+)\]\((?:\.\./){" + str(depth + 1) + r"}[^)]+\)")
    return outside.sub(r"`\1`", BAR.sub(lambda row: row[0].replace("\\|", "|"), text))


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


def build(page: Path, words: bool = False) -> tuple[str, float, list[str]]:
    """Run one page and write it; its name, the seconds it took, and its files in the cache."""
    import pandas as pd

    pd.set_option("display.width", WIDTH)
    pd.set_option("display.max_columns", None)
    start = time.perf_counter()
    text, kept = run(page, words)
    name = page.relative_to(PAGES)
    (BUILT / name).parent.mkdir(parents=True, exist_ok=True)
    (BUILT / name).write_text(for_site(text, len(name.parts) - 1), encoding="utf-8")
    return name.as_posix(), time.perf_counter() - start, kept


def main(arguments: Sequence[str]) -> None:
    """Write every page, or those named."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    chosen = [PAGES / f"{name}.md" for name in arguments if not name.startswith("-")]
    if not chosen:
        shutil.rmtree(BUILT, ignore_errors=True)
    (BUILT / "figures").mkdir(parents=True, exist_ok=True)
    CACHE.mkdir(exist_ok=True)
    used, words = set[str](), "--words" in arguments
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1), mp_context=spawn) as pool:
        pages = [pool.submit(build, page, words) for page in chosen or sorted(PAGES.rglob("*.md"))]
        failed = False
        for done in as_completed(pages):
            if error := done.exception():
                failed = True
                sys.stderr.write(f"{error}\n")
                continue
            name, seconds, kept = done.result()
            used.update(kept)
            sys.stderr.write(f"{name}: {seconds:.1f} s\n")
    if failed:
        sys.exit(1)
    if not (chosen or words):
        for file in CACHE.glob("*.json"):
            if file.name not in used:
                file.unlink()
    for name, source in PLAIN.items():
        (BUILT / name).write_text(for_site(source.read_text(encoding="utf-8")), encoding="utf-8")
    (BUILT / "reference").mkdir(exist_ok=True)
    for name, text in reference.pages().items():
        (BUILT / "reference" / f"{name}.md").write_text(text, encoding="utf-8")
    shutil.copyfile(HERE / "site.css", BUILT / "site.css")
    for picture in PAGES.rglob("*.png"):
        shutil.copyfile(picture, BUILT / picture.relative_to(PAGES))
    if "--notebook" in arguments:
        text = notebook((BUILT / "tutorial.md").read_text(encoding="utf-8"), BUILT)
        (HERE / "tutorial.ipynb").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
