"""Parts of one work, shared among threads: what map gives, in its order, however many there are."""

from __future__ import annotations

import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoml_ops.steps.crew import Crew


@given(st.lists(st.integers(-99, 99), max_size=40), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_it_gives_what_map_gives(items: list[int], threads: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        crew = Crew(pool, threads)
        assert list(crew.spread(lambda number: number**2, items)) == [number**2 for number in items]
        # From inside its own tasks too, all of them at once: more tasks than threads, and nothing locks up.
        tasks = [pool.submit(crew.spread, str, items) for _ in range(8)]
        assert all(list(task.result()) == list(map(str, items)) for task in tasks)


def test_a_free_thread_takes_parts_over_and_a_busy_one_does_not() -> None:
    together, inside = threading.Barrier(2, timeout=10), set()

    def meet(_: int) -> None:
        inside.add(threading.get_ident())
        together.wait()

    with ThreadPoolExecutor(2) as pool:
        # Two parts that wait for each other end only where two threads work on them.
        pool.submit(Crew(pool, 2).spread, meet, range(6)).result()
        assert len(inside) == 2
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(Crew(pool, 1).spread, str, range(3)).result() == ["0", "1", "2"]


def test_what_a_part_raises_is_raised() -> None:
    def divided(number: int) -> float:
        time.sleep(0.001)
        return 1 / number

    with ThreadPoolExecutor(3) as pool, pytest.raises(ZeroDivisionError):
        pool.submit(Crew(pool, 3).spread, divided, [1, 2, 0, 4, 5, 0]).result()


def test_a_pool_that_closes_leaves_the_work_to_who_has_it() -> None:
    pool = ThreadPoolExecutor(2)
    crew = Crew(pool, 2)
    pool.shutdown()
    assert crew.spread(abs, [-1, 2, -3]) == [1, 2, 3]


def test_what_is_done_is_not_held_by_who_comes_too_late() -> None:
    class Held:
        def weigh(self, number: int) -> int:
            return number

    held, gate = Held(), threading.Event()
    gone = threading.Event()
    weak = weakref.ref(held, lambda _: gone.set())
    with ThreadPoolExecutor(1) as pool:
        pool.submit(gate.wait)
        crew = Crew(pool, 4)
        assert crew.spread(held.weigh, range(5)) == list(range(5))
        del held
        assert gone.wait(1)
        assert weak() is None
        gate.set()
