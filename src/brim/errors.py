"""The one error type of brim, and near-name suggestions."""

from __future__ import annotations

import contextlib
import difflib
import re
import sys
import traceback
import warnings
from collections.abc import Iterable
from types import FrameType, TracebackType

__all__ = ["BrimError", "BrimWarning", "name_list", "name_rows", "near", "printable", "suggest", "warn"]

# what a terminal obeys or cannot show: control characters, marks of writing direction, halves of surrogate pairs
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# what would break a line, or its marks, in two
_BREAK = re.compile("[\t\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")


class BrimError(ValueError):
    """What is wrong, where, and what to do.

    Parameters
    ----------
    what
        One sentence naming the offending token, column or prior.
    source, span
        The formula text and the ``(start, end)`` of the token in it; shown with the token underlined.
    hint
        What to do about it.

    Examples
    --------
    >>> print(BrimError("unknown column 'ocasion'", source="gpa ~ ocasion", span=(6, 13), hint="did you mean 'occasion'?"))
    unknown column 'ocasion'
      gpa ~ ocasion
            ^^^^^^^
    did you mean 'occasion'?
    """

    def __init__(self, what: str, *, source: str | None = None, span: tuple[int, int] | None = None, hint: str | None = None) -> None:
        self.what, self.source, self.span, self.hint = what, source, span, hint
        lines = [what]
        if source is not None:
            lines.append(f"  {_BREAK.sub(' ', source)}")
            if span is not None:
                start, end = span
                lines.append("  " + " " * start + "^" * max(end - start, 1))
        if hint:
            lines.append(hint)
        super().__init__(printable("\n".join(lines)))

    def _render_traceback_(self) -> list[str]:
        """What IPython and Jupyter show: the lines of the user, not brim's."""
        return _shown(type(self), self, self.__traceback__)


def _shown(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> list[str]:
    """The traceback up to the line that called brim, and the message."""
    frames = list(traceback.walk_tb(trace))
    inside = next((i for i, (frame, _) in enumerate(frames) if _ours(frame)), len(frames))
    kept = frames[:inside] or frames
    text = traceback.StackSummary.extract(iter(kept), lookup_lines=True).format()
    return ["Traceback (most recent call last):", *"".join(text).rstrip().splitlines(), *traceback.format_exception_only(kind, error)]


def _ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] == "brim"


def end_in_users_frame() -> None:
    """Let Python print a ``BrimError`` with the user's lines only, unless someone else has already changed what it prints."""
    before = sys.excepthook
    if before is not sys.__excepthook__:
        return

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, BrimError) or error.__cause__ is not None:
            before(kind, error, trace)
            return
        with contextlib.suppress(OSError, ValueError, AttributeError):
            print(printable("\n".join(line.rstrip("\n") for line in _shown(kind, error, trace))), file=sys.stderr)

    sys.excepthook = hook


class BrimWarning(UserWarning):
    """A fit or a data set that works but deserves a look.

    Examples
    --------
    >>> import brim, warnings
    >>> sleep = brim.load_data("sleepstudy").assign(extra=lambda d: d["Days"].where(d["Days"] > 0))
    >>> with warnings.catch_warnings(record=True) as told:
    ...     warnings.simplefilter("always")
    ...     fit = brim.brm("Reaction ~ extra", data=sleep, empty=True)
    >>> told[0].category.__name__
    'BrimWarning'
    """


def warn(message: str | BrimWarning) -> None:
    """Show a ``BrimWarning`` at the first line outside brim among those that led here.

    A stderr that is closed, full or absent is no reason to stop: what was computed counts more than the words about it.
    """
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "brim":
        level, frame = level + 1, frame.f_back
    text = printable(str(message))
    with contextlib.suppress(OSError, ValueError, AttributeError):
        warnings.warn(text, BrimWarning, stacklevel=level + 1)


def printable(text: str) -> str:
    r"""Text that a terminal shows and does not obey: each control character becomes its picture, so that positions stay.

    Line ends and tabs stay. Names of columns, levels and data come from files; an escape sequence in one could rewrite the screen.

    Examples
    --------
    >>> printable("a\x1b[2Jb")
    'a␛[2Jb'
    """
    return _OBEYED.sub(_picture, text)


def _picture(match: re.Match[str]) -> str:
    code = ord(match[0])
    return chr(0x2400 + code) if code < 32 else "␡" if code == 127 else "\N{REPLACEMENT CHARACTER}"


def near(name: str, options: Iterable[str], n: int = 3) -> list[str]:
    """The up to ``n`` options whose spelling is nearest to ``name``.

    Examples
    --------
    >>> near("ocasion", ["occasion", "gpa", "student"])
    ['occasion']
    """
    options = [str(o) for o in options]
    lowered = {o.lower(): o for o in reversed(options)}
    return [lowered[m] for m in difflib.get_close_matches(name.lower(), lowered, n=n, cutoff=0.5)]


def suggest(name: str, options: Iterable[str], what: str = "names") -> str:
    """A hint: the near matches, or all the options when none is near.

    Examples
    --------
    >>> suggest("gausian", ["gaussian", "poisson"])
    "did you mean 'gaussian'?"
    """
    options = [str(o) for o in options]
    found = near(name, options)
    if found:
        return "did you mean " + " or ".join(f"'{m}'" for m in found) + "?"
    shown = ", ".join(options[:20]) + (", ..." if len(options) > 20 else "")
    return f"{what}: {shown}" if options else f"there are no {what}"


def name_rows(rows: Iterable[int], most: int = 5) -> str:
    """The first few rows by position, in words.

    Examples
    --------
    >>> name_rows([3])
    'row 3 (counted from 0)'
    >>> name_rows(range(7))
    'rows 0, 1, 2, 3, 4 and 2 more (counted from 0)'
    """
    at = [int(r) for r in rows]
    shown = ", ".join(map(str, at[:most])) + (f" and {len(at) - most} more" if len(at) > most else "")
    return f"row{'s' * (len(at) != 1)} {shown} (counted from 0)"


def name_list(names: Iterable[str], most: int = 6) -> str:
    """Names in quotes, as one says a list.

    Examples
    --------
    >>> name_list(["a"]), name_list(["a", "b", "c"])
    ("'a'", "'a', 'b' and 'c'")
    >>> name_list("abcdefgh")
    "'a', 'b', 'c', 'd', 'e', 'f' and 2 more"
    """
    quoted = [f"'{name}'" for name in names]
    shown = quoted if len(quoted) <= most else [*quoted[:most], f"{len(quoted) - most} more"]
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
