"""Numbers of threads of the linear algebra: one where matrices are small, the usual ones after that."""

import threading

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import brim
from brim.linalg.mixed import threads
from brim.lme4 import deviance


def numbers() -> set[int]:
    return {lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"}


@pytest.fixture
def two():
    with threadpool_limits(2, user_api="blas"):
        yield


def test_small_matrices_have_one_thread(two):
    with threads.suited(threads.LARGE - 1):
        assert numbers() == {1}
    assert numbers() == {2}
    with threads.suited(threads.LARGE):
        assert numbers() == {2}


def test_the_number_comes_back_after_errors_and_within_others(two):
    with threads.one_thread(), pytest.raises(ValueError, match="wrong"), threads.one_thread():
        raise ValueError("wrong")
    assert numbers() == {2}
    assert threads.each(lambda i: (i, numbers()), range(3)) == [(i, {1}) for i in range(3)]
    assert numbers() == {2}


def test_several_threads_of_python_leave_the_number_as_it_was(two):
    """One that comes second finds one thread: that is not what it leaves behind."""
    inside, leave = threading.Event(), threading.Event()

    def second() -> None:
        with threads.one_thread():
            inside.set()
            leave.wait(10)

    with threads.one_thread():
        other = threading.Thread(target=second)
        other.start()
        inside.wait(10)
    leave.set()
    other.join()
    assert numbers() == {2}


def test_lmer_computes_in_one_thread(two, monkeypatch):
    seen, factorise = [], deviance.factorise
    monkeypatch.setattr(deviance, "factorise", lambda *args: seen.append(numbers()) or factorise(*args))
    fit = brim.lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"))
    assert fit.criterion == pytest.approx(1743.628272, abs=1e-6)
    assert len(seen) > 3
    assert all(n == {1} for n in seen)
    assert numbers() == {2}
