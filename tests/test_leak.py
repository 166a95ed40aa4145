"""Memory over fifty fits in one process; slow."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.default_precision,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc"),
]

SCRIPT = """
import gc, os, sys, warnings
import numpy as np
import brim

warnings.simplefilter("ignore")
for i in range(50):
    rng = np.random.default_rng(i)
    g = np.repeat(np.arange(8 + (i if sys.argv[1] == "new" else 0)), 5)
    x = rng.normal(size=len(g))
    rows = {"y": rng.normal(size=len(g)) + x, "x": x, "g": g}
    brim.brm("y ~ x + (1 | g)", rows, marginalize=sys.argv[2] == "True", chains=2, iter=100, seed=i, progress=False)
    gc.collect()
    with open("/proc/self/statm") as file:
        print(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20, flush=True)
"""


def megabytes(shapes, marginalize, tmp_path):
    """Resident memory after each fit."""
    environment = {"BRIM_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[1] / "src"), "PATH": "/usr/bin:/bin"}
    run = [sys.executable, "-c", SCRIPT, shapes, str(marginalize)]
    return [float(line) for line in subprocess.run(run, check=True, capture_output=True, text=True, env=environment).stdout.split()]


@pytest.mark.parametrize("marginalize", [True, False])
def test_fits_of_one_shape_take_no_memory(marginalize, tmp_path):
    """New data and seeds, one compiled program. A fit's draws and statistics are about 0.1 MB: forty that stayed would be 4 MB."""
    memory = megabytes("one", marginalize, tmp_path)
    assert len(memory) == 50
    assert memory[-1] - memory[9] < 4


def test_fits_of_new_shapes_take_bounded_memory(tmp_path):
    """Every fit compiles anew. The last 16 programs of each kind are kept (13 MB a fit, measured); once there are as many, nothing but what
    JAX itself remembers of a trace stays (2 to 4 MB): a growth of half a program a fit would be a leak.
    """
    memory = megabytes("new", True, tmp_path)
    assert memory[-1] - memory[24] < 25 * 6.5
