"""brms' names that brim says otherwise: what to use, told where one of them is asked for."""

from __future__ import annotations

import re

__all__ = ["of_fit", "of_module"]

_SPECIALS = "mo me mi s t2 te ti gp mm mmc gr cs cse ar ma arma cosy unstr fcor sar car"
_ADDITIONS = "weights trials cens trunc se subset cat dec thres rate mi vint vreal index bhaz"
_LAWS = (
    "asym_laplace beta_binomial dirichlet exgaussian frechet gen_extreme_value hurdle_gamma hurdle_lognormal hurdle_negbinomial "
    "hurdle_poisson inv_gaussian logistic_normal multi_normal multi_student_t shifted_lnorm skew_normal student_t von_mises wiener "
    "zero_inflated_beta zero_inflated_beta_binomial zero_inflated_binomial zero_inflated_negbinomial zero_inflated_poisson"
)

#: Functions of brms -> what to use.
_FUNCTIONS = {
    **{fn: f'it stands in the formula, as text: "y ~ x + {fn}(...)"' for fn in _SPECIALS.split()},
    **{f"resp_{fn}": f'it stands left of ~, as text: "y | {fn}(...) ~ x"' for fn in _ADDITIONS.split()},
    **{fn: f'it is the text of a prior: prior("{fn}(...)", class_="b")' for fn in ("horseshoe", "lasso", "R2D2")},
    **dict.fromkeys(
        ("make_stancode", "stancode", "make_standata", "standata"),
        "there is no Stan program: see brim.model.numpyro.to_numpyro(fit.model, fit.model.data(fit.frame))",
    ),
    **dict.fromkeys(("stanvar", "stanvars"), "numbers go into the prior's text, matrices into data2={...}, laws into custom_family()"),
    **dict.fromkeys(("cor_ar", "cor_ma", "cor_arma", "cor_arr"), "write ar(time, g), ma() or arma() in the formula"),
    **dict.fromkeys(("cor_car", "cor_icar"), "write car(W) in the formula, with data2={'W': matrix}"),
    **dict.fromkeys(("cor_sar", "cor_lagsar", "cor_errorsar"), "write sar(W) in the formula, with data2={'W': matrix}"),
    **dict.fromkeys(("threading", "opencl"), "cores=, device= and devices= of brm say where chains run"),
    **dict.fromkeys(("logit_scaled", "inv_logit_scaled", "expp1", "logm1"), "functions of your own go into data2={'name': function}"),
    **dict.fromkeys(("theme_default", "theme_black"), "matplotlib.style.use(...) changes how figures look"),
    **dict.fromkeys(("brmsterms", "parse_bf"), "bf() reads a formula, and brm(..., empty=True) builds its model"),
    **dict.fromkeys(("is_brmsfit", "is_brmsfit_multiple"), "isinstance(fit, brim.Fit)"),
    "cor_cosy": "write cosy(time, g) in the formula",
    "cor_fixed": "write fcor(V) in the formula, with data2={'V': matrix}",
    "Beta": "brim.beta()",
    "Gamma": "brim.gamma()",
    "autocor": 'bf(..., autocor="~ ar(time)"), or ar(time) in the formula',
    "save_pars": "all is kept; keep= of brm says what is left out",
    "empty_prior": "leave prior= out",
    "prior_": "brim.prior(...)",
    "validate_prior": "brm(..., empty=True).prior_summary()",
    "compare_ic": "brim.loo_compare(...)",
    "loo_model_weights": "brim.model_weights(...)",
    "density_ratio": "fit.hypothesis(...)",
    "brmsfit_needs_refit": 'file_refit="on_change" of brm',
    "readRDS": "brim.load(path)",
    "do_call": "Python calls with **arguments",
}

#: Methods of brmsfit -> what to use.
_METHODS = {
    **dict.fromkeys(("as_draws", "as_draws_matrix", "posterior_samples", "as_data_frame", "as_matrix"), "fit.as_draws_df()"),
    **dict.fromkeys(
        ("as_draws_array", "as_array", "as_draws_list", "as_draws_rvars", "as_mcmc"), 'fit.idata["posterior"], or fit.as_draws_df()'
    ),
    **dict.fromkeys(("marginal_effects", "plot_model"), "fit.conditional_effects()"),
    **dict.fromkeys(("add_ic", "add_loo", "add_waic"), 'fit.add_criterion("loo")'),
    **dict.fromkeys(("get_dpar", "prepare_predictions", "extract_draws"), 'fit.posterior_linpred(dpar="sigma", transform=True)'),
    **dict.fromkeys(
        ("restructure", "rename_pars", "recompile_model", "expose_functions", "update_adterms", "add_rstan_model"), "nothing needs it here"
    ),
    **dict.fromkeys(("model_frame", "data"), "fit.frame, as pandas: brim.post.inference.grids.to_pandas(fit.frame)"),
    **dict.fromkeys(("stancode", "standata"), _FUNCTIONS["stancode"]),
    "marginal_smooths": "fit.conditional_smooths()",
    "stanplot": "fit.mcmc_plot()",
    "parnames": "fit.variables()",
    "nsamples": "fit.ndraws()",
    "posterior_table": "fit.posterior_summary()",
    "pp_expect": "fit.posterior_epred()",
    "prior_samples": "fit.prior_draws()",
    "LOO": "fit.loo()",
    "WAIC": "fit.waic()",
    "reloo": "fit.loo(reloo=True)",
    "loo_subsample": "fit.loo(subsample=100)",
    "loo_model_weights": "brim.model_weights(fit, other)",
    "loo_predictive_interval": 'fit.loo_predict(type="quantile", probs=(0.05, 0.95))',
    "kfold_predict": "fit.kfold(), and fit.posterior_predict(newdata=...) of its fits",
    "logLik": "fit.log_lik()",
    "control_params": "fit.settings.control",
    "getCall": "fit.request",
    "get_y": "fit.frame",
    "autocor": "fit.formula",
    "print": "print(fit), or fit.summary()",
    "launch_shinystan": "fit.report(path)",
    "validate_newdata": "fit.posterior_epred(newdata=...) says what is wrong with new data",
    "get_prior": "fit.prior_summary()",
    "default_prior": "fit.prior_summary()",
    "sigma": 'fit.posterior_epred(dpar="sigma")',
}

_LAW = re.compile(rf"[dpqr]({'|'.join(_LAWS.split())})")


def of_module(name: str) -> str:
    """What to use for a function of brms, empty for other names.

    Examples
    --------
    >>> of_module("compare_ic"), of_module("rstudent_t"), of_module("spam")
    ('brim.loo_compare(...)', 'laws are in scipy.stats and numpyro.distributions', '')
    """
    if name in _FUNCTIONS:
        return _FUNCTIONS[name]
    if name in _METHODS:
        return _METHODS[name]
    return "laws are in scipy.stats and numpyro.distributions" if _LAW.fullmatch(name) else ""


def of_fit(name: str) -> str:
    """What to use for a method of brmsfit, empty for other names.

    Examples
    --------
    >>> of_fit("posterior_samples")
    'fit.as_draws_df()'
    """
    return _METHODS.get(name, "")
