"""Changes of bytes that a reader may not expect; the same seed gives the same changes."""

import re

_NUMBER = re.compile(rb"-?\d+")
# Numbers at which sizes and signs change, and words that JSON takes for numbers.
_NUMBERS = [
    b"0",
    b"-1",
    b"1e400",
    b"NaN",
    b"-0.5",
    b"9" * 30,
    *(b"%d" % (1 << n) for n in (31, 40, 62, 64)),
]
_VALUES = [b"null", b"[]", b"{}", b'""', b"true", b'"\\u0000"', b'"\\ud800"', b"[" * 3000]
_BYTES = [b"\0", b"\xff", b"\r", b"\n", b"\xef\xbb\xbf", b"\xff\xfe", b"\xe2\x80\xa8", b"\x1b[1m"]


def mutated(data, others, random, tokens=()):
    """Return data with one to four changes.

    Parameters
    ----------
    data : bytes
        The bytes to change.
    others : sequence of bytes
        Other seeds, of which pieces may be taken.
    random : random.Random
        Source of the choices.
    tokens : sequence of bytes
        Words of the format.
    """
    for _ in range(random.choice((1, 1, 2, 4))):
        data = random.choice(_CHANGES)(data, others, random, tokens)
    return data


def _place(data, random):
    """Return a slice of data, usually a short one."""
    begin = random.randrange(len(data) + 1)
    length = random.choice((1, 2, 4, 8, random.randrange(len(data) + 1)))
    return slice(begin, begin + length)


def _with(data, place, piece):
    return data[: place.start] + piece + data[place.stop :]


def _flip_bit(data, _others, random, _tokens):
    if not data:
        return b"\0"
    at = random.randrange(len(data))
    return _with(data, slice(at, at + 1), bytes([data[at] ^ 1 << random.randrange(8)]))


def _cut(data, _others, random, _tokens):
    return data[: random.randrange(len(data) + 1)]


def _delete(data, _others, random, _tokens):
    return _with(data, _place(data, random), b"")


def _repeat(data, _others, random, _tokens):
    place = _place(data, random)
    return _with(data, place, data[place] * random.choice((2, 3, 200)))[: 1 << 20]


def _splice(data, others, random, _tokens):
    other = random.choice(others)
    return _with(data, _place(data, random), other[_place(other, random)])


def _insert(data, _others, random, tokens):
    piece = random.choice([*tokens, *_VALUES, *_BYTES])
    return _with(data, slice(*[random.randrange(len(data) + 1)] * 2), piece)


def _number(data, _others, random, _tokens):
    found = list(_NUMBER.finditer(data))
    if not found:
        return data
    one = random.choice(found)
    return _with(data, slice(*one.span()), random.choice(_NUMBERS))


def _overwrite(data, _others, random, _tokens):
    place = _place(data, random)
    size = len(data[place])
    return _with(data, place, random.choice((b"\xff" * size, b"\0" * size, random.randbytes(size))))


_CHANGES = [_flip_bit, _cut, _delete, _repeat, _splice, _insert, _number, _number, _overwrite]
