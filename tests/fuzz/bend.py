"""Bends an input a little: bytes, pieces of the formats, spans of another input."""

import random

PIECES = [
    *(bytes([byte]) for byte in b'"\\,:{}[]()-+.0159 \t\r\n\0<#&*!|>%@/?=_'),
    *(b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc2\x85", b"\xe2\x80\xa8", b"\xd9\xa3", b"\xef\xbc\x90"),
    *(b"null", b"true", b"NaN", b"1e999", b"9" * 20, b"0" * 20, b'\\"', b"\\u0022", b"\\ud800", b'"",'),
    *(
        b'"cur_prc":"1",',
        b'"return_code":0,',
        b'"return_code":1,',
        b'"return_code":"0",',
        b'"inds_stkpc":[],',
    ),
    *(b"[1700:", "유량=5".encode(), b"CODE=8005", b"[8030:", b"_NX", b"_AL", b"20261120", b"2147483648"),
    *(b"cont-yn: Y\n", b"cont-yn: N\n", b"next-key: a\n", b"api-id: ka20002\n", b"\n\n", b"429\n", b"401\n"),
    *(
        b"KOSPI",
        b"001",
        b"all",
        b"5m",
        b"500ms",
        b"1d",
        b"KRX.regular",
        b"NXT.pre",
        b".open",
        b".close",
        b" + ",
    ),
    *(
        b"every: ",
        b"during: ",
        b"at: ",
        b"days: ",
        b"grace: ",
        b"mon-fri",
        b"day",
        b"23:59",
        b"closed",
        b"09:00-15:30",
    ),
    *(b"---\n", b"<<: ", b"&a ", b"*a", b"!!int ", b"? ", b"- ", b"  ", b"'", b"2026-11-20", b"2026-02-29"),
]
LONGEST = 1 << 14
"""Bytes of one input at most."""


def bend(data: bytes, other: bytes, dice: random.Random) -> bytes:
    """The input after one to four changes; `other` is one to take a span from."""
    for _ in range(dice.choice((1, 1, 2, 3, 4))):
        data = dice.choice(_CHANGES)(data, other, dice)
    return data[:LONGEST]


def _put(data: bytes, _other: bytes, dice: random.Random) -> bytes:
    place = dice.randrange(len(data) + 1)
    return data[:place] + dice.choice(PIECES) + data[place:]


def _replace(data: bytes, _other: bytes, dice: random.Random) -> bytes:
    start = dice.randrange(len(data) + 1)
    return data[:start] + dice.choice(PIECES) + data[start + dice.randint(1, 8) :]


def _drop(data: bytes, _other: bytes, dice: random.Random) -> bytes:
    start = dice.randrange(len(data) + 1)
    return data[:start] + data[start + dice.choice((1, 2, 4, 16, 64)) :]


def _repeat(data: bytes, _other: bytes, dice: random.Random) -> bytes:
    start = dice.randrange(len(data) + 1)
    span = data[start : start + dice.choice((1, 4, 16, 64, 256))]
    return data[:start] + span * dice.choice((1, 1, 2, 30)) + data[start:]


def _splice(data: bytes, other: bytes, dice: random.Random) -> bytes:
    start, place = dice.randrange(len(other) + 1), dice.randrange(len(data) + 1)
    return data[:place] + other[start : start + dice.choice((4, 16, 64, 256))] + data[place:]


def _byte(data: bytes, _other: bytes, dice: random.Random) -> bytes:
    place = dice.randrange(len(data) + 1)
    return data[:place] + bytes([dice.randrange(256)]) + data[place + 1 :]


def _swap(data: bytes, _other: bytes, dice: random.Random) -> bytes:
    old, new = dice.choice(PIECES), dice.choice(PIECES)
    return data.replace(old, new, dice.randint(1, 3))


_CHANGES = (_put, _replace, _drop, _repeat, _splice, _byte, _swap)
