"""`check --learn --provoke`: how a host counts requests, told by refusals of one call.

The simulated server answers in this process and in virtual time, so each of its switches is tried with the durations
of the real host.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar, cast

import pytest

from collector.db.dsn import Dsn
from collector.errors import Unavailable
from collector.kiwoom.client import KiwoomClient, RequestCounter
from collector.kiwoom.learn.findings import PROVOKED, find_all
from collector.kiwoom.learn.observations import Observations, RefusalTrial
from collector.kiwoom.learn.observe import Observer, observe
from collector.kiwoom.learn.provoke import LONGEST, Provoker
from collector.kiwoom.learn.quota_rules import (
    QuotaRule,
    SentRequest,
    all_rules,
    count_contradictions,
    possible_rules,
)
from collector.kiwoom.protocol import ApiRequest, ApiResponse
from collector.kiwoom.transport import SendHooks
from collector.secret import Secret
from kiwoom_simulator import Options, Simulator
from kiwoom_simulator.server.http import HttpRequest
from tests.support import virtual_time
from tests.support.harness import OPEN, collecting

T = TypeVar("T")


class InProcessClient:
    """Sends requests to a simulated server in this process. Those with a permit go out at half its quota."""

    def __init__(self, options: Options) -> None:
        self.simulator = Simulator(options)
        self._gap = 2 / max(1, options.requests_per_second)
        self._line = asyncio.Lock()
        self.sent = 0

    async def token(self) -> Secret:
        body = json.dumps({"grant_type": "x", "appkey": "k", "secretkey": "s"}).encode()
        answer = await self.simulator.api(HttpRequest("POST", "/oauth2/token", {}, {}, body))
        return Secret(json.loads(answer.body)["token"])

    async def probe(
        self, request: ApiRequest, read: Callable[[ApiResponse], T], token: Secret, counter: RequestCounter
    ) -> T:
        async with self._line:
            await asyncio.sleep(self._gap)
        return read(await self._post(request, token))

    async def send_without_permit(
        self, request: ApiRequest, token: Secret, hooks: SendHooks, counter: RequestCounter
    ) -> ApiResponse:
        hooks.before_send()
        self.sent += 1
        reply = await self._post(request, token)
        hooks.on_response()
        return reply

    async def _post(self, request: ApiRequest, token: Secret) -> ApiResponse:
        headers = {name.lower(): value for name, value in request.headers(token).items()}
        answer = await self.simulator.api(HttpRequest("POST", request.path, {}, headers, request.body))
        return ApiResponse(answer.status, answer.headers, answer.body)


def provoke(believed: int, **options: Any) -> tuple[RefusalTrial, float]:
    """A trial in virtual time, and how many seconds it took."""

    async def run() -> tuple[RefusalTrial, float]:
        client = InProcessClient(Options(**{"latency": "real", "freeze": OPEN, **options}))
        provoker = Provoker(cast("KiwoomClient", client), await client.token(), believed)
        begun = asyncio.get_running_loop().time()
        await provoker.run()
        return provoker.trial, asyncio.get_running_loop().time() - begun

    return cast("tuple[RefusalTrial, float]", virtual_time.run(run()))


def facts_of(trial: RefusalTrial) -> dict[str, str]:
    facts = {name: value for find in PROVOKED for name, value in find(trial).facts.items()}
    facts.pop("latency.refusal", None)
    return facts


PLAIN = {
    "refusal.status": "429",
    "refusal.return_code": "5",
    "quota.burst": "none",
    "quota.counts_refused": "no",
    "quota.count_moment": "middle",
}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({}, {}, id="a plain host"),
        pytest.param({"throttle_status": 200}, {"refusal.status": "200"}, id="throttle-status"),
        pytest.param({"count_refused": True}, {"quota.counts_refused": "yes"}, id="count-refused"),
        pytest.param({"count": "before"}, {"quota.count_moment": "before"}, id="count before"),
        pytest.param({"count": "after"}, {"quota.count_moment": "after"}, id="count after"),
        pytest.param({"burst": 2}, {"quota.burst": "2", "quota.counts_refused": None}, id="a small burst"),
        pytest.param(
            {"burst": 5}, {"quota.burst": "5", "quota.counts_refused": None}, id="a burst of the quota"
        ),
        pytest.param({"burst": 9}, {"quota.burst": "9", "quota.counts_refused": None}, id="a large burst"),
        pytest.param({"quota": 3}, {}, id="a lower quota than is believed"),
    ],
)
def test_each_switch_of_the_quota_is_recognized(
    options: dict[str, Any], expected: dict[str, str | None]
) -> None:
    trial, seconds = provoke(5, **options)
    assert facts_of(trial) == {name: value for name, value in (PLAIN | expected).items() if value is not None}
    assert trial.quota == options.get("quota", 5)
    assert seconds < LONGEST + 10


def test_the_burst_of_the_mock_host_is_recognized() -> None:
    trial, _ = provoke(1, mock=True)
    assert facts_of(trial) | {"quota.count_moment": ""} == {
        "refusal.status": "429",
        "refusal.return_code": "5",
        "quota.burst": "2",
        "quota.count_moment": "",
    }


@pytest.mark.parametrize(
    "seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.extended) for seed in range(3, 10))]
)
@pytest.mark.parametrize("moment", ["before", "middle", "after"])
def test_no_draw_of_durations_leads_to_a_wrong_fact(moment: str, seed: int) -> None:
    trial, _ = provoke(5, count=moment, seed=seed)
    facts = facts_of(trial)
    assert facts.get("quota.count_moment", moment) == moment
    assert (facts["quota.burst"], facts["quota.counts_refused"]) == ("none", "no")


def test_few_requests_are_refused() -> None:
    trial, _ = provoke(5)
    refused = sum(request.is_refused for requests in trial.rounds for request in requests)
    assert 2 <= refused <= 30


def test_even_durations_leave_the_moment_open() -> None:
    trial, _ = provoke(5, latency=timedelta(milliseconds=400))
    assert "quota.count_moment" not in facts_of(trial)
    assert find_answer(trial, "When does a request count?") == "not clear: all answers take as long"


def find_answer(trial: RefusalTrial, question: str) -> str:
    [answer] = [found.answer for find in PROVOKED if (found := find(trial)).question == question]
    return answer


def test_a_host_without_a_quota_is_left_alone_after_four_waves() -> None:
    trial, _ = provoke(5, quota=0)
    assert (trial.status, possible_rules(trial.rounds, 5)) == (None, [])
    assert max(len(requests) for requests in trial.rounds) < 40
    assert facts_of(trial) == {}


def test_a_refusal_for_all_calls_ends_the_trial_at_once() -> None:
    trial, _ = provoke(5, quota=20, total=5)
    assert "1701" in trial.ended_by
    assert len(trial.rounds) == 1


@pytest.mark.extended
async def test_an_outage_ends_the_trial_with_what_it_has() -> None:
    class Failing(InProcessClient):
        async def send_without_permit(self, *_: object) -> ApiResponse:
            raise Unavailable("no answer in time")

    client = Failing(Options(quota=50, freeze=OPEN))
    provoker = Provoker(cast("KiwoomClient", client), await client.token(), 5)
    await provoker.run()
    assert (provoker.trial.rounds, provoker.trial.ended_by) == ([], "no answer in time")


@pytest.mark.parametrize("rule", all_rules(5)[:6])
def test_a_rule_does_not_contradict_itself(rule: QuotaRule) -> None:
    def request(sent: float, *, refused: bool = False) -> SentRequest:
        return SentRequest(sent, sent + 0.4, refused)

    full: Sequence[SentRequest] = [*(request(index * 0.03) for index in range(5)), request(0.3, refused=True)]
    assert count_contradictions(rule, full, 5) == 0
    assert count_contradictions(rule, [*full, request(0.5)], 5) == 1
    assert count_contradictions(rule, [request(0.0), request(0.1, refused=True)], 5) == 1


@pytest.mark.extended
async def test_a_run_asks_it_over_http_if_it_is_told_to(database: Dsn) -> None:
    options = Options(quota=10, freeze=OPEN, throttle_status=200)
    async with (
        Simulator(options) as simulator,
        collecting(database, simulator.url, requests_per_second=10, timeout="20s") as collector,
    ):
        seen = await observe(collector.kiwoom, 10, key_age=0.2, lag_watched=0.5, longest=600, provokes=True)
        log = simulator.api.book.since(0)
    facts = {name: value for finding in find_all(seen) for name, value in finding.facts.items()}
    assert (facts["refusal.status"], facts["refusal.return_code"]) == ("200", "5")
    assert {str(line["api_id"]) for line in log if line["answer"] == "throttled"} == {"ka10101"}


@pytest.mark.extended
async def test_nothing_is_provoked_where_all_calls_share_a_quota(database: Dsn) -> None:
    async with (
        Simulator(Options(quota=4, total=5, freeze=OPEN)) as simulator,
        collecting(database, simulator.url, requests_per_second=4, timeout="20s") as collector,
    ):
        observer = Observer(collector.kiwoom, Observations(4), await collector.kiwoom.token())
        await observer.try_quota()
        await observer.provoke()
    assert observer.seen.refusal is None
    assert collector.kiwoom.answers["provoked"] == 0
