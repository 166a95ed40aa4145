"""Arithmetic on named draws: ``x - 2 * exp(sd_g__Intercept)``, with brms' names, which no programming language takes as they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

import numpy as np

from brim.errors import BrimError, suggest

__all__ = ["evaluate"]


def _expit(x: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))


def _normal_cdf(x: np.ndarray) -> np.ndarray:
    from scipy.special import ndtr

    return np.asarray(ndtr(x))


#: Functions of one argument, by R's names.
_FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "abs": np.abs,
    "exp": np.exp,
    "expm1": np.expm1,
    "inv_logit": _expit,
    "inv_logit_scaled": _expit,
    "log": np.log,
    "log10": np.log10,
    "log1p": np.log1p,
    "log2": np.log2,
    "logit": lambda x: np.log(x / (1.0 - x)),
    "plogis": _expit,
    "pnorm": _normal_cdf,
    "qlogis": lambda x: np.log(x / (1.0 - x)),
    "sqrt": np.sqrt,
    "tanh": np.tanh,
}
_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_WORD = re.compile(r"[A-Za-z._][\w.]*(\[[^\]]*\])?(:[A-Za-z._][\w.]*)*")


def evaluate(text: str, names: Mapping[str, str], draws: Callable[[str], np.ndarray]) -> np.ndarray:
    """The value of an expression in every draw.

    Parameters
    ----------
    text
        Numbers, names, ``+ - * / ^``, parentheses and functions of one argument (``exp``, ``log``, ``sqrt``, ``abs``, ``plogis``, ...).
    names
        As written in ``text`` -> the variable.
    draws
        Draws of a variable.

    Raises
    ------
    BrimError
        A name is not among ``names``, or the expression is not one.

    Examples
    --------
    >>> draws = {"b_x": np.array([1.0, 2.0]), "b_f:x": np.array([3.0, 5.0])}
    >>> evaluate("2 * x - f:x^2", {"x": "b_x", "f:x": "b_f:x"}, draws.__getitem__).tolist()
    [-7.0, -21.0]
    """
    reader = _Reader(text, names, draws)
    value = reader.sum()
    if reader.at < len(text.rstrip()):
        raise reader.error("this does not belong here")
    return value


@final
@dataclass
class _Reader:
    """Recursive descent over the text; ``at`` is the next character."""

    text: str
    names: Mapping[str, str]
    draws: Callable[[str], np.ndarray]
    at: int = 0

    def error(self, what: str, end: int | None = None, hint: str | None = None) -> BrimError:
        return BrimError(what, source=self.text, span=(self.at, end or self.at + 1), hint=hint)

    def _next(self, *options: str) -> str:
        """The next token if it is one of these, taken; else nothing."""
        while self.text[self.at : self.at + 1].isspace():
            self.at += 1
        for option in options:
            if self.text.startswith(option, self.at):
                self.at += len(option)
                return option
        return ""

    def sum(self) -> np.ndarray:
        value = self.product()
        while sign := self._next("+", "-"):
            other = self.product()
            value = value + other if sign == "+" else value - other
        return value

    def product(self) -> np.ndarray:
        value = self.signed()
        while sign := self._next("*", "/"):
            other = self.signed()
            value = value * other if sign == "*" else value / other
        return value

    def signed(self) -> np.ndarray:
        sign = self._next("-", "+")
        if sign:
            value = self.signed()
            return -value if sign == "-" else value
        return self.power()

    def power(self) -> np.ndarray:
        base = self.atom()
        return np.asarray(base ** self.signed()) if self._next("^", "**") else base

    def atom(self) -> np.ndarray:
        if self._next("("):
            value = self.sum()
            if not self._next(")"):
                raise self.error("a parenthesis is not closed")
            return value
        name = self._known()
        if name:
            return np.asarray(self.draws(self.names[name]), float)
        if number := _NUMBER.match(self.text, self.at):
            self.at = number.end()
            return np.asarray(float(number[0]))
        return self._word()

    def _known(self) -> str:
        """The longest known name that starts here and ends at the end of a word, taken."""
        rest = self.text[self.at :]
        fitting = (n for n in self.names if rest.startswith(n) and not re.match(r"[\w.:\[]", rest[len(n) : len(n) + 1]))
        found = max(fitting, key=len, default="")
        self.at += len(found)
        return found

    def _word(self) -> np.ndarray:
        """A function with its argument, or an error."""
        word = _WORD.match(self.text, self.at)
        if word is None:
            raise self.error("a name or a number is missing here")
        if self.text[word.end() : word.end() + 1] == "(":
            if word[0] not in _FUNCTIONS:
                raise self.error(f"unknown function '{word[0]}'", word.end(), suggest(word[0], _FUNCTIONS, "functions"))
            self.at = word.end() + 1
            value = self.sum()
            if not self._next(")"):
                raise self.error("a parenthesis is not closed")
            return _FUNCTIONS[word[0]](value)
        raise self.error(f"there is no variable '{word[0]}'", word.end(), suggest(word[0], self.names, "variables"))
