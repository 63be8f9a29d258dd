"""Validates the meaning of a configuration: settings that the API cannot serve, and likely mistakes."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from urllib.parse import urlsplit

from collector.base import duration
from collector.base.yaml_text import quote
from collector.config.base_url import ALLOWED, MOCK, REAL, BaseUrl, SourceKind, parse_base_url
from collector.config.errors import ConfigErrors, nearest
from collector.config.object_access import parse_object_url, why_no_endpoint
from collector.config.schema import ApiConfig, ArchiveConfig, Config, NotifyConfig, TargetSpec
from collector.config.universes import expand
from collector.errors import ConfigError
from collector.market import sectors
from collector.model import Exchange, Sector, Target

MOST_AT_KIWOOM = 20
"""Requests a second: four times the highest quota in any source."""

_SHORTEST, _LONGEST = timedelta(milliseconds=100), timedelta(minutes=5)
_SHORTEST_QUIET, _LONGEST_QUIET = timedelta(seconds=1), timedelta(days=30)

Steps = tuple[str | int, ...]


def check(config: Config, errors: ConfigErrors, *, base_url: str | None) -> BaseUrl | None:
    """Add an error for each setting that cannot be carried out; return the base URL, None if it is one of them.

    `base_url` is the environment's, None if it has none.
    """
    known = sectors.bundled_sectors()
    base = _base(config.api, errors, base_url)
    _check_api(config.api, base, errors)
    _check_keys(config.api, errors)
    _check_rest(config, errors)
    _check_archive(config.archive, errors)
    _check_notify(config.notify, errors)
    for name, specs in config.universes.items():
        for index, spec in enumerate(specs):
            _check_sectors(spec, ("universes", name, index, "sectors"), errors)
            if base is not None and base.kind is SourceKind.MOCK:
                _check_mock(spec, ("universes", name, index, "exchanges"), errors)
        _check_repeats(name, specs, known, errors)
    return base


def warnings(config: Config) -> Iterator[str]:
    """Yield a line for each setting that is allowed and yet looks wrong."""
    known = sectors.bundled_sectors()
    for name, specs in config.universes.items():
        for index, spec in enumerate(specs):
            for position, code in _codes(spec):
                if code not in known:
                    text = f"sector {code} is not in the shipped table; it is taken as a new sector"
                    yield config.format_error(("universes", name, index, "sectors", position), text)


def _base(api: ApiConfig, errors: ConfigErrors, base_url: str | None) -> BaseUrl | None:
    url = api.base_url if base_url is None else base_url
    try:
        return parse_base_url(url, api.trusted_hosts)
    except ValueError as error:
        # A user name in a URL comes with a password.
        shown = "(not shown, it holds an @)" if "@" in url else quote(url)
        near = nearest(url, (f"https://{REAL}", f"https://{MOCK}"))
        text = f"{shown} {error}; use one of: {ALLOWED}{near}"
    if base_url is not None:
        raise ConfigError(f"KIWOOM_BASE_URL {text}")
    errors.at(("api", "base_url"), f"api.base_url {text}")
    return None


def _check_api(api: ApiConfig, base: BaseUrl | None, errors: ConfigErrors) -> None:
    if not _SHORTEST <= api.timeout <= _LONGEST:
        span = f"{duration.show(_SHORTEST)} to {duration.show(_LONGEST)}"
        text = f"api.timeout is {duration.show(api.timeout)}; use {span}"
        errors.at(("api", "timeout"), text)
    kiwoom = base is not None and base.kind is not SourceKind.OURS
    if kiwoom and not 1 <= api.requests_per_second <= MOST_AT_KIWOOM:
        text = f"is {api.requests_per_second}; use 1 to {MOST_AT_KIWOOM} for Kiwoom"
        errors.at(("api", "requests_per_second"), f"api.requests_per_second {text}")


def _check_keys(api: ApiConfig, errors: ConfigErrors) -> None:
    for index, name in enumerate(api.keys):
        if name in api.keys[:index]:
            errors.at(("api", "keys", index), f"api.keys[{index}]: {name} again; name it once")


def _check_rest(config: Config, errors: ConfigErrors) -> None:
    keep, archive = config.database.keep_days, config.database.archive_after_days
    if 0 < keep <= archive:
        text = f"database.archive_after_days is {archive}; use less than keep_days, {keep}"
        errors.at(("database", "archive_after_days"), f"{text}: days would be dropped unarchived")
    if config.web.port > 65_535:
        errors.at(("web", "listen"), f"web.listen names the port {config.web.port}; use 0 to 65535")


def _check_archive(archive: ArchiveConfig, errors: ConfigErrors) -> None:
    if archive.to is not None and "://" in archive.to:
        try:
            parse_object_url(archive.to)
        except ConfigError as error:
            errors.at(("archive", "to"), f"archive.to: {error}")
    if archive.endpoint_url is not None and (reason := why_no_endpoint(archive.endpoint_url)):
        text = f"archive.endpoint_url {reason}; use https://HOST:PORT (it is not shown)"
        errors.at(("archive", "endpoint_url"), text)


def _check_notify(notify: NotifyConfig, errors: ConfigErrors) -> None:
    if notify.ping is not None and not _is_web_url(notify.ping):
        text = "notify.ping is no URL of http or https (it is not shown); use https://HOST/PATH"
        errors.at(("notify", "ping"), text)
    if not _SHORTEST_QUIET <= notify.quiet <= _LONGEST_QUIET:
        span = f"{duration.show(_SHORTEST_QUIET)} to {duration.show(_LONGEST_QUIET)}"
        errors.at(("notify", "quiet"), f"notify.quiet is {duration.show(notify.quiet)}; use {span}")


def _is_web_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        _ = url.port  # ValueError if it is no port
    except ValueError:
        return False
    return url.scheme in ("http", "https") and bool(url.hostname) and text.isascii() and " " not in text


def _check_sectors(spec: TargetSpec, path: Steps, errors: ConfigErrors) -> None:
    for position, code in _codes(spec):
        market = sectors.market_of(code)
        if market is None:
            text = f"sector {code} belongs to no market; use {_digits(spec)} for {spec.market}"
            errors.at((*path, position), text)
        elif market is not spec.market:
            text = f"sector {code} belongs to {market}; use {_digits(spec)} for {spec.market}"
            errors.at((*path, position), f"{text} (did you mean market: {market}?)")


def _check_mock(spec: TargetSpec, path: Steps, errors: ConfigErrors) -> None:
    for index, exchange in enumerate(spec.exchanges):
        if exchange is not Exchange.KRX:
            errors.at((*path, index), f"{exchange} is not served by {MOCK}; use KRX")


def _check_repeats(
    name: str, specs: Sequence[TargetSpec], known: Mapping[str, Sector], errors: ConfigErrors
) -> None:
    seen: dict[Target, int] = {}
    for index, spec in enumerate(specs):
        for target in expand(spec, known):
            if target in seen:
                first = f"first in universes.{name}[{seen[target]}]"
                text = f"universes.{name}[{index}]: {target} again ({first}); list it once"
                errors.at(("universes", name, index), text)
                break
            seen[target] = index


def _codes(spec: TargetSpec) -> list[tuple[int, str]]:
    return [] if spec.sectors == "all" else list(enumerate(spec.sectors))


def _digits(spec: TargetSpec) -> str:
    return " and ".join(f"{digit}xx" for digit in sectors.first_digits(spec.market))
