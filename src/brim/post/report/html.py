"""Pieces of HTML: tables, pictures, lists; everything that comes from the user is escaped."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from brim.errors import printable

if TYPE_CHECKING:
    import pandas as pd

    from brim.post.plots.figures import BaseFigure

__all__ = ["page", "picture", "table", "text"]

DPI = 100


def text(value: object) -> str:
    """Text that a page shows as it is.

    Examples
    --------
    >>> text("a < b")
    'a &lt; b'
    """
    return escape(printable(str(value)))


def table(frame: pd.DataFrame, most: int = 60) -> str:
    """A data frame, numbers with two decimals (effective sample sizes without), the first ``most`` rows."""
    whole = [str(c).endswith("ESS") for c in frame.columns]
    head = "".join(f"<th>{text(c)}</th>" for c in ("", *frame.columns))
    rows = [
        f"<tr><td>{text(name)}</td>" + "".join(f"<td>{_cell(v, w)}</td>" for v, w in zip(row, whole, strict=True)) + "</tr>"
        for name, row in zip(frame.index[:most], frame.to_numpy(dtype=object)[:most], strict=True)
    ]
    more = f'<p class="note">and {len(frame) - most} more</p>' if len(frame) > most else ""
    return f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>{more}'


def _cell(value: object, whole: bool) -> str:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number):
        return text("" if value is None else value)
    number = float(value)
    if not np.isfinite(number):
        return ""
    return f"{number:.0f}" if whole else f"{number:.2f}"


_LEAST = 0.55  # of its width that a picture keeps on a phone, where it scrolls sideways rather than become illegible


def picture(figure: BaseFigure, caption: str) -> str:
    """A figure as a picture inside the page, with its caption."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    width = figure.get_size_inches()[0] * 96
    source = f"data:image/png;base64,{b64encode(_fewer_colours(buffer.getvalue())).decode()}"
    size = f'width="{width:.0f}" style="max-width: max(100%, {_LEAST * width:.0f}px)"'
    return f'<figure><img alt="{text(caption)}" {size} src="{source}"><figcaption>{text(caption)}</figcaption></figure>'


def _fewer_colours(image: bytes) -> bytes:
    """The picture with a palette of 128 colours, a third of the size."""
    from PIL import Image

    out = io.BytesIO()
    with Image.open(io.BytesIO(image)) as full:
        full.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(out, format="png", optimize=True)
    return out.getvalue()


def page(title: str, head: str, sections: Sequence[tuple[str, str, str]], draws: str) -> str:
    """The whole page: ``sections`` are anchor, heading and content; ``draws`` the JSON that the script reads."""
    folder = files(__package__)
    style, script = (folder.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    links = "".join(f'<a href="#{anchor}">{text(name)}</a>' for anchor, name, _ in sections)
    body = "".join(f'<section id="{anchor}"><h2>{text(name)}</h2>{content}</section>' for anchor, name, content in sections)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{text(title)}</title><style>{style}</style></head><body><header>{head}</header>'
        f"<nav><div>{links}</div></nav><main>{body}</main>"
        f'<script type="application/json" id="draws">{draws}</script><script>{script}</script></body></html>'
    )
