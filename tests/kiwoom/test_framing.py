"""Where an answer ends, whatever pieces it comes in, and that an odd one has no end."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.kiwoom.framing import AnswerFrame, Ending, Head, parse_head

OK = b"HTTP/1.1 200 OK\r\n"
WHOLE = {
    "length": OK + b"Content-Type: application/json\r\nContent-Length: 5\r\n\r\nhello",
    "length in other letters": OK + b"CONTENT-LENGTH:5 \r\n\r\nhello",
    "no body": OK + b"Content-Length: 0\r\n\r\n",
    "a body that looks like an answer": OK + b"Content-Length: 19\r\n\r\n" + b"HTTP/1.1 200 OK\r\n\r\n",
    "chunks": OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
    "chunks with trailers": OK + b"Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\nx: y\r\nz: \r\n\r\n",
    "chunks without data": OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "after 100 and 103": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    + OK
    + b"Content-Length: 2\r\n\r\n{}",
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "304 with a length": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}",
}
SURPLUS = [b"", b"\r\n", b"\0", b"HTTP/1.1 200 OK\r\n", WHOLE["length"], b"2\r\n{}\r\n0\r\n\r\n"]


@pytest.mark.parametrize("name", WHOLE)
@given(surplus=st.sampled_from(SURPLUS), cuts=st.sets(st.integers(0, 200), max_size=12))
def test_an_answer_ends_at_its_last_byte_in_whatever_pieces_it_comes(name, surplus, cuts):
    data = WHOLE[name] + surplus
    edges = [0, *sorted(cut for cut in cuts if 0 < cut < len(data)), len(data)]
    frame, own = AnswerFrame(), 0
    for start, end in pairwise(edges):
        assert not frame.is_over or own == len(WHOLE[name])
        own += frame.feed(data[start:end])
    assert (own, frame.is_over) == (len(WHOLE[name]), True)


@pytest.mark.parametrize("name", WHOLE)
def test_an_answer_that_lacks_its_last_byte_is_not_over(name):
    frame = AnswerFrame()
    assert frame.feed(WHOLE[name][:-1]) == len(WHOLE[name]) - 1
    assert not frame.is_over


UNKNOWN = {
    "no length": OK + b"\r\n",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n",
    "length and chunks": OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a list of lengths": OK + b"Content-Length: 2, 2\r\n\r\n",
    "a signed length": OK + b"Content-Length: +2\r\n\r\n",
    "a blank in a name": OK + b"Content-Length : 2\r\n\r\n",
    "two codings": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH\r\n\r\n",
    "an upgrade": b"HTTP/1.1 101 Switching Protocols\r\nContent-Length: 0\r\n\r\n",
    "a chunk's size that is none": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a chunk without a size": OK + b"Transfer-Encoding: chunked\r\n\r\n\r\n",
    "a negative chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n-2\r\n",
    "a head without end": OK + b"x: y\r\n" * 200_000,
    "a line without end": OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 5_000,
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_answer_whose_end_is_not_certain_has_none(name):
    data = UNKNOWN[name] + WHOLE["length"]
    frame = AnswerFrame()
    assert frame.feed(data) == len(data)
    assert not frame.is_over


def test_a_head_says_how_its_body_ends():
    assert parse_head(b"HTTP/1.1 200 OK\r\nContent-Length: 7") == Head(Ending.LENGTH, 7)
    assert parse_head(b"HTTP/1.1 100 Continue").ending is Ending.INTERIM


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_whatever_comes_is_counted_without_an_error(pieces):
    frame = AnswerFrame()
    for piece in pieces:
        assert 0 <= frame.feed(piece) <= len(piece)
