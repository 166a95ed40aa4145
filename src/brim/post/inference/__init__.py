"""Questions to a posterior: hypotheses, comparisons, slopes, marginal means."""
