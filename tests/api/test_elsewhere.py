"""brms' names: those that are here, and what is said of the others; how many draws there are and how they mix."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest

import brim
from brim.infer.diagnostics import ess_bulk, ess_tail, rhat

#: What brms 2.18 exports: ``getNamespaceExports("brms")`` without methods, and ``methods(class = "brmsfit")`` without the class.
EXPORTS = """
acat acformula add_criterion add_ic add_loo add_rstan_model add_waic ar arma as.mcmc as_draws as_draws_array as_draws_df as_draws_list
as_draws_matrix as_draws_rvars asym_laplace autocor bayes_R2 bayes_factor bernoulli Beta beta_binomial bf bridge_sampler brm brm_multiple
brmsfamily brmsfit_needs_refit brmsformula brmsterms car categorical combine_models compare_ic conditional_effects conditional_smooths
control_params cor_ar cor_arma cor_arr cor_car cor_cosy cor_errorsar cor_fixed cor_icar cor_lagsar cor_ma cor_sar cosy cox cratio cs cse
cumulative custom_family dasym_laplace density_ratio dirichlet do_call dstudent_t empty_prior exgaussian exponential expose_functions expp1
extract_draws fcor fixef frechet gen_extreme_value geometric get_dpar get_prior get_y gp gr horseshoe hurdle_cumulative hurdle_gamma
hurdle_lognormal hurdle_negbinomial hurdle_poisson hypothesis inv_logit_scaled is.brmsfit is.brmsfit_multiple kfold kfold_predict lasso
launch_shinystan lf log_lik log_posterior logistic_normal logit_scaled logm1 lognormal loo loo_R2 loo_compare loo_linpred loo_model_weights
loo_moment_match loo_predict loo_predictive_interval loo_subsample LOO ma make_conditions make_stancode make_standata marginal_effects
marginal_smooths mcmc_plot me mi mixture mm mmc mo model_weights multinomial mvbf mvbind nchains ndraws neff_ratio negbinomial ngrps
niterations nlf nsamples nuts_params nvariables opencl pairs parnames parse_bf pasym_laplace post_prob posterior_average posterior_epred
posterior_interval posterior_linpred posterior_predict posterior_samples posterior_smooths posterior_summary posterior_table pp_average
pp_check pp_expect pp_mixture prepare_predictions prior prior_ prior_draws prior_samples prior_summary qstudent_t R2D2 ranef rasym_laplace
recompile_model reloo rename_pars resp_cat resp_cens resp_dec resp_index resp_mi resp_rate resp_se resp_subset resp_thres resp_trials
resp_trunc resp_vint resp_vreal resp_weights restructure rhat rstudent_t rwiener s sar save_pars set_mecor set_nl set_prior set_rescor
shifted_lognormal skew_normal sratio stancode standata stanplot stanvar student t2 theme_black theme_default threading update_adterms
validate_newdata validate_prior VarCorr variables von_mises waic WAIC weibull wiener zero_inflated_beta zero_inflated_beta_binomial
zero_inflated_binomial zero_inflated_negbinomial zero_inflated_poisson zero_one_inflated_beta
""".split()
METHODS = """
add_criterion add_ic as.array as.data.frame as.matrix as.mcmc as_draws as_draws_array as_draws_df as_draws_list as_draws_matrix
as_draws_rvars autocor bayes_factor bayes_R2 bridge_sampler coef conditional_effects conditional_smooths control_params expose_functions
family fitted fixef formula getCall hypothesis kfold launch_shinystan log_lik log_posterior logLik loo loo_linpred loo_model_weights
loo_moment_match loo_predict loo_predictive_interval loo_R2 loo_subsample LOO marginal_effects marginal_smooths mcmc_plot model.frame
model_weights nchains ndraws neff_ratio ngrps niterations nobs nsamples nuts_params nvariables pairs parnames plot post_prob
posterior_average posterior_epred posterior_interval posterior_linpred posterior_predict posterior_samples posterior_smooths
posterior_summary pp_average pp_check pp_mixture predict predictive_error predictive_interval prepare_predictions print prior_draws
prior_summary ranef reloo residuals rhat stancode standata stanplot summary update VarCorr variables vcov waic WAIC
""".split()


def empty(**more):
    return brim.brm("Reaction ~ Days", brim.load_data("sleepstudy"), empty=True, **more)


def said(owner, name):
    """What is said of a name; what it is where it is there."""
    try:
        return getattr(owner, name)
    except AttributeError as error:
        return str(error) if error.name == name else ""


@pytest.mark.parametrize("name", EXPORTS)
def test_functions_of_brms_are_here_or_what_to_use_is_told(name):
    found = said(brim, name.replace(".", "_"))
    assert not isinstance(found, str) or ": " in found


@pytest.mark.parametrize("name", METHODS)
def test_methods_of_brmsfit_are_here_or_what_to_use_is_told(name):
    found = said(empty(), name.replace(".", "_"))
    assert not isinstance(found, str) or ": " in found or name == "family"


def test_other_names_are_unknown_as_ever():
    assert said(brim, "spam") == "module 'brim' has no attribute 'spam'"
    assert said(empty(), "spam") == "a fit has no 'spam'"
    assert not hasattr(empty(), "_repr_latex_")
    fit = empty()
    for other in (copy.copy(fit), pickle.loads(pickle.dumps(fit))):
        assert other.nobs() == fit.nobs()


def test_other_names_of_the_same():
    assert brim.get_prior is brim.default_prior
    assert brim.set_prior is brim.prior
    assert brim.brmsformula is brim.bf
    assert brim.brmsfamily("student", "log", link_nu="identity").links == {"mu": "log", "sigma": "log", "nu": "identity"}
    assert brim.brmsfamily("cumulative", threshold="equidistant").name == brim.cumulative(threshold="equidistant").name
    with pytest.raises(brim.BrimError, match="unknown family 'studnt'"):
        brim.brmsfamily("studnt")


@pytest.fixture(scope="module")
def sampled():
    prior = brim.prior("normal(0, 10)", class_="b")
    options = {"prior": prior, "sample_prior": "yes", "chains": 2, "iter": 300, "seed": 1, "progress": False}
    return brim.brm("Reaction ~ Days + (1 | Subject)", brim.load_data("sleepstudy"), **options)


@pytest.mark.default_precision
@pytest.mark.filterwarnings("ignore::brim.BrimWarning")
def test_draws_are_counted_and_looked_at(sampled):
    fit, days = sampled, sampled.draws["b_Days"]
    assert (fit.ndraws(), fit.nchains(), fit.niterations()) == (300, 2, 150)
    assert fit.nvariables() == len(fit.variables())
    assert fit.rhat("b_Days").to_dict() == {"b_Days": float(rhat(days))}
    assert list(fit.rhat("r_Subject").index) == [v for v in fit.variables() if v.startswith("r_Subject")]
    np.testing.assert_allclose(fit.neff_ratio("b_Days"), min(ess_bulk(days), ess_tail(days)) / 300)
    fixed = np.stack([fit.draws["b_Intercept"].ravel(), days.ravel()])
    np.testing.assert_allclose(fit.vcov(), np.cov(fixed))
    np.testing.assert_allclose(fit.vcov(correlation=True).loc["Intercept", "Days"], np.corrcoef(fixed)[0, 1])
    np.testing.assert_allclose(fit.vcov(variable="b_Days"), [[days.var(ddof=1)]])
    table = fit.log_posterior()
    np.testing.assert_array_equal(table["Value"], fit.draws["lp__"].ravel())
    assert table.iloc[150][["Chain", "Iteration"]].tolist() == [2, 1]
    told = fit.nuts_params()
    assert set(told["Parameter"]) == {"accept_stat__", "stepsize__", "treedepth__", "n_leapfrog__", "divergent__", "energy__"}
    np.testing.assert_array_equal(told.loc[told["Parameter"] == "n_leapfrog__", "Value"], fit.stats["n_steps"].ravel())
    np.testing.assert_array_equal(fit.prior_draws("sigma")["sigma"], fit.draws["prior_sigma"].ravel())
    assert list(fit.prior_draws()) == [v.removeprefix("prior_") for v in fit.variables() if v.startswith("prior_")]


def test_what_draws_cannot_tell():
    fit = empty().with_draws(pd.DataFrame({"b_Intercept": [1.0, 2], "b_Days": [1.0, 3], "sigma": [1.0, 2]}))
    for ask, what in (
        (fit.prior_draws, "no draws from its priors.*sample_prior"),
        (fit.nuts_params, "the sampler told nothing"),
        (fit.log_posterior, "without lp__"),
        (lambda: fit.vcov(variable="b_Day"), "no coefficient 'Day'.*did you mean 'Days'"),
        (lambda: fit.rhat("b_Day"), "no variable 'b_Day'"),
    ):
        with pytest.raises(brim.BrimError, match=f"(?s){what}"):
            ask()


@pytest.mark.default_precision
@pytest.mark.filterwarnings("ignore::brim.BrimWarning")
def test_variables_and_effects_that_are_wanted(sampled):
    """One way to name them everywhere: by name, vector, beginning or regular expression."""
    fit = sampled
    for variable, regex, found in (
        ("b_Days", False, ["b_Days"]),
        ("b_*", False, ["b_Intercept", "b_Days"]),
        (["sigma", "b_*"], False, ["sigma", "b_Intercept", "b_Days"]),
        ("^b_", True, ["b_Intercept", "b_Days"]),
        ("308", True, ["r_Subject[308,Intercept]"]),
    ):
        assert list(fit.as_draws_df(variable, regex).columns[:-3]) == found
    assert len(fit.plot(variable="^(b_D|sig)", regex=True).axes) == 4
    assert len(fit.mcmc_plot("acf", variable="r_Subject[308,Intercept]").axes) == 1
    assert list(fit.fixef(pars="Days").index) == ["Days"]
    assert list(fit.ranef(groups="Subject", pars=["Intercept"])) == ["Subject"]
    for ask, what in (
        (lambda: fit.as_draws_df("b_Dayz"), "no variable 'b_Dayz'.*did you mean 'b_Days'"),
        (lambda: fit.as_draws_df("b_(", regex=True), "no regular expression"),
        (lambda: fit.fixef(pars="Dayz"), "did you mean 'Days'"),
        (lambda: fit.ranef(groups="Subjct"), "did you mean 'Subject'"),
    ):
        with pytest.raises(brim.BrimError, match=f"(?s){what}"):
            ask()


@pytest.mark.parametrize(
    ("argument", "use"),
    [("autocor", "in the formula"), ("save_pars", "keep="), ("stanvars", "data2"), ("inits", "init"), ("threads", "cores"),
     ("cov_ranef", "gr\\(g, cov = A\\)"), ("sparse", "bf\\(..., sparse=True\\)"), ("future", "executor")],
)  # fmt: skip
def test_arguments_of_brms_that_are_said_otherwise(argument, use):
    with pytest.raises(brim.BrimError, match=f"(?s)has no argument '{argument}'.*{use}"):
        empty(**{argument: 1})
