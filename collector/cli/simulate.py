"""`collector simulate`: Kiwoom's REST API on a loopback port, for trials without a key."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import click
import yaml

from collector.base import duration
from collector.cli.options import unused_config_option
from collector.errors import ConfigError
from collector.model import KST
from kiwoom_simulator import Options, Simulator
from kiwoom_simulator.faults import CONDITIONS, FAULTS, KINDS, parse, specs_of

EXAMPLES = """\b
Examples:
  collector simulate                                     the real host as documented, on port 8021
  collector simulate --port 0 --quota 0 --until-eof      any port, no quota, ends with its parent
  collector simulate --freeze 2026-11-20T11:00           frozen prices: all pages of a walk are consistent
  collector simulate --latency 20ms --jitter 10ms --fault throttle_200:p=0.01
  collector simulate --latency real --count after        the pace of the real host; a request counts when it is answered
  collector simulate --fault token_8005:page=3,times=1   the token expires in the middle of a walk
  collector simulate --mock --token-rule reuse --fault string_return_code
While it runs, `GET /_sim/stats` and `GET /_sim/log` report its work, and `PUT /_sim/faults` changes its faults."""


class Span(click.ParamType[timedelta]):
    """A duration such as 20ms or 24h."""

    name = "time"

    def convert(
        self, value: str | timedelta, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        if isinstance(value, timedelta):
            return value
        try:
            return duration.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class RoundTrip(Span):
    """A duration, or the word real."""

    name = "time|real"

    def convert(
        self, value: str | timedelta, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        # The one word is a value of its own; the type of click.ParamType allows a single type.
        return cast("timedelta", value) if value == "real" else super().convert(value, param, ctx)


class Instant(click.ParamType[datetime]):
    """An instant in ISO 8601. Without an offset it is Korean time."""

    name = "instant"

    def convert(
        self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not an instant; use 2026-11-20T10:00", param, ctx)
        return at if at.tzinfo else at.replace(tzinfo=KST)


def _list_faults(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
    """Print the table of faults, and exit."""
    if not wanted:
        return
    for kind, module in KINDS.items():
        click.echo(f"\n{kind}")
        for fault in (entry for entry in FAULTS.values() if entry.home == module.__name__):
            settings = ",".join(f"{name}={value}" for name, value in fault.settings.items())
            click.echo(f"  {fault.name:27} {fault.about}{f'  [{settings}]' if settings else ''}")
    click.echo("\nconditions, for any of them")
    for name, about in CONDITIONS.items():
        click.echo(f"  {name:27} {about}")
    ctx.exit()


@click.command(epilog=EXAMPLES)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8021, show_default=True, help="0: any free port."
)
@click.option("--seed", default=1, show_default=True, help="Seed of the market.")
@click.option(
    "--mock",
    is_flag=True,
    help="Imitate the mock host: KRX only, one request a second with a burst of two, its own keys.",
)
@click.option("--mock-consolidated", is_flag=True, help="Let the mock host answer stex_tp 3 too.")
@click.option(
    "--key", "keys", multiple=True, metavar="APPKEY:SECRET", help="Accept only these keys; repeatable."
)
@click.option("--keys", "keys_file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Accept only the keys in this file (YAML or JSON: app key to secret key).")  # fmt: skip
@click.option(
    "--quota", type=click.IntRange(0), help="Requests a second for each key and api-id; 0: off. [5; mock 1]"
)
@click.option(
    "--burst",
    type=click.IntRange(0),
    help="A bucket of this size instead of a strict second; 0: a strict second. [0; mock 2]",
)
@click.option(
    "--total", type=click.IntRange(0), default=0, help="Requests a second over all api-ids (1701); 0: off."
)
@click.option("--count-refused", is_flag=True, help="Refused requests count in the second, too.")
@click.option("--throttle-status", type=click.Choice(["429", "200"]), default="429", show_default=True,
              help="HTTP status of a refusal for the quota.")  # fmt: skip
@click.option(
    "--count",
    type=click.Choice(["before", "middle", "after"]),
    default="middle",
    show_default=True,
    help="When the quota counts a request: before the work of its round trip, half way, or after it.",
)
@click.option("--latency", type=RoundTrip(), default="0ms",
              help="Round-trip time of a request and its answer; `real`: the real host's, 0.37 to 0.65 s, 1 % up to "
              "2.5 s, and 0.8 to 1.4 s more for a new connection.")  # fmt: skip
@click.option("--jitter", type=Span(), default="0ms", help="Largest random addition to the latency.")
@click.option("--token-life", type=Span(), default="24h", show_default=True, help="Validity of a token.")
@click.option("--token-rule", type=click.Choice(["replace", "reuse", "keep"]), default="replace", show_default=True,
              help="Second issuance: the new token replaces the first, the first is reused, or both live.")  # fmt: skip
@click.option(
    "--keys-die-with-token", is_flag=True, help="A next-key is valid only with the token of its page."
)
@click.option("--key-life", type=Span(), help="Age at which a next-key is refused.  [default: never]")
@click.option("--counting-keys", is_flag=True, help="A next-key ends with the number of rows to come.")
@click.option("--now", type=Instant(), help="Start of the market's clock.")
@click.option("--freeze", type=Instant(), help="Stop the market's clock here: prices do not move.")
@click.option(
    "--speed",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="Speed of the market's clock.",
)
@click.option("--closed", is_flag=True, help="Make today a holiday that is in no calendar.")
@click.option("--step", type=Span(), default="5s", show_default=True, help="Interval of price changes.")
@click.option(
    "--after-market-moves", is_flag=True, help="KRX's after-market moves prices too, from 2026-09-14 on."
)
@click.option("--gzip", is_flag=True, help="Compress for clients with Accept-Encoding.")
@click.option(
    "--fault", "faults", multiple=True, metavar="NAME[:KEY=VALUE,...]", help="Switch a fault on; repeatable."
)
@click.option("--faults", "faults_file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Switch on the faults in this file (YAML or JSON, a list).")  # fmt: skip
@click.option("--list-faults", is_flag=True, is_eager=True, expose_value=False, callback=_list_faults,
              help="List all faults and conditions, and exit.")  # fmt: skip
@click.option(
    "--until-eof", is_flag=True, help="End at the end of stdin, for example when the parent process ends."
)
@unused_config_option
def simulate(
    *,
    keys: tuple[str, ...],
    keys_file: Path | None,
    faults: tuple[str, ...],
    faults_file: Path | None,
    throttle_status: str,
    until_eof: bool,
    config_path: object,
    **chosen: Any,
) -> None:
    """Serve a simulated Kiwoom REST API: tokens, sectors, quotes, daily bars, quota, and a switch for each
    known oddity and fault.

    It needs no key and no network. The same seed gives the same market. Any app key is accepted without --key
    and --keys. Keys starting with "mock" are valid with --mock only, keys starting with "real" without it
    only. No configuration is read.
    """
    options = Options(
        keys=_keys(keys, keys_file),
        faults=_faults(faults, faults_file),
        throttle_status=429 if throttle_status == "429" else 200,
        **chosen,
    )
    try:
        asyncio.run(_serve(options, until_eof=until_eof))
    except OSError as error:
        raise _cannot_listen(options, error) from None


def _cannot_listen(options: Options, error: OSError) -> ConfigError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return ConfigError(
        f"cannot listen on {options.host}:{options.port}: {reason}", hint="--port 0 takes any free port"
    )


def _keys(pairs: Iterable[str], file: Path | None) -> dict[str, str] | None:
    """The accepted keys; None accepts any."""
    key_pairs: dict[str, str] = {}
    for pair in pairs:
        app_key, colon, secret = pair.partition(":")
        if not colon:
            raise click.BadParameter(f"{pair!r} is not APPKEY:SECRET", param_hint="--key")
        key_pairs[app_key] = secret
    if file is not None:
        content = _document(file, "--keys")
        if not isinstance(content, dict):
            raise click.BadParameter(
                f"{file} is not a mapping of app keys to secret keys", param_hint="--keys"
            )
        key_pairs |= {str(app_key): str(secret) for app_key, secret in content.items()}
    return key_pairs or None


def _faults(specs: tuple[str, ...], file: Path | None) -> tuple[str, ...]:
    """The faults of options and file, all of them checked."""
    try:
        all_specs = (*specs, *(specs_of(_document(file, "--faults")) if file is not None else ()))
        for spec in all_specs:
            parse(spec)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--fault") from None
    return all_specs


def _document(file: Path, hint: str) -> object:
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise click.BadParameter(f"{file} cannot be read: {error}", param_hint=hint) from None


async def _serve(options: Options, *, until_eof: bool) -> None:
    """Serve until a signal, or the end of stdin."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopped.set)
    if until_eof:
        _watch_stdin(stopped)
    async with Simulator(options) as simulator:
        click.echo(f"simulator listening on {simulator.url}")
        sys.stdout.flush()
        await stopped.wait()


def _watch_stdin(stopped: asyncio.Event) -> None:
    try:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), _stop_at_eof, stopped)
    except PermissionError:
        # A plain file or /dev/null cannot be watched, and is at its end.
        stopped.set()


def _stop_at_eof(stopped: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        stopped.set()
