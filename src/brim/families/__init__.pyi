"""The families and their constructors, for editors and type checkers; ``tests/families/test_stub.py`` writes this file."""

from typing import Any

from brim.distributions.base import Distribution as Distribution
from brim.families.base import Dpar as Dpar
from brim.families.base import DparSpec as DparSpec
from brim.families.base import Family as Family
from brim.families.base import Seen as Seen
from brim.families.constructor import Constructor as Constructor
from brim.families.custom import custom_family as custom_family
from brim.families.registry import family as family
from brim.families.registry import mixture as mixture

__all__ = [
    "acat",
    "asym_laplace",
    "bernoulli",
    "beta",
    "beta_binomial",
    "binomial",
    "categorical",
    "com_poisson",
    "cox",
    "cratio",
    "cumulative",
    "custom_family",
    "dirichlet",
    "dirichlet_multinomial",
    "discrete_weibull",
    "exgaussian",
    "exponential",
    "frechet",
    "gamma",
    "gaussian",
    "gen_extreme_value",
    "geometric",
    "hurdle_cumulative",
    "hurdle_gamma",
    "hurdle_lognormal",
    "hurdle_negbinomial",
    "hurdle_poisson",
    "inverse_gaussian",
    "logistic_normal",
    "lognormal",
    "mixture",
    "multinomial",
    "negbinomial",
    "negbinomial2",
    "poisson",
    "shifted_lognormal",
    "skew_normal",
    "sratio",
    "student",
    "von_mises",
    "weibull",
    "wiener",
    "xbeta",
    "zero_inflated_asym_laplace",
    "zero_inflated_beta",
    "zero_inflated_beta_binomial",
    "zero_inflated_binomial",
    "zero_inflated_negbinomial",
    "zero_inflated_poisson",
    "zero_one_inflated_beta",
]

class _acat(Constructor):
    def __call__(
        self,
        link: str = "logit",
        link_disc: str = "log",
        threshold: str = "flexible",
    ) -> Family:
        """Adjacent categories, ``P(Y = k + 1 | k or k + 1) = F(mu - tau_k)``."""

acat: _acat

class _asym_laplace(Constructor):
    def __call__(
        self,
        link: str = "identity",
        link_sigma: str = "log",
        link_quantile: str = "logit",
    ) -> Family:
        """Asymmetric Laplace distribution whose ``quantile`` is at ``mu``: Bayesian quantile regression."""

asym_laplace: _asym_laplace

class _bernoulli(Constructor):
    def __call__(
        self,
        link: str = "logit",
    ) -> Family:
        """Zeros and ones: ``P(Y = 1) = mu``."""

bernoulli: _bernoulli

class _beta(Constructor):
    def __call__(
        self,
        link: str = "logit",
        link_phi: str = "log",
    ) -> Family:
        """Beta distribution: mean ``mu``, precision ``phi``."""

beta: _beta

class _beta_binomial(Constructor):
    def __call__(
        self,
        link: str = "logit",
        link_phi: str = "log",
    ) -> Family:
        """Beta-binomial counts: ``trials`` trials with mean probability ``mu`` and precision ``phi``."""

beta_binomial: _beta_binomial

class _binomial(Constructor):
    def __call__(
        self,
        link: str = "logit",
    ) -> Family:
        """Successes in ``trials`` trials, each with probability ``mu``."""

binomial: _binomial

class _categorical(Constructor):
    def __call__(
        self,
        link: str = "logit",
        refcat: Any = None,
    ) -> Family:
        """Unordered categories: one predictor for each but ``refcat``, probabilities by softmax."""

categorical: _categorical

class _com_poisson(Constructor):
    def __call__(
        self,
        link: str = "log",
        link_shape: str = "log",
    ) -> Family:
        """Conway-Maxwell-Poisson counts: mass proportional to ``(mu^y / y!)^shape``."""

com_poisson: _com_poisson

class _cox(Constructor):
    def __call__(
        self,
        link: str = "log",
        bhaz: Any = None,
    ) -> Family:
        """Cox proportional hazards model: relative hazard ``mu``, baseline hazard from ``bhaz`` (``{'df': 5}``) M-splines."""

cox: _cox

class _cratio(Constructor):
    def __call__(
        self,
        link: str = "logit",
        link_disc: str = "log",
        threshold: str = "flexible",
    ) -> Family:
        """Continuation ratios, ``P(Y > k | Y >= k) = F(mu - tau_k)``."""

cratio: _cratio

class _cumulative(Constructor):
    def __call__(
        self,
        link: str = "logit",
        link_disc: str = "log",
        threshold: str = "flexible",
    ) -> Family:
        """Cumulative model of ordered categories: ``P(Y <= k) = F(tau_k - mu)``."""

cumulative: _cumulative

class _dirichlet(Constructor):
    def __call__(
        self,
        link: str = "logit",
        link_phi: str = "log",
        refcat: Any = None,
    ) -> Family:
        """Dirichlet distribution of proportions that sum to 1: one predictor a category (softmax), precision ``phi``."""

dirichlet: _dirichlet

class _dirichlet_multinomial(Constructor):
    def __call__(
        self,
        link: str = "logit",
        link_phi: str = "log",
        refcat: Any = None,
    ) -> Family:
        """Overdispersed counts of categories (a matrix response): multinomial with Dirichlet probabilities of precision ``phi``."""

dirichlet_multinomial: _dirichlet_multinomial

class _discrete_weibull(Constructor):
    def __call__(
        self,
        link: str = "logit",
        link_shape: str = "log",
    ) -> Family:
        """Discrete Weibull counts: ``P(Y >= k) = mu^(k^shape)``."""

discrete_weibull: _discrete_weibull

class _exgaussian(Constructor):
    def __call__(
        self,
        link: str = "identity",
        link_sigma: str = "log",
        link_beta: str = "log",
    ) -> Family:
        """Normal plus exponential: mean of the sum ``mu``, of the exponential part ``beta``; ``sigma`` of the normal part."""

exgaussian: _exgaussian

class _exponential(Constructor):
    def __call__(
        self,
        link: str = "log",
    ) -> Family:
        """Exponential distribution with mean ``mu``."""

exponential: _exponential

class _frechet(Constructor):
    def __call__(
        self,
        link: str = "log",
        link_nu: str = "logm1",
    ) -> Family:
        """Frechet distribution: mean ``mu``, shape ``nu > 1``."""

frechet: _frechet

class _gamma(Constructor):
    def __call__(
        self,
        link: str = "log",
        link_shape: str = "log",
    ) -> Family:
        """Gamma distribution: mean ``mu``, ``shape``."""

gamma: _gamma

class _gaussian(Constructor):
    def __call__(
        self,
        link: str = "identity",
        link_sigma: str = "log",
    ) -> Family:
        """Normal distribution: mean ``mu``, standard deviation ``sigma``."""

gaussian: _gaussian

class _gen_extreme_value(Constructor):
    def __call__(
        self,
        link: str = "identity",
        link_sigma: str = "log",
        link_xi: str = "log1p",
    ) -> Family:
        """Generalised extreme value distribution: location ``mu``, scale ``sigma``, shape ``xi``."""

gen_extreme_value: _gen_extreme_value

class _geometric(Constructor):
    def __call__(
        self,
        link: str = "log",
    ) -> Family:
        """Geometric counts with mean ``mu``: negative binomial ones with ``shape = 1``."""

geometric: _geometric

class _hurdle_cumulative(Constructor):
    def __call__(
        self,
        link: str = "logit",
        link_hu: str = "logit",
        link_disc: str = "log",
        threshold: str = "flexible",
    ) -> Family:
        """Category 0 with probability ``hu``, else a cumulative model of the categories above."""

hurdle_cumulative: _hurdle_cumulative

class _hurdle_gamma(Constructor):
    def __call__(
        self,
        link: str = "log",
        link_shape: str = "log",
        link_hu: str = "logit",
    ) -> Family:
        """Gamma distribution: mean ``mu``, ``shape``; with a hurdle: 0 with probability ``hu``."""

hurdle_gamma: _hurdle_gamma

class _hurdle_lognormal(Constructor):
    def __call__(
        self,
        link: str = "identity",
        link_sigma: str = "log",
        link_hu: str = "logit",
    ) -> Family:
        """Log-normal distribution: ``log(Y)`` has mean ``mu`` and standard deviation ``sigma``; with a hurdle: 0 with probability
        ``hu``.
        """

hurdle_lognormal: _hurdle_lognormal

class _hurdle_negbinomial(Constructor):
    def __call__(
        self,
        link: str = "log",
        link_shape: str = "log",
        link_hu: str = "logit",
    ) -> Family:
        """Negative binomial counts with mean ``mu`` and variance ``mu + mu^2 / shape``; ``rate()`` multiplies both parameters;
        with a hurdle: 0 with probability ``hu``.
        """

hurdle_negbinomial: _hurdle_negbinomial

class _hurdle_poisson(Constructor):
    def __call__(
        self,
        link: str = "log",
        link_hu: str = "logit",
    ) -> Family:
        """Poisson counts with mean ``mu`` (times the denominator of ``rate()``); with a hurdle: 0 with probability ``hu``."""

hurdle_poisson: _hurdle_poisson

class _inverse_gaussian(Constructor):
    def __call__(
        self,
        link: str = "1/mu^2",
        link_shape: str = "log",
    ) -> Family:
        """Inverse Gaussian distribution: mean ``mu``, ``shape``."""

inverse_gaussian: _inverse_gaussian

class _logistic_normal(Constructor):
    def __call__(
        self,
        link: str = "identity",
        link_sigma: str = "log",
        refcat: Any = None,
    ) -> Family:
        """Logistic normal distribution of proportions that sum to 1: log ratios to ``refcat``, each with its ``mu`` and ``sigma``."""

logistic_normal: _logistic_normal

class _lognormal(Constructor):
    def __call__(
        self,
        link: str = "identity",
        link_sigma: str = "log",
    ) -> Family:
        """Log-normal distribution: ``log(Y)`` has mean ``mu`` and standard deviation ``sigma``."""

lognormal: _lognormal

class _multinomial(Constructor):
    def __call__(
        self,
        link: str = "logit",
        refcat: Any = None,
    ) -> Family:
        """Counts of categories (a matrix response) in ``trials`` trials: one predictor for each category but ``refcat``."""

multinomial: _multinomial

class _negbinomial(Constructor):
    def __call__(
        self,
        link: str = "log",
        link_shape: str = "log",
    ) -> Family:
        """Negative binomial counts with mean ``mu`` and variance ``mu + mu^2 / shape``; ``rate()`` multiplies both parameters."""

negbinomial: _negbinomial

class _negbinomial2(Constructor):
    def __call__(
        self,
        link: str = "log",
        link_sigma: str = "log",
    ) -> Family:
        """Negative binomial counts with mean ``mu`` and variance ``mu + sigma mu^2``."""

negbinomial2: _negbinomial2

class _poisson(Constructor):
    def __call__(
        self,
        link: str = "log",
    ) -> Family:
        """Poisson counts with mean ``mu`` (times the denominator of ``rate()``)."""

poisson: _poisson

class _shifted_lognormal(Constructor):
    def __call__(
        self,
        link: str = "identity",
        link_sigma: str = "log",
        link_ndt: str = "log",
    ) -> Family:
        """Shifted log-normal distribution: ``log(Y - ndt)`` has mean ``mu`` and standard deviation ``sigma``."""

shifted_lognormal: _shifted_lognormal

class _skew_normal(Constructor):
    def __call__(
        self,
        link: str = "identity",
        link_sigma: str = "log",
        link_alpha: str = "identity",
    ) -> Family:
        """Skew normal distribution: mean ``mu``, standard deviation ``sigma``, slant ``alpha``."""

skew_normal: _skew_normal

class _sratio(Constructor):
    def __call__(
        self,
        link: str = "logit",
        link_disc: str = "log",
        threshold: str = "flexible",
    ) -> Family:
        """Stopping ratios, ``P(Y = k | Y >= k) = F(tau_k - mu)``."""

sratio: _sratio

class _student(Constructor):
    def __call__(
        self,
        link: str = "identity",
        link_sigma: str = "log",
        link_nu: str = "logm1",
    ) -> Family:
        """Student's t distribution: location ``mu``, scale ``sigma``, ``nu`` degrees of freedom."""

student: _student

class _von_mises(Constructor):
    def __call__(
        self,
        link: str = "tan_half",
        link_kappa: str = "log",
    ) -> Family:
        """Von Mises distribution of angles from -pi to pi: mean direction ``mu``, concentration ``kappa``."""

von_mises: _von_mises

class _weibull(Constructor):
    def __call__(
        self,
        link: str = "log",
        link_shape: str = "log",
    ) -> Family:
        """Weibull distribution: mean ``mu``, ``shape``."""

weibull: _weibull

class _wiener(Constructor):
    def __call__(
        self,
        link: str = "identity",
        link_bs: str = "log",
        link_ndt: str = "log",
        link_bias: str = "logit",
    ) -> Family:
        """Diffusion model of decision times: drift ``mu``, boundary separation ``bs``, non-decision time ``ndt``, ``bias``."""

wiener: _wiener

class _xbeta(Constructor):
    def __call__(
        self,
        link: str = "logit",
        link_phi: str = "log",
        link_kappa: str = "log",
    ) -> Family:
        """Extended-support beta distribution of proportions that may be 0 or 1: ``mu``, ``phi``, exceedance ``kappa``."""

xbeta: _xbeta

class _zero_inflated_asym_laplace(Constructor):
    def __call__(
        self,
        link: str = "identity",
        link_sigma: str = "log",
        link_quantile: str = "logit",
        link_zi: str = "logit",
    ) -> Family:
        """Asymmetric Laplace distribution whose ``quantile`` is at ``mu``: Bayesian quantile regression; with zero inflation: 0
        with probability ``zi``.
        """

zero_inflated_asym_laplace: _zero_inflated_asym_laplace

class _zero_inflated_beta(Constructor):
    def __call__(
        self,
        link: str = "logit",
        link_phi: str = "log",
        link_zi: str = "logit",
    ) -> Family:
        """Beta distribution: mean ``mu``, precision ``phi``; with zero inflation: 0 with probability ``zi``."""

zero_inflated_beta: _zero_inflated_beta

class _zero_inflated_beta_binomial(Constructor):
    def __call__(
        self,
        link: str = "logit",
        link_phi: str = "log",
        link_zi: str = "logit",
    ) -> Family:
        """Beta-binomial counts: ``trials`` trials with mean probability ``mu`` and precision ``phi``; with zero inflation: 0 with
        probability ``zi``.
        """

zero_inflated_beta_binomial: _zero_inflated_beta_binomial

class _zero_inflated_binomial(Constructor):
    def __call__(
        self,
        link: str = "logit",
        link_zi: str = "logit",
    ) -> Family:
        """Successes in ``trials`` trials, each with probability ``mu``; with zero inflation: 0 with probability ``zi``."""

zero_inflated_binomial: _zero_inflated_binomial

class _zero_inflated_negbinomial(Constructor):
    def __call__(
        self,
        link: str = "log",
        link_shape: str = "log",
        link_zi: str = "logit",
    ) -> Family:
        """Negative binomial counts with mean ``mu`` and variance ``mu + mu^2 / shape``; ``rate()`` multiplies both parameters;
        with zero inflation: 0 with probability ``zi``.
        """

zero_inflated_negbinomial: _zero_inflated_negbinomial

class _zero_inflated_poisson(Constructor):
    def __call__(
        self,
        link: str = "log",
        link_zi: str = "logit",
    ) -> Family:
        """Poisson counts with mean ``mu`` (times the denominator of ``rate()``); with zero inflation: 0 with probability ``zi``."""

zero_inflated_poisson: _zero_inflated_poisson

class _zero_one_inflated_beta(Constructor):
    def __call__(
        self,
        link: str = "logit",
        link_phi: str = "log",
        link_zoi: str = "logit",
        link_coi: str = "logit",
    ) -> Family:
        """0 or 1 with probability ``zoi`` (1 with probability ``coi`` of it), else beta with mean ``mu`` and precision ``phi``."""

zero_one_inflated_beta: _zero_one_inflated_beta
