"""rstanarm's functions: its priors, scaling rules, names and prints on brim's models and samplers.

May import: every other room.
"""

from __future__ import annotations

from brim.rstanarm.betareg import stan_betareg as stan_betareg
from brim.rstanarm.gamm import stan_gamm4 as stan_gamm4
from brim.rstanarm.joint.check import ps_check as ps_check
from brim.rstanarm.joint.jm import stan_jm as stan_jm
from brim.rstanarm.joint.markers import stan_mvmer as stan_mvmer
from brim.rstanarm.joint.predict import posterior_survfit as posterior_survfit
from brim.rstanarm.joint.predict import posterior_traj as posterior_traj
from brim.rstanarm.mixed import stan_glmer as stan_glmer
from brim.rstanarm.mixed import stan_glmer_nb as stan_glmer_nb
from brim.rstanarm.mixed import stan_lmer as stan_lmer
from brim.rstanarm.nonlinear import stan_nlmer as stan_nlmer
from brim.rstanarm.ordinal import stan_polr as stan_polr
from brim.rstanarm.plots import plot_nonlinear as plot_nonlinear
from brim.rstanarm.priors import R2 as R2
from brim.rstanarm.priors import cauchy as cauchy
from brim.rstanarm.priors import decov as decov
from brim.rstanarm.priors import default_prior_coef as default_prior_coef
from brim.rstanarm.priors import default_prior_intercept as default_prior_intercept
from brim.rstanarm.priors import dirichlet as dirichlet
from brim.rstanarm.priors import exponential as exponential
from brim.rstanarm.priors import hs as hs
from brim.rstanarm.priors import hs_plus as hs_plus
from brim.rstanarm.priors import laplace as laplace
from brim.rstanarm.priors import lasso as lasso
from brim.rstanarm.priors import lkj as lkj
from brim.rstanarm.priors import normal as normal
from brim.rstanarm.priors import product_normal as product_normal
from brim.rstanarm.priors import student_t as student_t
from brim.rstanarm.regression import stan_aov as stan_aov
from brim.rstanarm.regression import stan_glm as stan_glm
from brim.rstanarm.regression import stan_glm_nb as stan_glm_nb
from brim.rstanarm.regression import stan_lm as stan_lm
from brim.rstanarm.strata import stan_clogit as stan_clogit
