"""Residual structures: ``ar() ma() arma() cosy() unstr() fcor() sar() car() strata()``.

May import: terms.base, parameters, design.
"""
