"""The rate limit of the data calls: for each (app key, api-id), and for each key in total."""

from kiwoom_simulator.options import Options
from kiwoom_simulator.server.protocol import ApiRefusal, refuse_throttled, refuse_total_throttled
from kiwoom_simulator.server.quota import Bucket, Window

_TOTAL = ""
"""The api-id of the windows over all api-ids."""


class RateLimit:
    """Judges each arrival. Refusals have the texts of the real server."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._limit = options.requests_per_second
        self._windows: dict[tuple[str, str], Window] = {}
        self._buckets: dict[tuple[str, str], Bucket] = {}

    def refusal(self, app_key: str, api_id: str, arrived: float) -> ApiRefusal | None:
        """The refusal of a request with this arrival time; None if it may pass."""
        status = self._options.throttle_status
        if not self._admits(app_key, api_id, arrived):
            return refuse_throttled(api_id, self._limit, status)
        if not self._window(app_key, _TOTAL, self._options.total).admits(arrived):
            return refuse_total_throttled(self._options.total, status)
        return None

    def peaks(self) -> list[tuple[str, str, int]]:
        """App key, api-id ("" for all) and the most arrivals within one second."""
        return [(app_key, api_id, window.peak) for (app_key, api_id), window in sorted(self._windows.items())]

    def _admits(self, app_key: str, api_id: str, arrived: float) -> bool:
        """Judge by the window, or by the bucket if there is a burst. Beside a bucket the window only counts."""
        burst = self._options.bucket_size
        window = self._window(app_key, api_id, 0 if burst else self._limit)
        fits = window.admits(arrived)
        if not burst or not self._limit:
            return fits
        bucket = self._buckets.setdefault((app_key, api_id), Bucket(self._limit, burst))
        return bucket.admits(arrived)

    def _window(self, app_key: str, api_id: str, limit: int) -> Window:
        window = self._windows.get((app_key, api_id))
        if window is None:
            window = self._windows[app_key, api_id] = Window(limit, self._options.count_refused)
        return window
