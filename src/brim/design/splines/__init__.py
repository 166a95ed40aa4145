"""Bases of smooth functions with their penalties, and the mixed-model form in which they are sampled. NumPy and SciPy only.

Bases are learned once from the training covariates and replayed on new ones. Sources: de Boor (1978) for B-splines; Eilers and
Marx (1996) for P-splines; Wood (2003) for thin plate regression splines; Wood, Scheipl and Faraway (2013) for tensor products;
Wood (2017), Generalized Additive Models, for the rest.
"""
