"""What a type checker knows of brim: a user's script passes, and names that are not there are told."""

import subprocess
import sys

import pytest

SCRIPT = """
import brim
from brim import Fit, bf, brm, brmsfamily, prior, set_prior, set_rescor

family = brim.negbinomial("log", link_shape="identity")
mixed = brim.mixture("gaussian", brim.student(), order="mu")
priors = prior("normal(0, 1)", class_="b") + set_prior("exponential(1)", class_="sd", group="patient")
data = brim.load_data("epilepsy")
fit: Fit = brm(bf("count ~ zAge + (1 | patient)", "shape ~ 1"), data, family, priors, chains=2, init=[{"b_zAge": 0.1}, {"b_zAge": 0.2}])
more: Fit = fit.update("~ . + zBase", newdata=data)
print(fit.summary(), fit.fixef(pars="zAge"), fit.ndraws(), fit.as_draws_df("^b_", regex=True))
brm(bf("mvbind(zAge, zBase) ~ 1") + set_rescor(True), data, empty=True).pp_check(resp="zAge")
brmsfamily("student", "identity")
brim.poison()
fit.sumary()
fit.pp_check(nonsense=1)
fit.loo(seed="a")
fit.loo_compare(more, names=1)
reveal_type(fit.loo())
reveal_type(fit.add_criterion("loo").loo_compare(more, criterion="waic", other=fit.waic()))
reveal_type(fit.add_criterion("loo"))
reveal_type(fit.conditional_effects("zAge"))
reveal_type(fit.hypothesis("zAge > 0"))
reveal_type(fit.ndraws())
reveal_type(fit.plot(variable="b_zAge"))
reveal_type(brim.loo(fit))
reveal_type(brim.rstanarm.stan_glm("count ~ zAge", data, "poisson").add_criterion("loo"))
"""
#: What it says of the last lines; a data frame is Any where there are no stubs of pandas.
REVEALED = [
    "brim.post.comparison.elpd.Elpd",
    "Any",
    "brim.api.fit.Fit",
    "brim.post.effects.effects.ConditionalEffects",
    "brim.post.inference.hypothesis.Hypotheses",
    "int",
    "matplotlib.figure.Figure",
    "brim.post.comparison.elpd.Elpd",
    "brim.rstanarm.fit.StanFit",
]


@pytest.mark.slow
def test_a_users_script(tmp_path):
    pytest.importorskip("mypy")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    options = ["--follow-imports=silent", "--ignore-missing-imports", "--cache-dir", str(tmp_path / "cache")]
    done = subprocess.run([sys.executable, "-m", "mypy", *options, str(script)], capture_output=True, text=True, check=False)
    found = [line.split(": error: ")[1] for line in done.stdout.splitlines() if ": error: " in line]
    assert found == [
        'Module has no attribute "poison"  [attr-defined]',
        '"Fit" has no attribute "sumary"; maybe "summary"?  [attr-defined]',
        'Unexpected keyword argument "nonsense"  [call-arg]',
        'Argument "seed" has incompatible type "str"; expected "int | None"  [arg-type]',
        'Argument "names" has incompatible type "int"; expected "Iterable[str] | None"  [arg-type]',
    ]
    revealed = [line.split('"')[1] for line in done.stdout.splitlines() if "Revealed type is" in line]
    assert [name.removeprefix("builtins.") for name in revealed] == REVEALED
