"""Bugs of the kinds that matter, each seeded by replacing one text, with the tests that must catch it.

They are texts rather than patches, so that they survive changes around them; a test says which one has to be
written anew because its text has changed. `./dev torture mutants` seeds each in a copy of the tree.
"""

from typing import NamedTuple


class Mutant(NamedTuple):
    """One bug: `old` stands exactly once in `file`; with `new` in its place at least one of `tests` fails."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


STORING = (
    Mutant(
        "the ledger stands outside the transaction",
        "collector/db/snapshots.py",
        'self.database.transaction(f"storing {reading.target}")',
        'self.database.connection(f"storing {reading.target}")',
        ("tests/db/test_snapshots.py::test_the_ledger_and_the_rows_are_of_one_transaction",),
    ),
    Mutant(
        "an error at COMMIT is taken for a failure",
        "collector/db/snapshots.py",
        "if again and await self._was_committed(reading, certificate.status):",
        "if again and False:",
        ("tests/db/test_snapshots.py::test_a_lost_answer_to_commit_is_looked_up",),
    ),
    Mutant(
        "a second walk overwrites a complete one",
        "collector/db/snapshots.py",
        "WHERE w.status IN ('failed', 'missed') OR",
        "WHERE w.status IN ('failed', 'missed', 'complete') OR",
        ("tests/db/test_snapshots.py::test_a_second_walk_of_the_same_slot_changes_nothing",),
    ),
    Mutant(
        "what did not decode is dropped",
        "collector/db/snapshots.py",
        "            await quarantine_rows(connection, reading, target)\n            if log is not None:",
        "            if log is not None:",
        ("tests/db/test_snapshots.py::test_a_row_that_did_not_decode_lies_in_quarantine_with_its_page",),
    ),
    Mutant(
        "the rows of the suspect walk stay under the better one",
        "collector/db/snapshots.py",
        "    await connection.execute(_DELETE_ROWS, slot, target)\n",
        "",
        ("tests/db/test_snapshots.py::test_an_end_gives_way_only_to_a_better_one",),
    ),
    Mutant(
        "a day is that of UTC",
        "collector/db/ledger.py",
        "slot.astimezone(KST).replace(hour=0, minute=0, second=0, microsecond=0)",
        "slot.replace(hour=0, minute=0, second=0, microsecond=0)",
        ("tests/db/test_snapshots.py::test_the_list_of_krx_last_evening_says_nothing_this_morning",),
    ),
    Mutant(
        "partitions are not made ahead of a sweep",
        "collector/db/snapshots.py",
        "AHEAD = 8\n",
        "AHEAD = 1\n",
        ("tests/db/test_snapshots.py::test_a_sweep_finds_its_day_and_the_next_ones_prepared",),
    ),
    Mutant(
        "partitions are not made ahead by the daemon",
        "collector/db/accounting.py",
        "AHEAD = 9\n",
        "AHEAD = 1\n",
        ("tests/daemon/test_accounts.py::test_days_are_made_a_week_ahead",),
    ),
    Mutant(
        "one day less is kept",
        "collector/db/outlook.py",
        "return today - timedelta(days=keep_days)",
        "return today - timedelta(days=keep_days - 1)",
        ("tests/daemon/test_retention.py::test_a_day_is_kept_for_as_many_days_as_it_was_asked_for",),
    ),
    Mutant(
        "misses are not recorded",
        "collector/db/accounting.py",
        "CROSS JOIN unnest($2::smallint[]) AS t (target)\nON CONFLICT DO NOTHING",
        "CROSS JOIN unnest($2::smallint[]) AS t (target)\nWHERE false\nON CONFLICT DO NOTHING",
        ("tests/daemon/test_accounts.py::test_what_the_ledger_lacks_is_missed_and_what_is_there_stays",),
    ),
    Mutant(
        "the bar of a backfill stands beside the snapshot's",
        "migrations/0001_initial.sql",
        "SELECT FROM collector.closing AS c WHERE c.target = m.target AND c.trading_date = b.trading_date",
        "SELECT FROM collector.closing AS c WHERE c.target = m.target AND c.trading_date = b.trading_date AND false",
        (
            "tests/backfill/test_backfill.py::test_the_view_daily_prefers_the_closing_walk_and_names_its_source",
        ),
    ),
    Mutant(
        "two walks that saw different prices have one digest",
        "collector/db/copy_format.py",
        'blake2b(b"".join(values), digest_size=8)',
        'blake2b(b"".join(values[:1]), digest_size=8)',
        ("tests/db/test_copy_format.py::test_another_value_is_another_digest",),
    ),
)

SHARING = (
    Mutant(
        "each program has a limit of its own",
        "collector/ratelimit/limiter.py",
        "PermitStore(key, per_second)",
        'PermitStore(f"{key} {id(self)}", per_second)',
        ("tests/ratelimit/test_limiter.py::test_two_programs_have_one_quota_between_them",),
    ),
    Mutant(
        "one request a second too many",
        "collector/ratelimit/permits.py",
        "FROM generate_series(1, $3) AS number",
        "FROM generate_series(0, $3) AS permit_id",
        (
            "tests/ratelimit/test_limiter.py::test_as_many_may_ask_at_once_as_the_quota_has_and_the_next_waits",
        ),
    ),
    Mutant(
        "what the server grants is not heeded",
        "collector/ratelimit/permits.py",
        "if granted is not None and granted > 0:",
        "if granted_quotas == 0:",
        (
            "tests/ratelimit/test_limiter.py::test_what_the_server_grants_holds_at_once_and_for_programs_to_come",
        ),
    ),
    Mutant(
        "a refusal holds nobody",
        "collector/ratelimit/permits.py",
        "_PAUSE, self._key, api_id, COOLDOWN, granted,",
        "_PAUSE, self._key, api_id, timedelta(0), granted,",
        ("tests/ratelimit/test_limiter.py::test_a_refusal_holds_the_other_program_too",),
    ),
    Mutant(
        "who is cancelled keeps its place",
        "collector/ratelimit/limiter.py",
        "            await self.release([permit])\n            raise\n",
        "            raise\n",
        ("tests/ratelimit/test_limiter.py::test_who_is_cancelled_gives_back_its_place",),
    ),
    Mutant(
        "who was frozen frees the place that is another's by now",
        "collector/ratelimit/permits.py",
        "SET booked = false, free_at = LEAST(to_timestamp($5), clock_timestamp() + $6)\n"
        "WHERE key = $1 AND api_id = $2 AND number = $3 AND booked AND free_at = $4",
        "SET booked = false, free_at = LEAST(to_timestamp($5), clock_timestamp() + $6)\n"
        "WHERE key = $1 AND api_id = $2 AND permit_id = $3 AND booked AND (free_at = $4 OR true)",
        (
            "tests/ratelimit/test_limiter.py::test_who_was_frozen_leaves_a_place_that_is_anothers_by_now_alone",
        ),
    ),
    Mutant(
        "who was frozen sends all the same",
        "collector/ratelimit/limiter.py",
        "if any(permit.is_expired() for permit in self._permits):",
        "if not self._permits:",
        ("tests/ratelimit/test_limiter.py::test_who_was_frozen_between_its_start_and_sending_does_not_send",),
    ),
    Mutant(
        "the longest list of a sweep is walked last",
        "collector/sweep/estimate.py",
        "key=lambda target: count_pages(rows[target]), reverse=True)",
        "key=lambda target: count_pages(rows[target]))",
        ("tests/sweep/test_estimate.py::test_one_of_the_shortest_walks_begins_and_then_the_longest",),
    ),
    Mutant(
        "a connection that will close in the middle of a sweep is kept for it",
        "collector/kiwoom/connections.py",
        "if not item.is_lasting(now)]",
        "if not item.is_open]",
        (
            "tests/kiwoom/test_connections.py::test_a_connection_that_would_soon_be_closed_is_opened_anew_ahead_of_a_sweep",
        ),
    ),
    Mutant(
        "a refusal does not raise the caution",
        "collector/ratelimit/permits.py",
        "caution = CASE WHEN is_first THEN LEAST(",
        "caution = CASE WHEN NOT is_first THEN LEAST(",
        ("tests/ratelimit/test_limiter.py::test_a_refusal_that_names_a_lower_rate_leaves_the_caution_alone",),
    ),
    Mutant(
        "a delayed request is taken for a punctual one",
        "collector/ratelimit/limiter.py",
        "        if delayed:\n            self._caution = max(self._caution, INITIAL)\n",
        "",
        (
            "tests/ratelimit/test_limiter.py::test_a_small_caution_frees_a_permit_earlier_but_not_that_of_a_delayed_request",
        ),
    ),
    Mutant(
        "a place is free before its request can have arrived",
        "collector/ratelimit/window.py",
        "WINDOW - timedelta(seconds=answered_ago + certain)",
        "WINDOW - timedelta(seconds=answered_ago + lower_bound + 0.1)",
        (
            "tests/ratelimit/test_window.py::test_a_place_is_free_a_second_after_its_request_arrived_at_the_latest",
        ),
    ),
    Mutant(
        "a token is renewed without looking whether another program did",
        "collector/kiwoom/auth.py",
        "if stored is not None and self._is_usable(stored, failed):",
        "if stored is not None and failed is None and self._is_live(stored):",
        ("tests/kiwoom/test_auth.py::test_a_dead_token_is_renewed_once_for_everybody",),
    ),
    Mutant(
        "a dead token is taken for a live one",
        "collector/kiwoom/auth.py",
        "return token is not None and self._is_live(token) and token.value != failed",
        "return token is not None and self._is_live(token)",
        ("tests/kiwoom/test_auth.py::test_a_dead_token_is_renewed_once_for_everybody",),
    ),
    Mutant(
        "a token is used to its very end",
        "collector/kiwoom/auth.py",
        "return _CachedToken(value, expires_at - min(MARGIN, (expires_at - issued_at) / 10), expires_at)",
        "return _CachedToken(value, expires_at, expires_at)",
        ("tests/kiwoom/test_auth.py::test_a_token_is_renewed_ten_minutes_before_its_end",),
    ),
    Mutant(
        "the token lies open in the database",
        "collector/kiwoom/auth.py",
        "sealed = self._seal.encrypt(token.value.reveal().encode())",
        "sealed = token.value.reveal().encode()",
        ("tests/kiwoom/test_auth.py::test_a_dump_of_the_database_does_not_show_the_token",),
    ),
    Mutant(
        "a lease of somebody who may be alive is taken at once",
        "collector/db/lease.py",
        "OR l.holder = $2)\nRETURNING l.epoch",
        "OR true)\nRETURNING l.epoch",
        ("tests/daemon/test_lease.py::test_one_of_two_gets_it_and_the_other_one_does_not",),
    ),
    Mutant(
        "the epoch is not checked",
        "collector/db/lease.py",
        "WHERE name = $1 AND epoch = $2 AND expires_at > clock_timestamp()\nFOR KEY SHARE",
        "WHERE name = $1 AND ($2::bigint IS NULL OR true)\nFOR KEY SHARE",
        ("tests/daemon/test_lease.py::test_an_old_epoch_commits_nothing_in_a_hundred_of_a_hundred_tries",),
    ),
    Mutant(
        "the epoch may change hands while a transaction is under way",
        "collector/db/lease.py",
        "expires_at > clock_timestamp()\nFOR KEY SHARE",
        "expires_at > clock_timestamp()",
        ("tests/daemon/test_lease.py::test_the_epoch_stays_while_a_transaction_of_its_holder_is_under_way",),
    ),
)

ASKING = (
    Mutant(
        "1634 is asked again",
        "collector/kiwoom/protocol/error_codes.py",
        "UNAVAILABLE = frozenset({1999})",
        "UNAVAILABLE = frozenset({1999, 1634})",
        ("tests/kiwoom/protocol/test_envelope.py::test_a_recorded_refusal_is_what_it_is_to_every_call",),
    ),
    Mutant(
        "a wrong key is one target's affair",
        "collector/kiwoom/protocol/error_codes.py",
        "DENIED = frozenset({8001, ",
        "DENIED = frozenset({",
        ("tests/kiwoom/protocol/test_envelope.py::test_a_recorded_refusal_is_what_it_is_to_every_call",),
    ),
    Mutant(
        "a next key that came before is followed again",
        "collector/sweep/reader.py",
        "    if key in keys:\n        return Remark.REPEATED_KEY\n",
        "",
        ("tests/sweep/test_sweeper.py::test_a_fault_ends_as_it_should[repeated_key]",),
    ),
    Mutant(
        "a walk goes on after its token died",
        "collector/kiwoom/client.py",
        "                    if not self._keys_outlive_token:\n                        raise\n",
        "",
        ("tests/sweep/test_sweeper.py::test_a_walk_whose_token_died_between_two_pages_begins_anew",),
    ),
    Mutant(
        "a redirect is followed",
        "collector/kiwoom/transport.py",
        "allow_redirects=False",
        "allow_redirects=True",
        ("tests/kiwoom/test_transport.py::test_a_redirect_is_refused_and_nothing_goes_to_where_it_leads",),
    ),
    Mutant(
        "a proxy of the environment is used",
        "collector/kiwoom/transport.py",
        "trust_env=False",
        "trust_env=True",
        ("tests/kiwoom/test_transport.py::test_proxies_and_passwords_of_the_environment_are_ignored",),
    ),
    Mutant(
        "any host gets the keys",
        "collector/config/base_url.py",
        "if _is_loopback(host) or host in trusted:",
        "if _is_loopback(host) or host:",
        ("tests/config/test_config_refusals.py::test_every_other_base_url_is_refused_in_the_file",),
    ),
    Mutant(
        "an answer without a stated end is believed",
        "collector/kiwoom/transport.py",
        'if "Content-Length" not in response.headers and "Transfer-Encoding" not in response.headers:',
        "if False:",
        ("tests/sweep/test_sweeper.py::test_a_fault_ends_as_it_should[close_delimited]",),
    ),
    Mutant(
        "everybody comes back at the same moment",
        "collector/kiwoom/retry.py",
        "return chance * float(",
        "return float(",
        ("tests/kiwoom/test_retry.py::test_the_wait_before_the_next_attempt_doubles_up_to_a_bound",),
    ),
    Mutant(
        "retries have no budget",
        "collector/kiwoom/retry.py",
        "if self.retries >= _FREE_RETRIES + self.requests // _REQUESTS_PER_RETRY:",
        "if self.retries > 10 * self.requests:",
        (
            "tests/kiwoom/test_retry.py::test_a_sweep_may_retry_ten_times_and_once_more_for_every_ten_requests",
        ),
    ),
    Mutant(
        "a cancellation that the driver replaced is swallowed",
        "collector/db/errors.py",
        "        if task.cancelling() > already:\n            raise asyncio.CancelledError from error\n",
        "",
        ("tests/db/test_postgres.py::test_a_cancellation_that_the_driver_replaced_is_one_again",),
    ),
    Mutant(
        "wait_for, which loses cancellations",
        "collector/ratelimit/limiter.py",
        "            async with asyncio.timeout(_POLL):\n                await self.permit_released.wait()",
        "            await asyncio.wait_for(self.permit_released.wait(), _POLL)",
        ("tests/project/test_architecture_rules.py::test_every_module_keeps_the_rule",),
    ),
)

READING = (
    Mutant(
        "the suffix of the exchange is not checked",
        "collector/kiwoom/protocol/responses.py",
        "wrong_suffix=good.strangers",
        "wrong_suffix=0 * good.strangers",
        (
            "tests/kiwoom/protocol/test_prices.py::test_symbols_without_the_suffix_of_their_exchange_are_counted",
        ),
    ),
    Mutant(
        "the answer to another call is taken for ours",
        "collector/kiwoom/protocol/responses.py",
        "if echoed and echoed != api_id:",
        'if echoed == "never":',
        ("tests/kiwoom/protocol/test_envelope.py::test_the_answer_to_another_call_is_never_taken_for_ours",),
    ),
    Mutant(
        "another listing's history is taken for this one's",
        "collector/kiwoom/protocol/responses.py",
        "if isinstance(echoed, str) and echoed and echoed != symbol:",
        'if echoed == "never":',
        (
            "tests/backfill/test_bar_pages.py::test_an_answer_about_another_listing_is_never_taken_for_this_one",
        ),
    ),
    Mutant(
        "a missing return_code is success",
        "collector/kiwoom/protocol/responses.py",
        'raise Unreadable("the answer has no return_code")',
        "return 0",
        ("tests/kiwoom/protocol/test_envelope.py::test_a_missing_return_code_is_unreadable",),
    ),
    Mutant(
        "false is 0",
        "collector/kiwoom/protocol/responses.py",
        "if isinstance(code, int) and not isinstance(code, bool) and",
        "if isinstance(code, int) and",
        ("tests/kiwoom/protocol/test_envelope.py::test_what_is_no_return_code_is_unreadable",),
    ),
    Mutant(
        "a continuation header that came twice is let through",
        "collector/kiwoom/protocol/response.py",
        "if len(flags) > 1 or len(keys) > 1:",
        "if len(flags) > 2 or len(keys) > 2:",
        ("tests/kiwoom/protocol/test_reply.py::test_a_continuation_with_two_readings_is_refused",),
    ),
    Mutant(
        "a key that stands twice is let through",
        "collector/kiwoom/protocol/strict_json.py",
        "if len(document) != len(pairs):",
        "if not pairs and document:",
        ("tests/kiwoom/protocol/test_prices.py::test_a_key_that_stands_twice_is_found_wherever_it_hides",),
    ),
    Mutant(
        "a price keeps its direction",
        "collector/kiwoom/protocol/numbers.py",
        "return abs(parse_signed(text)) or None",
        "return parse_signed(text) or None",
        (
            "tests/kiwoom/protocol/test_fields.py::test_a_price_loses_its_direction_and_zero_and_blank_are_no_quote",
        ),
    ),
    Mutant(
        "no quote is 0",
        "collector/kiwoom/protocol/numbers.py",
        "return abs(parse_signed(text)) or None",
        "return abs(parse_signed(text))",
        (
            "tests/kiwoom/protocol/test_fields.py::test_a_price_loses_its_direction_and_zero_and_blank_are_no_quote",
        ),
    ),
    Mutant(
        "a rate passes through a float",
        "collector/kiwoom/protocol/numbers.py",
        'value = _digits(match[2]) * 100 + int((match[3] or "").ljust(2, "0"))',
        'value = int(float(f"{_digits(match[2])}.{match[3] or 0}") * 100)',
        ("tests/kiwoom/protocol/test_fields.py::test_a_rate_is_read_in_basis_points",),
    ),
    Mutant(
        "a row that does not decode is dropped unseen",
        "collector/kiwoom/protocol/responses.py",
        "        good = quotes.columns(rows, exchange)\n        bad += wrong\n",
        "        good = quotes.columns(rows, exchange)\n",
        (
            "tests/kiwoom/protocol/test_prices.py::test_a_row_that_does_not_decode_is_kept_as_it_was_sent_and_the_others_are_read",
        ),
    ),
    Mutant(
        "the end of a token is an instant without a zone",
        "collector/kiwoom/protocol/responses.py",
        'datetime.strptime(ends, "%Y%m%d%H%M%S").replace(tzinfo=KST)',
        'datetime.strptime(ends, "%Y%m%d%H%M%S")',
        ("tests/kiwoom/protocol/test_token.py::test_a_token_comes_with_its_end_in_korean_time",),
    ),
    Mutant(
        "a request shows the keys that it carries",
        "collector/kiwoom/protocol/requests.py",
        "body: bytes = field(repr=False)",
        "body: bytes = field()",
        ("tests/kiwoom/protocol/test_token.py::test_a_request_that_carries_keys_does_not_show_them",),
    ),
    Mutant(
        "a secret shows itself",
        "collector/secret.py",
        '    def __repr__(self) -> str:\n        return "***"',
        "    def __repr__(self) -> str:\n        return self.__value",
        ("tests/test_secret.py::test_no_way_of_formatting_shows_it",),
    ),
)

JUDGING = (
    Mutant(
        "a symbol may come twice",
        "collector/market/membership.py",
        "repeats=len(distinct) < len(symbols),",
        "repeats=len(distinct) > len(symbols),",
        ("tests/sweep/test_certify.py::test_a_page_that_came_twice_is_flagged_wherever_it_stands",),
    ),
    Mutant(
        "a wrong suffix is let pass",
        "collector/sweep/certify.py",
        "if any(page.wrong_suffix for page in reading.pages):",
        "if all(page.wrong_suffix for page in reading.pages):",
        ("tests/sweep/test_certify.py::test_a_walk_of_the_wrong_shape_is_suspect",),
    ),
    Mutant(
        "other members are let pass",
        "collector/sweep/certify.py",
        "if members != known.members and (members is not None or rows != known.rows):",
        "if members is None and rows != known.rows:",
        ("tests/sweep/test_certify.py::test_within_the_day_the_members_stay_the_same",),
    ),
    Mutant(
        "an empty answer is believed",
        "collector/sweep/certify.py",
        "if not _may_be_empty(known, sector):",
        "if known.rows and not _may_be_empty(known, sector):",
        ("tests/sweep/test_certify.py::test_an_empty_answer_is_whole_only_where_it_may_be",),
    ),
    Mutant(
        "a page before the last may be short",
        "collector/sweep/certify.py",
        "if any(0 < page.size < max(PAGE_ROWS, before[0].size) for page in before):",
        "if any(0 < page.size < 1 for page in before):",
        ("tests/sweep/test_certify.py::test_a_walk_of_the_wrong_shape_is_suspect",),
    ),
    Mutant(
        "a walk whose end was never said is whole",
        "collector/sweep/certify.py",
        "elif last.end_unsaid or last.next_key is not None:",
        "elif last.next_key is not None:",
        ("tests/sweep/test_certify.py::test_a_walk_of_the_wrong_shape_is_suspect",),
    ),
    Mutant(
        "a missing day is taken for a suspension",
        "collector/backfill/certify_bars.py",
        "return base == earlier.close or _is_split(earlier.close, base)",
        "return True",
        ("tests/backfill/test_certify_bars.py::test_a_gap_is_a_suspension_if_the_price_stood_still_over_it",),
    ),
    Mutant(
        "holidays are trading days",
        "collector/market/calendar.py",
        "return self.table.closed.get(day) or self.holidays(day.year).get(day)",
        "return self.table.closed.get(day)",
        ("tests/market/test_calendar.py::test_every_weekday_of_the_year_is_as_krx_has_it",),
    ),
    Mutant(
        "a session is still open at its closing",
        "collector/market/calendar.py",
        "if session.opens <= at < session.closes)",
        "if session.opens <= at <= session.closes)",
        (
            "tests/market/test_calendar.py::test_a_session_is_open_from_its_opening_on_and_no_more_at_its_closing",
        ),
    ),
    Mutant(
        "an instant without a zone is taken for the host's",
        "collector/market/calendar.py",
        "if at.tzinfo is None:",
        'if at.tzinfo == "":',
        ("tests/market/test_calendar.py::test_an_instant_without_a_zone_is_refused",),
    ),
    Mutant(
        "the closing is no slot",
        "collector/market/schedule.py",
        "    yield session.closes, session\n",
        "",
        ("tests/market/test_schedule.py::test_five_minutes_during_the_regular_session_are_79_slots_a_day",),
    ),
    Mutant(
        "a slot falls due at two looks at the clock",
        "collector/market/schedule.py",
        "return merge_slots(schedules, calendar, after + datetime.resolution,",
        "return merge_slots(schedules, calendar, after,",
        (
            "tests/market/test_schedule.py::test_a_slot_falls_due_at_the_look_that_reaches_it_and_at_no_later_one",
        ),
    ),
)

SURVIVORS = (
    Mutant(
        "what was archived is not read back",
        "collector/archive/write.py",
        "            _verify(self.part.part, self.walks)\n",
        "",
        ("tests/archive/test_archive.py::test_a_day_stays_when_what_is_read_back_is_not_what_was_written",),
    ),
    Mutant(
        "the times and the status that a file shows are not compared with the ledger",
        "collector/archive/write.py",
        "if not columns.agrees(shown, rows, walks):",
        "if False:",
        ("tests/archive/test_archive.py::test_a_day_stays_when_what_is_read_back_is_not_what_was_written",),
    ),
    Mutant(
        "rows of which the ledger tells nothing are dropped with their day",
        "collector/archive/write.py",
        "    if row_count != known:\n",
        "    if False:\n",
        ("tests/archive/test_archive.py::test_rows_of_which_the_ledger_tells_nothing_keep_their_day",),
    ),
    Mutant(
        "the rows of an exchange are not counted against the ledger",
        "collector/archive/read_rows.py",
        "    if copied_rows != stored.rows:\n",
        "    if False:\n",
        ("tests/archive/test_archive.py::test_a_row_that_is_missing_here_and_too_many_there_keeps_its_day",),
    ),
    Mutant(
        "any walk of the slot is taken for ours",
        "collector/db/snapshots.py",
        "return bool(requested_at == reading.requested_at)",
        "return bool(requested_at)",
        ("tests/db/test_snapshots.py::test_a_walk_that_another_program_stored_is_not_taken_for_ours",),
    ),
    Mutant(
        "a page that arrives as the next session opens is in time",
        "collector/sweep/reader.py",
        "self.reading.page_times[-1] >= until",
        "self.reading.page_times[-1] > until",
        ("tests/sweep/test_reader.py::test_a_page_that_arrives_as_the_next_session_opens_is_too_late",),
    ),
    Mutant(
        "an older slot takes back when a listing was last seen",
        "collector/db/catalog.py",
        "SET last_seen = GREATEST(l.last_seen, $1), board",
        "SET last_seen = $1, board",
        (
            "tests/db/test_snapshots.py::test_a_listing_stays_seen_when_an_older_slot_is_stored_after_a_newer_one",
        ),
    ),
    Mutant(
        "an older slot of another program takes back when a listing was last seen",
        "collector/db/snapshots.py",
        "SET last_seen = GREATEST(l.last_seen, $1), board",
        "SET last_seen = $1, board",
        (
            "tests/db/test_snapshots.py::test_a_listing_stays_seen_when_an_older_slot_is_stored_after_a_newer_one",
        ),
    ),
    Mutant(
        "a cancelled claim is forgotten before its number is known",
        "collector/db/worklist.py",
        "await asyncio.shield(claiming)",
        "await claiming",
        ("tests/db/test_worklist.py::test_a_claim_cancelled_before_its_answer_is_released",),
    ),
    Mutant(
        "the epoch is the clock alone",
        "collector/db/lease.py",
        "epoch = GREATEST(l.epoch + 1, floor(extract(epoch FROM at))::bigint)",
        "epoch = floor(extract(epoch FROM at))::bigint",
        ("tests/daemon/test_lease.py::test_the_epoch_grows_past_one_of_a_clock_that_was_ahead",),
    ),
    Mutant(
        "quarantine is kept for ever",
        "migrations/0001_initial.sql",
        "    DELETE FROM collector.quarantine\n"
        "    WHERE slot >= day::timestamp AT TIME ZONE INTERVAL '9 hours'\n"
        "      AND slot < (day + 1)::timestamp AT TIME ZONE INTERVAL '9 hours';\n",
        "",
        ("tests/daemon/test_retention.py::test_a_quarantine_without_rows_goes_with_its_day",),
    ),
    Mutant(
        "a damaged batch is decoded",
        "collector/archive/file.py",
        "    columns.refuse_invalid(batch)\n",
        "",
        ("tests/archive/test_restore.py::test_a_file_of_another_form_is_refused",),
    ),
    Mutant(
        "a file with other columns is read",
        "collector/archive/file.py",
        "if self._file.schema_arrow.remove_metadata() != columns.schema_as_read():",
        "if False:",
        ("tests/archive/test_restore.py::test_a_file_of_another_form_is_refused",),
    ),
    Mutant(
        "readiness tells strangers why",
        "collector/web/routes.py",
        "        if request.is_trusted:\n",
        "        if True:\n",
        ("tests/web/test_pages.py::test_without_the_token_readiness_is_good_or_not_and_nothing_else",),
    ),
    Mutant(
        "archived files are everybody's",
        "collector/archive/local_store.py",
        "os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)",
        "os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)",
        ("tests/archive/test_archive.py::test_files_and_new_folders_are_their_owners_alone",),
    ),
)
"""Bugs that passed every test once, and those of the faults that were found with them."""

MUTANTS = (*STORING, *SHARING, *ASKING, *READING, *JUDGING, *SURVIVORS)
