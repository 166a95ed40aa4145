"""The density of a Gaussian model without its latent vectors, from the multivariate normal law of the response."""

import jax
import numpy as np
from scipy import stats

import brim

__all__ = ["written_out"]


def written_out(fit, marginal, q):
    """log p(y | other parameters) with the integrated effects in the covariance, plus priors and Jacobian of the others."""
    rest, model = marginal.plan.inner, fit.model
    inputs = model.data(fit.frame)
    params, log_det = rest.layout.constrain(q, inputs["fixed"])
    prior_part = rest.log_prior(rest.transform(params, inputs["design"]), inputs["design"], inputs["prior"])
    internal = rest.log_internal(rest.transform(params, inputs["design"]), inputs["design"], inputs["prior"])
    gone = {p.name: p for p in model.params if p.name not in {r.name for r in rest.params}}
    sizes = {name: int(np.prod(p.shape)) for name, p in gone.items()}

    def mean(z):
        at, own = 0, dict(params)
        for name, p in gone.items():
            own[name] = z[at : at + sizes[name]].reshape(p.shape)
            at += sizes[name]
        return model.responses[0].dpars(model.transform(own, inputs["design"]), inputs["design"])

    zero = np.zeros(sum(sizes.values()))
    b = np.asarray(jax.jacobian(lambda z: mean(z)["mu"].value)(zero))  # the mean is linear in the standardised effects
    dpars = mean(zero)
    seen = inputs["design"]["data"]
    sigma = np.broadcast_to(np.asarray(brim.families.additions.scale_of(dpars, seen)), len(seen["y"]))
    weights = np.asarray(seen.get("weights", np.ones(len(seen["y"]))))
    scale = sigma / np.sqrt(weights)  # a normal density to the power w is one of variance sigma^2 / w, up to this factor
    factor = np.sum(np.log(scale) - weights * np.log(sigma) + 0.5 * (1 - weights) * np.log(2 * np.pi))
    law = stats.multivariate_normal(np.asarray(dpars["mu"].value), b @ b.T + np.diag(scale**2))
    return float(law.logpdf(seen["y"]) + factor + prior_part + internal + log_det)
