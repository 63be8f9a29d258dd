"""JSON as it came: what is refused in which words, and what quarantine keeps of a row."""

import pytest

from collector.errors import Unreadable
from collector.kiwoom.protocol.strict_json import as_sent, strict_json


def test_a_row_is_kept_in_its_order_and_in_its_letters() -> None:
    assert as_sent({"stk_nm": "삼성전자", "cur_prc": None}) == '{"stk_nm": "삼성전자", "cur_prc": null}'


def test_what_a_database_does_not_take_is_written_as_json_would() -> None:
    assert as_sent(["\0", "\ud800"]) == r'["\u0000", "\ud800"]'


@pytest.mark.parametrize("name", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_json_is_named(name: str) -> None:
    with pytest.raises(Unreadable, match=f"^{name} is not a JSON value$"):
        strict_json(b'{"return_code": %b}' % name.encode())
