"""The pointwise log likelihood that criteria are made of: asked for in blocks of rows, so that memory stays bounded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from brim.errors import BrimError, name_rows
from brim.frames.frame import Frame
from brim.infer.diagnostics import relative_efficiency
from brim.post import predictions
from brim.post.observed import independent_rows, observed_values, row_blocks

if TYPE_CHECKING:
    from brim.fit.record import FitRecord

__all__ = ["Pointwise", "log_mean_exp"]


@dataclass(frozen=True)
class Pointwise:
    """The log likelihood of rows under draws, computed when it is read.

    Attributes
    ----------
    fit
        Whose draws.
    newdata, resp
        As for ``Fit.log_lik``.
    options
        Further arguments of ``Fit.log_lik``.
    """

    fit: FitRecord
    newdata: Any = None
    resp: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Rows and their log likelihood ``(draws, rows)``, in order; one block where that is small or rows depend on each other."""
        frame = self.rows()
        blocks = row_blocks(frame, self.fit.draws.chains * self.fit.draws.draws)
        if frame is None or not blocks:
            whole = self._log_lik(self.newdata)
            yield slice(0, whole.shape[1]), self._checked(whole, 0)
        for here in blocks:
            assert frame is not None
            yield here, self._checked(self._log_lik(frame.take(np.arange(here.start, here.stop))), here.start)

    def rows(self) -> Frame | None:
        """The rows, if each can be evaluated without the others."""
        return independent_rows(self.fit, self.resp, self.newdata)

    def _log_lik(self, rows: Any) -> np.ndarray:
        return predictions.log_lik(self.fit, rows, resp=self.resp, **self.options)

    def _checked(self, values: np.ndarray, first: int) -> np.ndarray:
        """Refuse rows whose likelihood is not known: a criterion without them would be another criterion."""
        lost = np.flatnonzero(np.isnan(values).any(axis=0))
        if lost.size:
            raise BrimError(
                f"the log likelihood is missing for {name_rows(lost + first)}",
                hint="responses that are estimated (mi()) have none: name another response with resp=, or give complete rows as newdata=",
            )
        if not np.isfinite(values).all():
            worst = np.flatnonzero(~np.isfinite(values).all(axis=0))
            raise BrimError(
                f"the log likelihood is not finite for {name_rows(worst + first)}",
                hint="these observations are impossible under some draws",
            )
        return values

    def efficiency(self, log_lik: np.ndarray) -> np.ndarray:
        """Relative efficiency of ``exp(log_lik)`` for each row of a block ``(draws, rows)``."""
        chains = self.fit.draws.chains
        likelihood = np.exp(log_lik - log_lik.max(axis=0))
        return relative_efficiency(likelihood.reshape(chains, -1, log_lik.shape[1]))

    @property
    def dim(self) -> str:
        """Name of the axis of observations."""
        return "obs"

    @property
    def response(self) -> tuple[str, bytes]:
        """Name and fingerprint of the observed values."""
        model = self.fit.model
        name = self.resp or "+".join(r.name for r in model.responses)
        members = model.responses if self.resp is None else (model.response(self.resp),)
        digest = hashlib.blake2b(digest_size=16)
        for r in members:
            digest.update(np.ascontiguousarray(observed_values(self.fit, r, self.newdata)).tobytes())
        return name, digest.digest()


def log_mean_exp(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """``log(mean(exp(values)))`` along an axis."""
    top = values.max(axis=axis, keepdims=True)
    return np.asarray(np.log(np.exp(values - top).mean(axis=axis)) + np.squeeze(top, axis))
