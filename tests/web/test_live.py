"""What the process itself has sent is counted over all its keys, and over all collectors that it had."""

from collections import Counter
from types import SimpleNamespace

from collector.base.histogram import Histogram
from collector.web.live import Live


def with_keys(**answers: dict[str, int]) -> SimpleNamespace:
    """A collector as far as its keys go."""
    keys = [
        SimpleNamespace(name=name, answers=Counter(counted), durations={})
        for name, counted in answers.items()
    ]
    return SimpleNamespace(keys=keys, underway={}, counts=Counter())


def test_requests_are_counted_by_answer_and_by_key():
    live = Live()
    with live.attach(with_keys(main={"ok": 3, "Throttled": 1}, second={"ok": 2})):
        assert (live.answers()["ok"], live.answers()["Throttled"]) == (5, 1)
        assert live.by_key() == {"main": 4, "second": 2}
    with live.attach(with_keys(main={"ok": 1})):
        assert live.answers()["ok"] == 6
        assert live.by_key() == {"main": 5, "second": 2}
    assert live.by_key() == {"main": 5, "second": 2}


def test_walks_rows_and_durations_are_counted_over_all_collectors_of_the_process():
    live = Live()
    for seconds in (0.1, 4.0):
        collector = with_keys(main={"ok": 1}, second={"ok": 1})
        for key in collector.keys:
            key.durations = {"ka20002": Histogram()}
            key.durations["ka20002"].observe(seconds)
        collector.counts.update({"complete": 2, "rows": 100})
        with live.attach(collector):
            pass
    assert live.counts() == {"complete": 4, "rows": 200}
    buckets = dict(live.durations()["ka20002"].buckets())
    assert (buckets["0.05"], buckets["0.1"], buckets["2.5"], buckets["5"], buckets["+Inf"]) == (0, 2, 2, 4, 4)
    assert live.durations()["ka20002"].total == 8.2
