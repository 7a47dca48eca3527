"""Mutants of real GeoTIFFs: bits, entries, lengths, words, pieces of others; one for each number, always the same."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import numpy as np

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_NUMBERS = (0, 1, 2, 3, 7, 8, 16, 42, 255, 256, 4096, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1)
_TAGS = (
    254, 255, 256, 257, 258, 259, 262, 266, 270, 273, 274, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325, 330, 338,
    339, 347, 530, 700, 33550, 33922, 34264, 34665, 34735, 34736, 34737, 34853, 42112, 42113, 50844, 50674, 65000,
)  # fmt: skip
Random = np.random.Generator


class Mutant:
    """A copy of a file with its entries found, so that it can be spoilt where it hurts."""

    def __init__(self, content: bytes, rng: Random) -> None:
        self.content, self.rng = bytearray(content), rng
        self.order = "<" if content[:2] == b"II" else ">"
        self.big = struct.unpack_from(f"{self.order}H", content, 2)[0] == 43
        self.entry, self.inside = (20, 8) if self.big else (12, 4)
        self.directories = list(self._directories())

    def _directories(self) -> list[tuple[int, int]]:
        form, next_form = ("Q", "Q") if self.big else ("H", "I")
        place = struct.unpack_from(self.order + next_form, self.content, 8 if self.big else 4)[0]
        found = []
        while place and len(found) < 20:
            (count,) = struct.unpack_from(self.order + form, self.content, place)
            first = place + struct.calcsize(form)
            found.append((first, count))
            place = struct.unpack_from(self.order + next_form, self.content, first + count * self.entry)[0]
        return found

    def an_entry(self) -> int:
        """Returns the place of an entry."""
        first, count = self.directories[int(self.rng.integers(len(self.directories)))]
        return first + self.entry * int(self.rng.integers(count))

    def a_number(self) -> int:
        """Returns a number that programs stumble over, or any."""
        if self.rng.random() < 0.6:
            return int(self.rng.choice(_NUMBERS))
        if self.rng.random() < 0.5:
            return int(self.rng.integers(0, len(self.content) + 64))
        return int(self.rng.integers(0, 2**64, dtype=np.uint64) if self.big else self.rng.integers(0, 2**32))

    def put(self, form: str, place: int, number: int) -> None:
        """Writes a number of ``form``, cut to what fits."""
        size = struct.calcsize(form)
        if place + size <= len(self.content):
            struct.pack_into(self.order + form, self.content, place, number % 2 ** (8 * size))

    def values(self, entry: int) -> tuple[int, int]:
        """Returns the place and length of an entry's values, as it says; cut to the file."""
        form = "Q" if self.big else "I"
        _, kind, count = struct.unpack_from(f"{self.order}HH{form}", self.content, entry)
        length = count * _SIZES.get(kind, 1)
        place = entry + self.entry - self.inside
        if length > self.inside:
            (place,) = struct.unpack_from(self.order + form, self.content, place)
        return place, max(0, min(length, len(self.content) - place))


def _bits(m: Mutant) -> None:
    for _ in range(int(m.rng.integers(1, 9))):
        m.content[int(m.rng.integers(len(m.content)))] ^= 1 << int(m.rng.integers(8))


def _bits_of_directories(m: Mutant) -> None:
    first, count = m.directories[int(m.rng.integers(len(m.directories)))]
    for _ in range(int(m.rng.integers(1, 5))):
        m.content[first - 2 + int(m.rng.integers(count * m.entry + 6))] ^= 1 << int(m.rng.integers(8))


def _tag(m: Mutant) -> None:
    m.put("H", m.an_entry(), int(m.rng.choice(_TAGS)))


def _kind(m: Mutant) -> None:
    m.put("H", m.an_entry() + 2, int(m.rng.integers(0, 20)))


def _count(m: Mutant) -> None:
    m.put("Q" if m.big else "I", m.an_entry() + 4, m.a_number())


def _value(m: Mutant) -> None:
    m.put("Q" if m.big else "I", m.an_entry() + m.entry - m.inside, m.a_number())


def _short_value(m: Mutant) -> None:
    m.put("H", m.an_entry() + m.entry - m.inside, m.a_number())


def _inner(m: Mutant) -> None:
    place, length = m.values(m.an_entry())
    for _ in range(int(m.rng.integers(1, 4))):
        if length:
            m.put(str(m.rng.choice(["B", "H", "I", "Q"])), place + int(m.rng.integers(length)), m.a_number())


def _swapped(m: Mutant) -> None:
    one, other = m.an_entry(), m.an_entry()
    a, b = m.content[one : one + m.entry], m.content[other : other + m.entry]
    m.content[one : one + m.entry], m.content[other : other + m.entry] = b, a


def _doubled(m: Mutant) -> None:
    one, other = m.an_entry(), m.an_entry()
    m.content[other : other + m.entry] = m.content[one : one + m.entry]


def _tables(m: Mutant) -> None:
    """Changes where chunks lie or how long they are, by little or by much."""
    form = "Q" if m.big else "I"
    for first, count in m.directories:
        for entry in range(first, first + count * m.entry, m.entry):
            (tag,) = struct.unpack_from(f"{m.order}H", m.content, entry)
            place, length = m.values(entry)
            if tag in (273, 279, 324, 325) and length and m.rng.random() < 0.5:
                m.put(form, place + int(m.rng.integers(length)), m.a_number())


def _cut(m: Mutant) -> None:
    del m.content[int(m.rng.integers(len(m.content))) :]


def _grown(m: Mutant) -> None:
    m.content += m.rng.bytes(int(m.rng.integers(1, 5000)))


def _removed(m: Mutant) -> None:
    place = int(m.rng.integers(len(m.content)))
    del m.content[place : place + int(m.rng.integers(1, 40))]


def _inserted(m: Mutant) -> None:
    place = int(m.rng.integers(len(m.content)))
    m.content[place:place] = m.rng.bytes(int(m.rng.integers(1, 40)))


def _repeated(m: Mutant) -> None:
    place, length = int(m.rng.integers(len(m.content))), int(m.rng.integers(1, 400))
    m.content[place:place] = m.content[place : place + length] * int(m.rng.integers(1, 20))


def _chain(m: Mutant) -> None:
    first, count = m.directories[int(m.rng.integers(len(m.directories)))]
    anywhere = [place - (8 if m.big else 2) for place, _ in m.directories]
    goal = int(m.rng.choice(anywhere)) if m.rng.random() < 0.5 else m.a_number()
    m.put("Q" if m.big else "I", first + count * m.entry, goal)


def _head(m: Mutant) -> None:
    m.content[int(m.rng.integers(2, 16))] = int(m.rng.integers(256))


def _pixels(m: Mutant) -> None:
    """Spoils what is compressed, not what describes it."""
    for _ in range(int(m.rng.integers(1, 30))):
        m.content[int(m.rng.integers(len(m.content) // 3, len(m.content)))] = int(m.rng.integers(256))


_WAYS: tuple[Callable[[Mutant], None], ...] = (
    _bits, _bits_of_directories, _tag, _kind, _count, _value, _short_value, _inner, _swapped, _doubled, _tables, _cut,
    _grown, _removed, _inserted, _repeated, _chain, _head, _pixels, _pixels, _pixels, _inner, _inner,
)  # fmt: skip


def _worded(m: Mutant, words: Sequence[bytes]) -> None:
    """Puts words that lead elsewhere where the file keeps its own; the entry says their length."""
    for first, count in m.directories[:1]:
        for entry in range(first, first + count * m.entry, m.entry):
            (tag,) = struct.unpack_from(f"{m.order}H", m.content, entry)
            if tag in (42112, 34737, 270, 305) and m.rng.random() < 0.8:
                text = words[int(m.rng.integers(len(words)))] + b"\0"
                m.put("Q" if m.big else "I", entry + 4, len(text))
                m.put("Q" if m.big else "I", entry + m.entry - m.inside, len(m.content))
                m.content += text


def _sprinkled(content: bytes, rng: Random) -> bytes:
    """Spoils a file of another format, its head rather than its body in one of two."""
    spoilt = bytearray(content)
    reach = len(spoilt) if rng.random() < 0.5 else min(800, len(spoilt))
    for _ in range(int(rng.integers(1, 7))):
        spoilt[int(rng.integers(12, reach))] = int(rng.integers(256))
    return bytes(spoilt[: int(rng.integers(12, len(spoilt)))] if rng.random() < 0.1 else spoilt)


def mutant(seeds: Sequence[bytes], number: int, words: Sequence[bytes]) -> bytes:
    """Returns the mutant of this number, of one seed or a splice of two.

    Args:
        seeds: whole files.
        number: from 0; also the seed of all randomness.
        words: texts that lead to other files, for some mutants.
    """
    rng = np.random.default_rng(number)
    content = seeds[number % len(seeds)]
    if number % 23 == 0:
        other = seeds[int(rng.integers(len(seeds)))]
        place = int(rng.integers(len(content)))
        return content[:place] + other[int(rng.integers(len(other))) if rng.random() < 0.5 else place :]
    if content[:2] not in (b"II", b"MM"):
        return _sprinkled(content, rng)
    one = Mutant(content, rng)
    if number % 17 == 0:
        _worded(one, words)
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        way = _WAYS[int(rng.integers(len(_WAYS)))]
        way(one)
        if way in (_cut, _removed, _inserted, _repeated, _chain, _head, _bits, _bits_of_directories, _count):
            break  # entries may not be where they were
    return bytes(one.content)
