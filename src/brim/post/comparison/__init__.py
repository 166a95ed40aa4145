"""How well models predict: loo, waic, kfold, weights, marginal likelihoods."""
