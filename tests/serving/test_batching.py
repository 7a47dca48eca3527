"""What waits is answered together, what does not wait is answered at once, and nobody pays for another's trouble."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from geoml_ops.core.errors import BadInput, GeomlError, Unavailable
from serving.batching import CALL_PX, MOST_WAITING, TURN_PX, Batches


@dataclass(frozen=True, eq=False)
class Piece:
    name: str
    key: str = "a"
    size_px: int = 100


Errors = Sequence[GeomlError | None]
Waiting = Batches[Piece, Sequence[Piece], Errors]


class Answering:
    """Answers pieces and notes the calls; while the gate is shut, it waits in the first call of each thread."""

    def __init__(self, *, shut: bool = False) -> None:
        self.calls: list[list[str]] = []
        self.gate, self.entered = threading.Event(), threading.Semaphore(0)
        self.wrong: dict[str, GeomlError] = {}
        if not shut:
            self.gate.set()

    def __call__(self, pieces: Sequence[Piece]) -> list[GeomlError | None]:
        self.calls.append([piece.name for piece in pieces])
        self.entered.release()
        assert self.gate.wait(20)
        return [self.wrong.get(piece.name) for piece in pieces]


def running(
    answering: Callable[[Sequence[Piece]], Sequence[GeomlError | None]],
    script: Callable[[Waiting], Coroutine[Any, Any, None]],
    *,
    threads: int = 1,
    most_waiting_px: int = 10**9,
    keep: Callable[[Errors], Errors] = lambda errors: errors,
) -> None:
    batches: Waiting = Batches(lambda pieces: pieces, answering, keep, threads=threads, most_waiting_px=most_waiting_px)
    try:
        asyncio.run(asyncio.wait_for(script(batches), 30))
    finally:
        if isinstance(answering, Answering):
            answering.gate.set()
        batches.close()


async def entered(answering: Answering) -> None:
    assert await asyncio.to_thread(answering.entered.acquire, timeout=20)


async def occupied(batches: Waiting, answering: Answering) -> list[asyncio.Task[None]]:
    """Keeps the only thread busy, and the call after it made ready, so that all that comes now waits."""
    tasks = [ask(batches, Piece("busy"))]
    await entered(answering)
    tasks.append(ask(batches, Piece("ready", "ready", 1)))
    await asyncio.sleep(0)
    while batches.waiting_px:
        await asyncio.sleep(0.001)
    return tasks


def ask(batches: Waiting, *pieces: Piece) -> asyncio.Task[None]:
    return asyncio.ensure_future(batches.answered(pieces))


def test_a_lone_request_is_answered_at_once() -> None:
    answering = Answering()

    async def script(batches: Waiting) -> None:
        for number in range(5):
            await batches.answered([Piece(str(number))])

    running(answering, script)
    assert answering.calls == [[str(number)] for number in range(5)]


def test_what_waited_is_one_call_per_key_in_the_order_of_coming() -> None:
    answering = Answering(shut=True)

    async def script(batches: Waiting) -> None:
        first = await occupied(batches, answering)
        assert batches.busy
        waiting = [ask(batches, Piece(f"{key}{number}", key)) for number in range(3) for key in ("a", "b")]
        await asyncio.sleep(0)
        answering.gate.set()
        await asyncio.gather(*first, *waiting)
        assert batches.waiting_px == 0

    running(answering, script)
    assert answering.calls == [["busy"], ["ready"], ["a0", "a1", "a2"], ["b0", "b1", "b2"]]


def test_a_call_grows_to_its_limit_and_a_larger_part_goes_alone() -> None:
    answering = Answering(shut=True)

    async def script(batches: Waiting) -> None:
        first = await occupied(batches, answering)
        half, large = CALL_PX // 2, CALL_PX * 3
        waiting = [ask(batches, Piece(f"half{number}", "half", half)) for number in range(5)]
        waiting += [ask(batches, Piece(f"large{number}", "large", large)) for number in range(2)]
        await asyncio.sleep(0)
        answering.gate.set()
        await asyncio.gather(*first, *waiting)

    running(answering, script)
    assert answering.calls[2:] == [["half0", "half1"], ["half2", "half3"], ["half4"], ["large0"], ["large1"]]


def test_a_request_of_many_parts_lets_others_have_their_turn() -> None:
    answering = Answering(shut=True)

    async def script(batches: Waiting) -> None:
        first = await occupied(batches, answering)
        n = 3 * TURN_PX // CALL_PX
        waiting = [ask(batches, *(Piece(f"many{number}", "many", CALL_PX) for number in range(n)))]
        waiting.append(ask(batches, Piece("small", "small")))
        await asyncio.sleep(0)
        answering.gate.set()
        await asyncio.gather(*first, *waiting)
        assert answering.calls.index(["small"]) == 2 + TURN_PX // CALL_PX
        assert len(answering.calls) == 3 + n

    running(answering, script)


def test_several_threads_share_one_request() -> None:
    both = threading.Barrier(2)

    def answer(pieces: Sequence[Piece]) -> list[GeomlError | None]:
        both.wait(20)
        return [None] * len(pieces)

    async def script(batches: Waiting) -> None:
        await batches.answered([Piece("left", "left"), Piece("right", "right")])

    running(answer, script, threads=2)


def test_an_error_stays_with_its_own_request() -> None:
    answering = Answering(shut=True)
    answering.wrong["bad"] = BadInput("This one is wrong.")

    async def script(batches: Waiting) -> None:
        first = await occupied(batches, answering)
        waiting = [ask(batches, Piece(name)) for name in ("good", "bad", "fine")]
        bad = ask(batches, Piece("bad", "c"), Piece("never", "d"))
        await asyncio.sleep(0)
        answering.gate.set()
        said = await asyncio.gather(*first, *waiting, bad, return_exceptions=True)
        assert [type(one) for one in said] == [type(None), type(None), type(None), BadInput, type(None), BadInput]

    running(answering, script)


def test_who_went_away_costs_nothing() -> None:
    answering = Answering(shut=True)

    async def script(batches: Waiting) -> None:
        first = await occupied(batches, answering)
        gone, there = ask(batches, Piece("gone")), ask(batches, Piece("there"))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        assert batches.waiting_px == 100
        answering.gate.set()
        await asyncio.gather(*first, there)

    running(answering, script)
    assert answering.calls == [["busy"], ["ready"], ["there"]]


def test_too_much_that_waits_is_refused_with_the_numbers() -> None:
    answering = Answering(shut=True)

    async def script(batches: Waiting) -> None:
        first = await occupied(batches, answering)
        waiting = [ask(batches, Piece(str(number))) for number in range(10)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="1000 pixels wait already"):
            await batches.answered([Piece("too much")])
        answering.gate.set()
        await asyncio.gather(*first, *waiting)
        await batches.answered([Piece("larger than all that may wait", size_px=5000)])

    running(answering, script, most_waiting_px=1000)


def test_too_many_that_wait_are_refused() -> None:
    answering = Answering(shut=True)

    async def script(batches: Waiting) -> None:
        first = await occupied(batches, answering)
        waiting = [ask(batches, Piece(str(number))) for number in range(MOST_WAITING + 5)]
        await asyncio.sleep(0)
        answering.gate.set()
        said = await asyncio.gather(*first, *waiting, return_exceptions=True)
        assert 1 <= sum(isinstance(one, Unavailable) for one in said) <= 6
        assert all(one is None or isinstance(one, Unavailable) for one in said)

    running(answering, script)


def test_a_thread_survives_what_nobody_foresaw() -> None:
    def answer(pieces: Sequence[Piece]) -> list[GeomlError | None]:
        if pieces[0].name == "trap":
            raise ZeroDivisionError
        return [None] * len(pieces)

    async def script(batches: Waiting) -> None:
        with pytest.raises(GeomlError):
            await batches.answered([Piece("trap")])
        await batches.answered([Piece("fine")])

    running(answer, script)


def test_while_another_call_is_ready_somebody_else_gives_the_answers() -> None:
    answering, givers = Answering(shut=True), []

    def keep(errors: Errors) -> Errors:
        givers.append(threading.current_thread().name)
        return errors

    async def script(batches: Waiting) -> None:
        first = await occupied(batches, answering)
        answering.gate.set()
        await asyncio.gather(*first)

    running(answering, script, keep=keep)
    assert sorted(givers) == ["chips-call", "chips-read"]


def test_a_whole_call_that_waits_is_made_ready_before_its_time() -> None:
    answering = Answering(shut=True)

    async def script(batches: Waiting) -> None:
        first = await occupied(batches, answering)
        large = [ask(batches, Piece(f"large{number}", "large", CALL_PX)) for number in range(2)]
        await asyncio.sleep(0)
        while batches.waiting_px > CALL_PX:
            await asyncio.sleep(0.001)
        small = [ask(batches, Piece(f"small{number}", "small")) for number in range(2)]
        await asyncio.sleep(0.05)
        assert batches.waiting_px == CALL_PX + 200
        answering.gate.set()
        await asyncio.gather(*first, *large, *small)

    running(answering, script)
    assert answering.calls == [["busy"], ["ready"], ["large0"], ["large1"], ["small0", "small1"]]


def test_an_answer_that_cannot_be_given_is_an_error_of_its_own() -> None:
    def keep(errors: Errors) -> Errors:
        if len(errors) > 1:
            raise ZeroDivisionError
        return errors

    answering = Answering(shut=True)

    async def script(batches: Waiting) -> None:
        first = await occupied(batches, answering)
        waiting = [ask(batches, Piece(name)) for name in ("one", "two")]
        await asyncio.sleep(0)
        answering.gate.set()
        said = await asyncio.gather(*first, *waiting, return_exceptions=True)
        assert [type(one) for one in said] == [type(None), type(None), GeomlError, GeomlError]
        await batches.answered([Piece("fine")])

    running(answering, script, keep=keep)


def test_what_cannot_be_read_is_an_error_of_its_own() -> None:
    def read(pieces: Sequence[Piece]) -> Sequence[Piece]:
        if pieces[0].name == "trap":
            raise ZeroDivisionError
        return pieces

    batches: Waiting = Batches(
        read, lambda pieces: [None] * len(pieces), lambda errors: errors, threads=1, most_waiting_px=100
    )

    async def script() -> None:
        with pytest.raises(GeomlError):
            await batches.answered([Piece("trap")])
        await batches.answered([Piece("fine")])

    asyncio.run(script())
    batches.close()


def test_stopping_answers_what_is_in_work_and_refuses_the_rest() -> None:
    answering = Answering(shut=True)

    async def script(batches: Waiting) -> None:
        first = await occupied(batches, answering)
        waiting = ask(batches, Piece("late"))
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(asyncio.to_thread(batches.close))
        with pytest.raises(Unavailable, match="stopping"):
            await waiting
        answering.gate.set()
        await asyncio.gather(*first, closing)
        with pytest.raises(Unavailable, match="stopping"):
            await batches.answered([Piece("after")])

    running(answering, script)
    assert answering.calls == [["busy"], ["ready"]]


def test_hundreds_of_requests_from_several_threads_are_each_answered_once() -> None:
    counted: dict[str, int] = {}
    lock = threading.Lock()

    def answer(pieces: Sequence[Piece]) -> list[GeomlError | None]:
        assert len({piece.key for piece in pieces}) == 1
        assert sum(piece.size_px for piece in pieces) <= max(CALL_PX, pieces[0].size_px)
        with lock:
            for piece in pieces:
                counted[piece.name] = counted.get(piece.name, 0) + 1
        return [None] * len(pieces)

    async def script(batches: Waiting) -> None:
        await asyncio.gather(
            *(
                batches.answered([Piece(f"{n}-{p}", f"k{(n + p) % 7}", 1 + 37 * n % 9000) for p in range(1 + n % 5)])
                for n in range(600)
            )
        )
        assert batches.waiting_px == 0

    running(answer, script, threads=4)
    assert set(counted.values()) == {1}
    assert len(counted) == sum(1 + n % 5 for n in range(600))
