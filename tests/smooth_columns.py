"""The columns of a smooth in the predictor, as references list them."""

import numpy as np

from brim.frames.frame import Frame

__all__ = ["columns"]


def columns(term, rows):
    """``(Xs, Zs)``: what one unit of each coefficient adds to the predictor."""
    frame = Frame.read(rows)
    design = term.design(frame)
    sizes = {q.key: q.names.size for q in term.reported()}
    zero = {key: np.zeros(n) for key, n in sizes.items()}

    def of(base):
        key = term.key.replace("smooth", base)
        if key not in sizes:
            return np.zeros((frame.n, 0))
        return np.stack([np.asarray(term.apply(np.zeros(frame.n), {**zero, key: one}, design)) for one in np.eye(sizes[key])], axis=1)

    return of("bs"), of("s")
