"""Curves of covariates: smooths and Gaussian processes.

May import: terms.base, parameters, design.
"""
