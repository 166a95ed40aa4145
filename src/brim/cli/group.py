"""The command ``brim``: how errors and warnings are told."""

from __future__ import annotations

import atexit
import gc
import warnings
from typing import Any, NoReturn

import click

import brim
from brim.errors import BrimError, BrimWarning

__all__ = ["cli", "main"]


class _Refused(click.ClickException):
    """What is wrong with the input, told without a traceback."""

    exit_code = 2


class _Brim(click.Group):
    """Shows brim's own errors and warnings as messages; any other exception is a defect and keeps its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _show_warning
                return super().invoke(ctx)
        except BrimError as error:
            raise _Refused(str(error)) from error


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: str | None = None
) -> None:
    """The text of brim's own warnings; for others also where they come from."""
    text = (
        f"Warning: {message}\n" if issubclass(category, BrimWarning) else warnings.formatwarning(message, category, filename, lineno, line)
    )
    click.echo(text, err=True, nl=False)


@click.group(cls=_Brim, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(brim.__version__, package_name="brim", message="brim %(version)s")
def cli() -> None:
    """Bayesian multilevel regression models from brms and lme4 formulas."""


def main() -> NoReturn:
    """Run the command line."""
    atexit.register(gc.freeze)  # the process ends: the collector need not go through all that JAX and pandas hold
    cli()
    raise AssertionError("click leaves by itself")
