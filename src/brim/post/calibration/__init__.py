"""Calibration: whether ranks of true values among draws are uniform."""
