"""What an answer is that is no page: one class for each code, status and shape, and never a stranger."""

import json
from contextlib import suppress
from functools import partial
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.errors import (
    CollectorError,
    Denied,
    Rejected,
    Throttled,
    TokenExpired,
    Unavailable,
    Unreadable,
)
from collector.kiwoom.protocol import read_bars, read_prices, read_revoked, read_sectors, read_token
from collector.model import Exchange, Market
from tests.support.recorded_answers import page, refusal, refused, reply, row, sample

unhurried = settings(deadline=None, max_examples=60)  # how fast a shared machine is at the moment is no law

READ = {
    "prices": lambda reply: read_prices(reply, Exchange.KRX),
    "token": read_token,
    "revoked": read_revoked,
    "sectors": lambda reply: read_sectors(reply, Market.KOSPI),
    "bars": lambda reply: read_bars(reply, "005930"),
}
READERS = [pytest.param(read, id=call) for call, read in READ.items()]


def error_of(reply) -> CollectorError:
    with pytest.raises(CollectorError) as caught:
        read_prices(reply, Exchange.KRX)
    return caught.value


CLASSES = {
    Throttled: [1700, 1701, 1702],
    TokenExpired: [8003, 8005, 8006, 8009, 8031, 8103],
    Denied: [8001, 8002, 8010, 8011, 8012, 8020, 8030, 8040, 8050, 8200],
    Rejected: [1501, 1504, 1505, *range(1511, 1518), 1634, 1687, 1901, 1902, 1903, 8104],
    Unavailable: [1999],
}
CODES = [(code, kind) for kind, codes in CLASSES.items() for code in codes]
FORMS = ["오류입니다[{}:까닭]", "RETURN CODE={} 까닭"]


@pytest.mark.parametrize(("code", "kind"), CODES, ids=lambda value: getattr(value, "__name__", str(value)))
def test_a_code_of_kiwooms_decides_whatever_else_is_said(code, kind):
    for form in FORMS:
        for status, return_code in [(200, 5), (200, 0), (429, 3), (500, "1"), (401, 20)]:
            error = error_of(reply(refusal(form.format(code), return_code), status=status))
            assert (type(error), error.code) == (kind, code), (form, status, return_code)


UNKNOWN = [2000, 7777, 8999, 123, 12345]


@pytest.mark.parametrize(
    ("status", "return_code", "kind"),
    [
        (200, 0, Rejected),
        (200, 1, Rejected),
        (200, 2, Rejected),
        (200, -100, Rejected),
        (200, 3, TokenExpired),
        (200, "3", TokenExpired),
        (200, "0003", TokenExpired),
        (401, 1, TokenExpired),
        (403, 2, TokenExpired),
        (403, 0, TokenExpired),
        (200, 5, Throttled),
        (429, 3, Throttled),
        (500, "1", Unavailable),
        (502, 3, Unavailable),
        (503, 5, Unavailable),
        (504, 0, Unavailable),
        (400, 1, Rejected),
    ],
)
def test_a_code_that_nobody_knows_leaves_it_to_the_class_and_the_status(status, return_code, kind):
    for code in UNKNOWN:
        # No data: the one code whose class says nothing of keys or quotas.
        expected = Rejected if code == 2000 and status < 429 else kind
        for form in FORMS:
            error = error_of(reply(refusal(form.format(code), return_code), status=status))
            assert (type(error), error.code) == (expected, code), form


@pytest.mark.parametrize(
    "text",
    ["인증에 실패했습니다", "", "Token expired", "인증 토큰이 없습니다", "[인증오류] 다시 로그인하세요"],
)
@pytest.mark.parametrize(
    ("status", "return_code"), [(200, 3), (200, "3"), (401, 1), (401, 3), (403, 3), (403, 9)]
)
def test_an_authentication_that_failed_without_a_code_is_a_token_to_renew(text, status, return_code):
    error = error_of(reply(refusal(text, return_code), status=status))
    assert isinstance(error, TokenExpired)
    assert "앱키" in error.hint


AWAY = [
    "시스템 점검 중입니다",
    "서비스 점검 중입니다",
    "정기점검으로 이용하실 수 없습니다",
    "서버 점검 시간입니다(05:05~05:10)",
    "현재 서비스가 일시 중단되었습니다",
    "점검 안내",
    "일시적인 오류입니다. 잠시 후 다시 시도해 주세요",
    "Scheduled maintenance in progress",
    "Service Unavailable",
    "The service is temporarily unavailable.",
    "We will be back soon",
]


@pytest.mark.parametrize(
    ("status", "return_code"),
    [(200, -100), (200, "-100"), (200, 1), (200, 3), (200, 9), (200, 20), (200, None), (400, 1), (403, 1), (401, 3),
     (404, 1), (503, 1), (503, None)],
)  # fmt: skip
def test_maintenance_in_json_is_an_api_that_is_away_and_its_words_are_shown(status, return_code):
    for text in AWAY:
        error = error_of(reply(refusal(text, return_code), status=status))
        assert isinstance(error, Unavailable), text
        assert text in str(error)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949", "utf-16"])
@pytest.mark.parametrize(
    "form",
    [
        "{}",
        "  {}\r\n",
        "<html><body>{}</body></html>",
        "<!doctype html><title>x</title><style>p {{}}</style><h1>{}</h1>",
    ],
    ids=["text", "blanks", "html", "title"],
)
def test_maintenance_in_any_form_is_an_api_that_is_away_and_its_words_are_shown(encoding, form):
    for text, status in product(AWAY, [200, 400, 403, 404, 500, 503]):
        error = error_of(reply(form.format(text).encode(encoding), status=status))
        assert isinstance(error, Unavailable), (text, status)
        assert text in str(error), status
        assert str(error).isprintable(), (text, status)


@pytest.mark.parametrize("read", READERS)
def test_maintenance_is_known_to_every_call(read):
    for body in (refusal("시스템 점검 중입니다", 0), "시스템 점검 중입니다".encode(), refusal("점검 중", -1)):
        with pytest.raises(Unavailable, match="점검 중"):
            read(reply(body))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"OK",
        b"<html></html>",
        b"\x00\xff",
        refusal("알 수 없는 오류", 7),
        refusal("[7777:x]", 2),
        b'{"message":"upstream connect error"}',
        b'{"error":{"message":"no healthy upstream"}}',
    ],
)
@pytest.mark.parametrize("status", [500, 501, 502, 503, 504, 520, 599])
def test_a_server_that_fails_is_an_api_that_is_away_whatever_the_body(body, status):
    assert isinstance(error_of(reply(body, status=status)), Unavailable)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"message":"upstream connect error"}', "upstream connect error"),
        (b'{"error":{"message":"no healthy upstream"}}', "no healthy upstream"),
        (b'{"error":"bad_gateway","detail":"later"}', "bad_gateway later"),
        (b"<html><head><title>502 Bad Gateway</title></head><hr>nginx</html>", "502 Bad Gateway: nginx"),
        (b"<h1>Sorry&nbsp;&amp; \n bye&#33;</h1><script>x < 1</script>", "Sorry & bye"),
        (b"Bad\r\ngateway \x0b", "Bad gateway"),
        (b"<p>" + b"long " * 9000, ("long " * 40).strip()),
    ],
)
def test_the_servers_own_words_are_shown_on_one_short_line(body, words):
    error = error_of(reply(body, status=502))
    assert error.text == words
    assert str(error).isprintable()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("입력 값을 점검하세요", Rejected),
        ("점검 대상 종목이 없습니다", Rejected),
        ("[1511:입력 값을 점검 중]", Rejected),
        ("[8001:시스템 점검 중]", Denied),
        ("거래정지 종목입니다", Rejected),
        ("거래가 중지된 종목입니다", Rejected),
        ("서비스 이용이 중지된 계좌입니다", Rejected),
        ("이용이 중지된 고객입니다", Rejected),
    ],
)
def test_not_every_check_is_maintenance(text, kind):
    assert type(error_of(reply(refusal(text, 2)))) is kind


def test_rows_beside_word_of_maintenance_are_rows():
    notice = "정상적으로 처리되었습니다. 시스템 점검 안내: 일요일 04:00"
    assert read_prices(reply(page([row()], return_msg=notice)), Exchange.KRX).size == 1
    assert isinstance(error_of(reply(page([], return_msg=notice))), Unavailable)


def test_a_token_in_an_answer_without_a_message_is_not_shown():
    body = b'{"token":"s3ntinel-token","access_token":{"value":"s3ntinel-token"},"return_code":7}'
    for status in (200, 500, 404):
        assert "s3ntinel" not in str(error_of(reply(body, status=status)))


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html><body>Service unavailable</body></html>", Unavailable),
        (b"<title>Request Rejected</title>", Denied),
        (b"<h1>403 Forbidden</h1>", Denied),
        (b"Access denied by policy", Denied),
    ],
)
def test_a_page_with_403_is_shown_with_both_readings_and_its_words_decide(body, kind):
    error = error_of(reply(body, status=403))
    assert isinstance(error, kind)
    assert error.text in str(error)
    for reading in ("firewall", "maintenance"):
        assert reading in str(error)
        assert reading in error.hint


@pytest.mark.parametrize(
    "text",
    [
        "오류[8104:모의투자에서는 지원하지 않는 API입니다]",
        "[2000](RC9000:모의투자에서는 해당업무가 제공되지 않습니다.)",
        "RC9000",
        "[2000](RC9000) 조회된 내역이 없습니다",
        "모의투자에서는 제공하지 않는 서비스입니다",
    ],
)
def test_what_the_mock_host_does_not_offer_is_one_targets_affair(text):
    error = error_of(reply(refusal(text, 20)))
    assert isinstance(error, Rejected)
    assert "the mock host does not offer this" in str(error)
    assert "refuses" not in str(error)


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("refused_1504.json", Rejected, 1504),
        ("refused_1511.json", Rejected, 1511),
        ("refused_1634.json", Rejected, 1634),
        ("refused_1700.json", Throttled, 1700),
        ("refused_1999.json", Unavailable, 1999),
        ("refused_2000.json", Rejected, None),
        ("refused_8001.json", Denied, 8001),
        ("refused_8005.json", TokenExpired, 8005),
        ("refused_8030.json", Denied, 8030),
        ("refused_8050.json", Denied, 8050),
        ("maintenance.html", Unavailable, 200),
    ],
)
@pytest.mark.parametrize("read", READERS)
def test_a_recorded_refusal_is_what_it_is_to_every_call(read, name, kind, code):
    with pytest.raises(kind) as caught:
        read(reply(sample(name)))
    assert caught.value.code == code


@pytest.mark.parametrize("status", [200, 429])
def test_the_quota_that_the_server_grants_is_told(status):
    assert error_of(reply(sample("refused_1700.json"), status=status)).quota == 1


@pytest.mark.parametrize(
    ("text", "quota"),
    [("유량=5]", 5), ("유량=0", None), ("유량=", None), ("유량=-1", None), ("유량=１", None), ("", None)],
)
def test_a_quota_is_a_positive_number_or_not_told(text, quota):
    assert error_of(reply(refusal(f"[1700:초과 {text}", 5))).quota == quota


@pytest.mark.parametrize("code", [1701, 1702], ids=["all calls", "a group"])
def test_what_several_calls_are_granted_together_is_no_quota_of_one(code):
    assert error_of(reply(refusal(f"[{code}:초과 유량=5]", 5))).quota is None


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, b"", Throttled),
        (429, b"<html>", Throttled),
        (401, b"", TokenExpired),
        (500, b"", Unavailable),
        (502, b"<html>", Unavailable),
        (503, b"Service Unavailable", Unavailable),
        (599, b"{}", Unavailable),
        (400, b"<html>", Denied),
        (403, b"\n<!DOCTYPE html>", Denied),
        (400, b"{}", Rejected),
        (403, b"", Rejected),
        (404, b"<html>", Rejected),
        (405, b"", Rejected),
        (413, b"", Rejected),
        (302, b"", Rejected),
        (204, b"", Rejected),
    ],
)
def test_without_a_code_the_status_decides(status, body, kind):
    error = error_of(reply(body, status=status))
    assert (type(error), error.code) == (kind, status)


@pytest.mark.parametrize(
    ("status", "body", "says", "text"),
    [
        (429, b"", "HTTP 429", ""),
        (429, refusal("유량=3\n초과"), "HTTP 429, Kiwoom says: 유량=3 초과", "유량=3 초과"),
        (401, refusal("토큰\n만료"), "HTTP 401, Kiwoom says: 토큰 만료", "토큰 만료"),
        (500, refusal("점검 중"), "HTTP 500, Kiwoom says: 점검 중", "점검 중"),
        (503, b"<html>", "HTTP 503", ""),
        (404, refusal("없음"), "HTTP 404, Kiwoom says: 없음", "없음"),
        (404, b"{}", "HTTP 404", ""),
        (404, b'{"return_msg":["a list"]}', "HTTP 404", ""),
    ],
)
def test_a_status_is_told_with_what_kiwoom_says(status, body, says, text):
    error = error_of(reply(body, status=status))
    assert (str(error), error.text) == (says, text)


def test_a_quota_is_told_with_a_status_as_well_as_with_a_code():
    assert error_of(reply(refusal("유량=3\n초과"), status=429)).quota == 3


def test_return_code_5_without_a_code_is_a_throttle():
    assert isinstance(error_of(reply(refusal("요청이 너무 많습니다", 5))), Throttled)


@pytest.mark.parametrize("return_code", [1, 2, 4, 20, -1, "1", "0020", 99_999, -99_999, "99999"])
def test_any_other_return_code_without_a_code_is_not_asked_again(return_code):
    error = error_of(reply(refusal("", return_code)))
    assert isinstance(error, Rejected)
    assert str(int(return_code)) in str(error)


@pytest.mark.parametrize("return_code", [0, "0", "0000", "00000"])
@pytest.mark.parametrize("extra", [{}, {"return_msg": None}, {"return_msg": ["정상"]}, {"added": 1}])
def test_zero_is_success_in_each_of_its_forms(return_code, extra):
    assert read_prices(reply(page([row()], return_code=return_code, **extra)), Exchange.KRX).size == 1


@pytest.mark.parametrize(
    "return_code",
    [
        None,
        False,
        True,
        0.0,
        1.0,
        [],
        {},
        "",
        " 0",
        "+0",
        "-0",
        "0.0",
        "ok",
        "٠",
        "０",
        "000000",
        100_000,
        -100_000,
        10**9,
        10**4000,
    ],
    ids=lambda value: ascii(value)[:12],
)
def test_what_is_no_return_code_is_unreadable(return_code):
    error = error_of(reply(page([row()], return_code=return_code)))
    assert (type(error), str(error)) == (Unreadable, "the answer has no return_code")


def test_a_missing_return_code_is_unreadable():
    error = error_of(reply(b'{"inds_stkpc":[]}'))
    assert (type(error), str(error)) == (Unreadable, "the answer has no return_code")


def test_success_beside_the_text_of_an_error_is_that_error():
    assert error_of(reply(page([row()], return_msg="오류[1999:예기치 못한 에러]"))).code == 1999


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"   ", id="blank"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'"ok"', id="a text"),
        pytest.param(b"OK", id="a word"),
        pytest.param(b"{", id="cut"),
        pytest.param(page([row()]) + b"{}", id="two documents"),
        pytest.param(page([row()]) + b"\0", id="a NUL behind it"),
        pytest.param(page([row()]).decode().encode("utf-16"), id="UTF-16"),
        pytest.param(page([row()]).decode().encode("utf-32"), id="UTF-32"),
        pytest.param(page([row()]).decode().encode("euc-kr"), id="EUC-KR"),
        pytest.param(page([row()]).replace(b"0.72", b"\xff"), id="a byte that is no UTF-8"),
        pytest.param(page([row()]).replace(b"0.72", b"\xed\xa0\x80"), id="half a surrogate pair in UTF-8"),
        pytest.param(b'{"extra":NaN,' + page([row()])[1:], id="NaN"),
        pytest.param(b'{"extra":-Infinity,' + page([row()])[1:], id="Infinity"),
        pytest.param(b'{"extra":' + b"9" * 5000 + b"," + page([row()])[1:], id="5,000 digits"),
        pytest.param(b'{"extra":' + b"[" * 200_000 + b"]" * 200_000 + b"," + page([])[1:], id="deep lists"),
        pytest.param(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, id="deep objects"),
        pytest.param(b'{"return_code":1,' + page([row()])[1:], id="return_code twice"),
        pytest.param(b'{"return_c\\u006fde":1,' + page([row()])[1:], id="twice, once escaped"),
        pytest.param(page([row()])[:-1] + b',"inds_stkpc":[]}', id="the list twice"),
    ],
)
def test_a_200_that_is_not_strict_json_is_unreadable(body):
    assert isinstance(error_of(reply(body)), Unreadable)


@pytest.mark.parametrize(("opened", "closed"), [(b"[", b"]"), (b'{"a":', b"}")], ids=["lists", "objects"])
def test_nesting_of_any_depth_is_judged(opened, closed):
    for depth in (*range(900, 1000), 10_000):
        body = page([]).replace(b"[]", b"[%b1%b]" % (opened * depth, closed * depth))
        with suppress(Unreadable):
            assert len(read_prices(reply(body), Exchange.KRX).bad) == 1


def test_html_is_known_behind_blanks_and_a_byte_order_mark():
    for body in (b"\xef\xbb\xbf<html>", b"\r\n\t <!doctype html>", sample("maintenance.html")):
        assert isinstance(error_of(reply(body)), Unavailable)


def test_html_is_looked_for_in_the_first_512_bytes():
    assert isinstance(error_of(reply(b" " * 511 + b"<html>")), Unavailable)
    assert isinstance(error_of(reply(b" " * 512 + b"<html>")), Unreadable)


def test_a_page_instead_of_an_answer_may_be_maintenance():
    error = error_of(reply(sample("maintenance.html")))
    assert str(error).startswith("an HTML page came instead of an answer, the page says: ")
    assert "점검" in error.text
    assert str(error_of(reply(b"<p>"))) == (
        "an HTML page came instead of an answer (the API may be under maintenance)"
    )


@pytest.mark.parametrize("status", [400, 403])
def test_the_firewalls_page_says_what_to_do_about_it(status):
    error = error_of(reply(sample("firewall.html"), status=status))
    assert isinstance(error, Denied)
    assert str(error).startswith(f"HTTP {status}, the page says: Request Rejected")
    assert error.code == status
    assert "api.user_agent" in error.hint


@pytest.mark.parametrize("code", CLASSES[Denied])
def test_what_the_operator_must_mend_comes_with_a_hint_in_english_and_korean(code):
    hint = error_of(reply(refusal(f"[{code}:까닭]", 3))).hint
    english, korean = hint.split(" / ")
    assert english.isascii()
    assert any("가" <= char <= "힣" for char in korean)


@pytest.mark.parametrize(
    ("code", "word"),
    [(8001, "KIWOOM_APP_KEY"), (8030, "KIWOOM_BASE_URL"), (8010, "IP address"), (8050, "IP address")],
)
def test_a_hint_names_what_to_change(code, word):
    assert word in error_of(reply(refusal(f"[{code}:까닭]", 3))).hint


@pytest.mark.parametrize("code", [1700, 8050, 8005, 1999, 1634])
def test_every_kind_of_refusal_tells_what_kiwoom_said(code):
    error = error_of(reply(refusal(f"한\n줄[{code}:까닭]", 3)))
    assert (str(error), error.text) == (f"Kiwoom says: 한 줄[{code}:까닭]", f"한 줄[{code}:까닭]")


def test_kiwooms_text_is_kept_on_one_short_printable_line():
    error = error_of(reply(refusal("첫 줄\r\n\x1b[31m둘째 줄\0" + "긴" * 5000 + "[8005:끝]", 3)))
    assert isinstance(error, TokenExpired)
    assert str(error).isprintable()
    assert error.text.startswith("첫 줄")
    assert len(error.text) == 300


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("api_id", ["ka10001", "KA20002", "au1000"])
def test_the_answer_to_another_call_is_never_taken_for_ours(read, api_id):
    body = json.dumps(
        {"list": [], "inds_stkpc": [], "stk_dt_pole_chart_qry": [], "return_code": 0, "token": "t"}
        | {"expires_dt": "20261123084500", "return_msg": ""}
    )
    with pytest.raises(Unreadable, match="another call"):
        read(reply(body.encode(), ("api-id", api_id), ("cont-yn", "N")))


@pytest.mark.parametrize(
    ("call", "api_id", "name"),
    [
        ("prices", "ka20002", "official_page.json"),
        ("token", "au10001", "token.json"),
        ("revoked", "au10002", "revoked.json"),
        ("sectors", "ka10101", "sectors.json"),
        ("bars", "ka10081", "bars.json"),
    ],
)
def test_an_answer_that_names_the_call_it_is_of_is_read_for_that_one_alone(call, api_id, name):
    READ[call](reply(sample(name), ("api-id", api_id), ("cont-yn", "N")))
    with pytest.raises(Unreadable) as caught:
        READ[call](reply(sample(name), ("api-id", "ka10001"), ("cont-yn", "N")))
    assert str(caught.value) == f"asked {api_id}, the answer is for another call"


STATUSES = st.sampled_from([200, 200, 200, 204, 302, 400, 401, 403, 404, 429, 500, 503]) | st.integers(
    100, 599
)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["cont-yn", "next-key", "api-id", "resp-cnt", "Content-Type"]) | st.text(max_size=8),
        st.sampled_from(["Y", "N", "", "ka20002", "100", "9" * 5000, "٣"]) | st.text(max_size=55),
    ),
    max_size=5,
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
WORDS = st.sampled_from(
    [
        "inds_stkpc",
        "list",
        "stk_dt_pole_chart_qry",
        "return_code",
        "return_msg",
        "token",
        "expires_dt",
        "code",
        "name",
        "dt",
        "cur_prc",
        "stk_cd",
    ]
)
TREES = st.recursive(
    SCALARS | st.sampled_from([0, "0", "20261123084500", "001", "[1700:유량=3]", "CODE=8005"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=6),
    max_leaves=20,
)
DOCUMENTS = st.dictionaries(WORDS, TREES, max_size=8) | TREES
BODIES = st.binary(max_size=200) | DOCUMENTS.map(lambda tree: json.dumps(tree).encode())
SUCCESSES = st.dictionaries(WORDS, TREES, max_size=6).map(
    lambda tree: json.dumps(tree | {"return_code": 0}).encode()
)


@pytest.mark.extended
@unhurried
@given(STATUSES, HEADERS, BODIES | SUCCESSES)
def test_every_answer_is_a_value_or_exactly_one_of_our_errors(status, headers, body):
    answer = reply(body, *headers, status=status)
    errors = [refused(partial(reader.values[0], answer)) for reader in READERS]
    assert all(str(error).isprintable() for error in errors)
    assert status == 200 or all(errors)
