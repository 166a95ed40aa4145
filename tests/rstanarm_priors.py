"""What ``prior_summary()`` of a fit holds, beside rstanarm's own."""

import numpy as np


def same_priors(mine, theirs):
    """Every part and entry of theirs is in mine; a number of theirs may stand for several equal ones."""
    for part, ref in theirs.items():
        if ref is None:
            assert mine.get(part) is None, part
            continue
        for key in ref.keys() - {"aux_name"}:
            value = ref[key].get("values") if isinstance(ref[key], dict) else ref[key]
            own = mine[part].get(key)
            if value is None or isinstance(value, str):
                assert own == value, (part, key)
            else:
                assert np.size(value) in (1, np.size(own)), (part, key)
                np.testing.assert_allclose(
                    np.ravel(own), np.broadcast_to(np.ravel(value), np.size(own)), rtol=1e-8, err_msg=f"{part} {key}"
                )
