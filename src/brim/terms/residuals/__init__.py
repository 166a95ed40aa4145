"""Residual structures: ``ar() ma() arma() cosy() unstr() fcor() sar() car()``.

May import: terms.base, parameters, design.
"""
