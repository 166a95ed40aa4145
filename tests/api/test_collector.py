"""The cycle collector: kept from what stays, and as it was afterwards."""

import gc

import pytest

from brim.api.collector import aside, while_importing


def test_what_exists_is_left_out_and_comes_back():
    with aside():
        assert gc.get_freeze_count() > 1000
        with aside():
            assert gc.get_freeze_count() > 1000
        assert gc.get_freeze_count() > 1000
    assert gc.get_freeze_count() == 0


def test_an_error_leaves_nothing_frozen():
    with pytest.raises(ZeroDivisionError), aside():
        _ = 1 / 0
    assert gc.get_freeze_count() == 0


def test_what_the_caller_froze_stays_frozen():
    gc.freeze()
    try:
        with aside():
            pass
        assert gc.get_freeze_count() > 1000
    finally:
        gc.unfreeze()


@pytest.mark.parametrize("running", [True, False])
def test_importing_leaves_the_collector_as_it_was(running):
    was = gc.isenabled()
    try:
        (gc.enable if running else gc.disable)()
        with while_importing():
            assert not gc.isenabled()
        assert gc.isenabled() is running
        assert gc.get_freeze_count() == 0
    finally:
        (gc.enable if was else gc.disable)()


def test_cycles_made_within_are_still_found():
    class Node:
        pass

    freed = []
    with aside():
        node = Node()
        node.self, node.told = node, Told(freed)
        del node
        gc.collect()
    assert freed == [1]


class Told:
    def __init__(self, where):
        self.where = where

    def __del__(self):
        self.where.append(1)
