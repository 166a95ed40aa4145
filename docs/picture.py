"""The picture of README.md, docs/gpa.png, and the summary beside it: ``python docs/picture.py``."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt

import brim
from brim import brm, prior


def main() -> None:
    """Fit the model of README.md, write the picture, print the summary."""
    gpa = brim.load_data("gpa")
    fit = brm(
        "gpa ~ occasion + (1 + occasion | student)",
        data=gpa,
        prior=prior("normal(0, 1)", class_="b"),
        seed=1,
    )
    plt.rc("axes.spines", top=False, right=False)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.6), layout="constrained")
    fit.conditional_effects("occasion").plot(points=True, ax=left)
    fit.pp_check(ndraws=50, seed=1, ax=right)
    left.set_title('fit.conditional_effects("occasion")', family="monospace", fontsize=10)
    right.set_title("fit.pp_check(ndraws=50)", family="monospace", fontsize=10)
    figure.savefig(Path(__file__).parent / "gpa.png", dpi=192)
    print(fit.summary())


if __name__ == "__main__":
    main()
