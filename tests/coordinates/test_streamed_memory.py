"""What a fit of many rows holds, in a process of its own."""

import json
import subprocess
import sys

import pytest

ROWS, GROUPS = 20_000_000, 20_000

PROGRAM = f"""
import json, resource, sys
import numpy as np, polars as pl
import brim

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6

folder, rng = sys.argv[1], np.random.default_rng(1)
effects = rng.normal(size=(2, {GROUPS})) * np.array([[0.8], [0.3]])
for part in range(20):
    n = {ROWS} // 20
    g, x = rng.integers(0, {GROUPS}, n), rng.normal(size=n)
    y = 2 + 0.5 * x + effects[0, g] + effects[1, g] * x + rng.normal(size=n)
    pl.DataFrame({{"y": y, "x": x, "g": g, "z": g % 7, "text": ["a", "b"] * (n // 2)}}).write_parquet(f"{{folder}}/{{part}}.parquet")
before = peak()
fit = brim.brm("y ~ x + (1 + x | g)", folder, chains=2, iter=400, seed=1, progress=False)
found = {{name: float(fit.draws[name].mean()) for name in ("b_x", "sd_g__Intercept", "sd_g__x", "sigma")}}
print(json.dumps({{**found, "rows": fit.nobs(), "GB": peak(), "before": before}}))
"""


@pytest.mark.slow
def test_twenty_million_rows_take_less_than_a_gigabyte_besides_the_draws(tmp_path):
    pytest.importorskip("polars")
    pytest.importorskip("resource")  # not on Windows
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["rows"] == ROWS
    for name, value, error in (("b_x", 0.5, 0.01), ("sd_g__Intercept", 0.8, 0.02), ("sd_g__x", 0.3, 0.01), ("sigma", 1.0, 0.002)):
        assert abs(told[name] - value) < error
    draws = 400 * 2 * GROUPS * 8 / 1e9
    assert told["GB"] < 0.7 + 3 * draws  # all rows of the three columns take 0.5 GB, and their design as much again
