"""The same rows as each engine holds them that can read in batches."""

import numpy as np

ENGINES = ("polars", "polars-folder", "duckdb", "ibis", "pyarrow")


def rows(n, seed=3):
    """Columns of a mixed model: a continuous and a discrete predictor, a factor, keys of two levels, weights."""
    rng = np.random.default_rng(seed)
    g = rng.integers(0, 30, n)
    x, f = rng.normal(5.0, 2.0, n), rng.choice(list("cab"), n)
    effects = rng.normal(size=30)[g] + 0.3 * rng.normal(size=6)[g // 5] * x
    y = 40.0 + 0.5 * x + effects + (f == "b") + rng.normal(size=n) * 3.0
    b = (rng.random(n) < 0.3).astype(int)
    return {"y": y, "x": x, "f": f, "g": g, "h": g // 5, "w": rng.integers(1, 4, n).astype(float), "b": b}


def sources(data, folder):
    """Engine -> function that gives the data as that engine holds them; Parquet files are in ``folder``."""

    def files():
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.table(data)
        half = table.num_rows // 2
        pq.write_table(table.slice(0, half), folder / "a.parquet")
        pq.write_table(table.slice(half), folder / "b.parquet")
        return folder

    def polars():
        import polars as pl

        return pl.DataFrame(data).lazy()

    def duckdb():
        import duckdb

        return duckdb.read_parquet(str(files() / "*.parquet"))

    def ibis():
        import ibis

        return ibis.read_parquet(str(files() / "*.parquet"))

    def pyarrow():
        import pyarrow.dataset as ds

        return ds.dataset(str(files()))

    return {"polars": polars, "polars-folder": files, "duckdb": duckdb, "ibis": ibis, "pyarrow": pyarrow}
