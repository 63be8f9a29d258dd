"""The pure parts behind the pictures: tiles, lines, the grid, the reader's language."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.model import KST, Exchange, Status, Target
from collector.web import health, translations
from collector.web.chart import HEIGHT, WIDTH, Point, chart
from collector.web.grid import DayLedger, Mark, Note, UniverseSection, section
from collector.web.treemap import fit_text, tiles
from collector.web.viewer import ViewerPreferences, amount, moment, percent
from collector.web.views import sector

NINE = datetime(2026, 11, 20, 9, 0, tzinfo=KST)
weights = st.lists(st.floats(0.01, 100), min_size=1, max_size=40).map(
    lambda found: sorted(found, reverse=True)
)


@given(weights)
def test_areas_tell_the_weights(found):
    placed = tiles(found, 1000, 500)
    total = sum(found)
    assert [tile.width * tile.height for tile in placed] == pytest.approx(
        [weight / total * 500_000 for weight in found], rel=1e-6, abs=1e-6
    )


@given(weights)
def test_no_tile_lies_outside(found):
    assert all(
        tile.x >= -1e-6
        and tile.y >= -1e-6
        and tile.x + tile.width <= 1000.001
        and tile.y + tile.height <= 500.001
        for tile in tiles(found, 1000, 500)
    )


@given(st.lists(st.floats(1, 100), min_size=2, max_size=12).map(lambda found: sorted(found, reverse=True)))
def test_no_two_tiles_overlap(found):
    placed = tiles(found, 100, 100)
    assert not any(
        a.x + a.width > b.x + 1e-6
        and b.x + b.width > a.x + 1e-6
        and a.y + a.height > b.y + 1e-6
        and b.y + b.height > a.y + 1e-6
        for number, a in enumerate(placed)
        for b in placed[number + 1 :]
    )


names = st.text("가나다 ABCmwil&-…", max_size=20)


@given(names, st.floats(0, 400))
def test_a_name_on_a_tile_is_whole_or_shortened_with_an_ellipsis(name, width):
    short = fit_text(name, width, 15)
    assert short in ("", name) or (short.endswith("…") and name.startswith(short[:-1]))


def test_a_wider_tile_shows_more_of_its_name():
    name = "Electrical & Electronic Equipment"
    assert [fit_text(name, width, 15) for width in (20, 100, 400)] == ["", "Electrical…", name]


courses = st.lists(st.one_of(st.none(), st.floats(-1e7, 1e7)), min_size=1, max_size=30)


@given(courses)
def test_a_chart_stays_in_its_frame_whatever_the_values(values):
    points = [Point(NINE + timedelta(minutes=5 * number), value) for number, value in enumerate(values)]
    found = chart([("one", points)], least=0.5)
    if found is None:
        assert all(value is None for value in values)
        return
    places = [tick.position for tick in (*found.across, *found.up)] + [
        dot.y for line in found.lines for dot in line.dots
    ]
    assert all(0 <= place <= max(WIDTH, HEIGHT) for place in places)


def test_a_line_breaks_where_nothing_is_known():
    values = [1.0, 2.0, None, 3.0, 4.0, None, 5.0]
    points = [Point(NINE + timedelta(minutes=number), value) for number, value in enumerate(values)]
    found = chart([("one", points)], least=0.1)
    assert found
    assert (found.lines[0].path.count("M"), len(found.lines[0].dots)) == (2, 1)


def ledger(now: datetime, *, since: datetime | None = None, **cells: Mark) -> DayLedger:
    written = {(NINE, Target.of("KOSPI", code[1:], "KRX")): mark for code, mark in cells.items()}
    return DayLedger({}, written, set(), since, now)


def lane(*codes: str) -> UniverseSection:
    targets = [Target.of("KOSPI", code, "KRX") for code in codes]
    return UniverseSection("boards", ["intraday"], {NINE: NINE + timedelta(minutes=2)}, targets)


def marks(found: DayLedger, *codes: str) -> list[Mark]:
    return [row.squares[0].mark for row in section(lane(*codes), found).rows]


@pytest.mark.parametrize(
    ("minutes", "since", "expected"),
    [
        (-1, None, Mark.DUE),
        (1, None, Mark.DUE),
        (3, None, Mark.ABSENT),
        (3, NINE, Mark.ABSENT),
        (3, NINE + timedelta(minutes=5), Mark.NONE),
    ],
    ids=["not yet", "still may begin", "nobody said", "since then", "before the ledger began"],
)
def test_a_slot_without_a_line_is_told_from_one_that_is_to_come(minutes, since, expected):
    assert marks(ledger(NINE + timedelta(minutes=minutes), since=since), "001") == [expected]


def test_what_is_written_is_shown():
    found = ledger(NINE + timedelta(hours=1), s001=Mark.COMPLETE, s013=Mark.FAILED)
    assert marks(found, "001", "013", "008") == [Mark.COMPLETE, Mark.FAILED, Mark.ABSENT]


def test_targets_that_share_a_square_show_the_worst_of_them():
    codes = [f"{number:03}" for number in range(1, 31)]
    slots = {NINE + number * timedelta(minutes=5): NINE for number in range(5)}
    grouped = UniverseSection("all", ["intraday"], slots, [Target.of("KOSPI", code, "KRX") for code in codes])
    counts = {(slot, "KOSPI", "KRX"): {Mark.COMPLETE: 30} for slot in slots}
    counts[NINE, "KOSPI", "KRX"] = {Mark.COMPLETE: 28, Mark.FAILED: 1}
    found = section(grouped, DayLedger(counts, {}, set(), None, NINE + timedelta(hours=2)))
    squares = found.rows[0].squares
    assert [square.mark for square in squares] == [Mark.FAILED] + [Mark.COMPLETE] * 4
    assert squares[0].marks == {Mark.COMPLETE: 28, Mark.FAILED: 1, Mark.ABSENT: 1}


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7", "ko"),
        ("en-US,en;q=0.9", "en"),
        ("en;q=0.5, ko;q=0.8", "ko"),
        ("de,fr", "en"),
        ("", "en"),
        ("ko;q=x", "en"),
    ],
)
def test_the_language_is_the_readers(accepted, expected):
    assert translations.language(accepted) == expected


def test_every_text_is_there_in_both_languages():
    assert all(
        korean and (english or key.startswith("check_"))
        for key, (korean, english) in translations._TEXTS.items()
    )


def test_every_text_is_said_somewhere():
    here = Path(translations.__file__).parent
    sources = [*(here / "templates").glob("*.html"), *here.rglob("*.py")]
    said = {
        key
        for path in sources
        for key in re.findall(r"""\b(?:t|reader\.text|self\.text)\("(\w+)"\)""", path.read_text())
    }
    by_value = {*Mark, *(f"{status}_is" for status in (*Status, Mark.ABSENT)), *sector.ORDERS}
    by_value |= {*Exchange, "source_ours", "source_mock", "source_ours_is", "source_mock_is", "not_found"}
    by_value |= {
        *Note,
        "unchecked",
        *(f"{name}_is" for name in ("corroborated", "contradicted", "unchecked")),
    }
    by_value |= {f"weight_{name}{end}" for name in sector.WEIGHTS for end in ("", "_is")}
    by_value |= {f"series_{name}" for name in ("mean", "index", "reconstructed")}
    by_value |= set(re.findall(r'NotFound\("(\w+)"\)', "".join(path.read_text() for path in sources)))
    by_value |= {f"name_{name}" for name in health.CHECKS}
    by_value |= set(re.findall(r'"(check_\w+)"', (here / "health.py").read_text()))
    assert {key for key in translations._TEXTS if not key.startswith("is_")} == said | by_value


def test_every_reason_has_its_meaning():
    from collector.daemon.overrun import Reason

    assert all(translations.meaning(code, "ko") for code in Reason)


@pytest.mark.parametrize("language", translations.LANGUAGES)
def test_every_code_of_kiwooms_that_is_judged_has_its_meaning(language):
    from collector.kiwoom.protocol.error_codes import DENIED, EXPIRED, THROTTLED, UNAVAILABLE

    judged = THROTTLED | EXPIRED | UNAVAILABLE | DENIED
    unknown = {8200}  # named by the official client, and nowhere explained
    assert {code for code in judged if not translations.explain_error(f"X: y[{code}:z]", language)} == unknown


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("Rejected: Kiwoom says: 입력 값 오류입니다[1511:필수 …]", ["1511", "Rejected"]),
        ("TokenExpired: Kiwoom says: RETURN CODE=8005 까닭", ["8005", "TokenExpired"]),
        ("Rejected: Kiwoom says: [9999:새 코드]", ["Rejected"]),
        ("Unavailable: no answer within 10 s", ["Unavailable"]),
        ("overrun", ["overrun"]),
        ("Strange: what nobody knows", []),
        ("", []),
    ],
)
def test_an_error_is_explained_by_its_code_and_by_its_class(error, expected):
    from collector.kiwoom.protocol.error_codes import MEANINGS

    known = {key: f"{key}: {english}" for key, (_, english) in MEANINGS.items()}
    told = [known[int(key)] if key.isdigit() else translations.meaning(key, "en") for key in expected]
    assert translations.explain_error(error, "en") == told


def test_the_clock_is_koreas():
    from collector.web.viewer import clock

    assert clock(datetime(2026, 11, 20, 0, 5, tzinfo=UTC)) == "09:05"


@pytest.mark.parametrize(
    ("value", "korean", "english"),
    [
        (4.3e12, "4.3조", "4.3T"),
        (819e9, "8,190억", "819.0B"),
        (999.96e9, "1.0조", "1.0T"),
        (350_000, "35만", "350,000"),
        (999_999, "100만", "999,999"),
        (9_999, "9,999", "9,999"),
        (60e6, "6,000만", "60.0M"),
        (99_996_000, "1억", "100.0M"),
        (999, "999", "999"),
        (-2e8, "−2억", "−200.0M"),
        (0, "0", "0"),
        (None, "–", "–"),
    ],
)
def test_an_amount_is_shortened_in_the_units_of_the_language(value, korean, english):
    assert (amount(value, "ko"), amount(value, "en")) == (korean, english)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.234, "+1.23 %"),
        (-0.5, "−0.50 %"),
        (0, "0.00 %"),
        (-0.004, "0.00 %"),
        (0.004, "0.00 %"),
        (None, "–"),
    ],
)
def test_a_change_has_a_sign_unless_it_is_zero(value, text):
    assert percent(value) == text


def test_a_moment_has_no_fractions_of_a_second():
    assert moment(datetime(2026, 11, 20, 0, 5, 1, 999_999, UTC)) == "2026-11-20 09:05:01"


@pytest.mark.parametrize(
    ("newest", "text"),
    [
        (None, "슬롯 3개가 완전한 수집 없이 지났습니다. 완전한 수집이 아직 없습니다."),
        (
            datetime(2026, 11, 20, 0, 5, tzinfo=UTC),
            "슬롯 3개가 완전한 수집 없이 지났습니다. 마지막으로 완전한 수집: 2026-11-20 09:05:00 KST",
        ),
    ],
)
def test_a_check_is_explained_in_korean_and_in_korean_time(newest, text):
    reader = ViewerPreferences("/", "ko", "korean", {}, {})
    assert reader.check_reason(health._schedule("intraday", 3, newest)) == text
    assert reader.check_name(health.Check("lease", False, "")) == "데몬"
    assert reader.check_name(health._schedule("intraday", 3, newest)) == "intraday"
