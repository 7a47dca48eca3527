"""Whole numbers in as few bytes as they need: seven bits a byte, the eighth says that more follow (LEB128)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

_LONGEST = 40
"""Bytes of the largest number that is read: 280 bits."""


def packed(numbers: Iterable[int]) -> bytes:
    """Returns numbers from 0 on as bytes.

    >>> packed([0, 127, 300]).hex()
    '007fac02'
    """
    return b"".join([_SHORT[number] if number < _N_SHORT else _long(number) for number in numbers])


def _long(number: int) -> bytes:
    told = bytearray()
    rest = number
    while rest > 127:
        told.append(rest & 127 | 128)
        rest >>= 7
    told.append(rest)
    return bytes(told)


_N_SHORT = 1 << 11
_SHORT = tuple(map(_long, range(_N_SHORT)))
"""The numbers that are told most are looked up."""


def unpacked(content: bytes) -> list[int]:
    """Returns the numbers that :func:`packed` told.

    Raises:
        ValueError: the last number is cut short, or one is too long.
    """
    found: list[int] = []
    number = shift = 0
    for byte in content:
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            found.append(number)
            number = shift = 0
        elif shift > 7 * _LONGEST:
            raise ValueError("a number of more than 280 bits")
    if shift:
        raise ValueError("the last number is cut short")
    return found


def unsigned(number: int) -> int:
    """Returns 0, 1, 2, 3, 4 … for 0, -1, 1, -2, 2 …"""
    return number << 1 if number >= 0 else (-number << 1) - 1


def signed(number: int) -> int:
    """Returns what :func:`unsigned` was given.

    >>> [signed(unsigned(number)) for number in (0, -1, 5, -(10**30))]
    [0, -1, 5, -1000000000000000000000000000000]
    """
    return -((number + 1) >> 1) if number & 1 else number >> 1


def runs(counts: Sequence[int]) -> Iterator[int]:
    """Yields counts as they are, but a run of zeros as a 0 and how many more follow it.

    >>> list(runs([5, 0, 0, 0, 7, 0]))
    [5, 0, 2, 7, 0, 0]
    """
    zeros = 0
    for count in counts:
        if count == 0:
            zeros += 1
            continue
        if zeros:
            yield 0
            yield zeros - 1
            zeros = 0
        yield count
    if zeros:
        yield 0
        yield zeros - 1


def unrun(told: Sequence[int], n: int) -> tuple[int, ...]:
    """Returns the ``n`` counts that :func:`runs` told.

    Raises:
        ValueError: they are more or fewer.
    """
    counts: list[int] = []
    following = iter(told)
    for number in following:
        zeros = next(following, -1) + 1 if number == 0 else 0
        if zeros > n or (number == 0 and zeros == 0):
            raise ValueError("a run of zeros without an end")
        counts += [0] * zeros if zeros else [number]
    if len(counts) != n:
        raise ValueError(f"{len(counts)} counts, not {n}")
    return tuple(counts)
