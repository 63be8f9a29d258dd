"""Faults that are switched on as `NAME[:key=value,...]`, with conditions for the requests to hit."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from kiwoom_simulator.faults.context import Args, FaultContext
from kiwoom_simulator.faults.table import FAULTS, Fault, Stage
from kiwoom_simulator.market.noise import unit

CONDITIONS: dict[str, str] = {
    "api": "only this api-id, or `*` for all (default: data calls; token faults: au10001; keys, hosts: all)",
    "sector": "only this inds_cd",
    "exchange": "only KRX, NXT or CONSOLIDATED",
    "symbol": "only this stk_cd",
    "agent": "only clients with this in their User-Agent; Kiwoom's firewall refused `aiohttp` in practice",
    "page": "only this page of a walk: a number, `last`, or `middle` (neither first nor last)",
    "p": "with this probability (seeded)",
    "after": "not for the first N matching requests",
    "first": "only for the first N matching requests (behind those of `after`)",
    "every": "only for every N-th matching request",
    "times": "at most N times in all",
}


@dataclass(slots=True)
class Switch:
    """One fault in force. `seen` counts the matching requests, `struck` the requests hit."""

    fault: Fault
    spec: str
    args: Args
    conditions: Mapping[str, str]
    chance: int = 0
    seen: int = 0
    struck: int = 0

    def strikes(self, case: FaultContext) -> bool:
        """True if the fault hits this request. Counts the request."""
        if not self._fits(case):
            return False
        self.seen += 1
        if not self._is_due(self.seen):
            return False
        self.struck += 1
        return True

    def _fits(self, case: FaultContext) -> bool:
        call, want = case.call, self.conditions
        api = want.get("api")
        if not (call.api_id.startswith(self.fault.apis) if api is None else api in ("*", call.api_id)):
            return False
        facts = {"sector": call.sector, "exchange": call.exchange or "", "symbol": call.symbol}
        fits = all(want.get(name, fact) == fact for name, fact in facts.items())
        return fits and want.get("agent", "") in call.agent and self._fits_page(case)

    def _fits_page(self, case: FaultContext) -> bool:
        page = self.conditions.get("page")
        if page is None:
            return True
        if page == "middle":
            return 1 < case.call.page < case.pages
        return case.call.page == (case.pages if page == "last" else int(page))

    def _is_due(self, request_number: int) -> bool:
        request_number -= self._count("after", 0)
        return (
            0 < request_number <= self._count("first", request_number)
            and request_number % self._count("every", 1) == 0
            and self.struck < self._count("times", self.struck + 1)
            and unit(self.chance, 60, self.seen) < float(self.conditions.get("p", "1"))
        )

    def _count(self, name: str, default: int) -> int:
        return int(self.conditions.get(name, default))


class FaultSet:
    """The faults in force, in the order given."""

    def __init__(self, specs: Iterable[str] = (), seed: int = 1) -> None:
        self._seed = seed
        self.switches: tuple[Switch, ...] = ()
        self.put(specs)

    def put(self, specs: Iterable[str]) -> None:
        """Replace all faults in force. ValueError changes nothing."""
        switches = tuple(parse(spec) for spec in specs)
        for index, switch in enumerate(switches):
            switch.chance = self._seed * 1_000 + index
        self.switches = switches

    def strike(self, case: FaultContext, stage: Stage) -> list[str]:
        """Apply the faults of one stage; returns the names of those applied. At most one fault may refuse."""
        names: list[str] = []
        for switch in self.switches:
            if switch.fault.stage is stage and switch.strikes(case):
                case.struck = switch.struck - 1
                switch.fault.strike(case, switch.args)
                names.append(switch.fault.name)
                if stage is Stage.REFUSE:
                    break
        return names


def parse(spec: str) -> Switch:
    """Read one switch. ValueError names the fault in the text and the allowed form."""
    name, _, rest = spec.strip().partition(":")
    fault = FAULTS.get(name)
    if fault is None:
        raise ValueError(f"{name!r} is not a fault{_nearest(name, FAULTS)}; --list-faults shows all")
    given = dict(_pair(part, spec) for part in rest.split(",") if part)
    conditions = {
        key: value for key, value in given.items() if key in CONDITIONS and key not in fault.settings
    }
    args = dict(fault.settings)
    for key in given.keys() - conditions.keys():
        if key not in fault.settings:
            raise ValueError(
                f"{key!r} is not a setting of {name}{_nearest(key, (*fault.settings, *CONDITIONS))}"
            )
        args[key] = _convert(given[key], fault.settings[key], spec)
    _check(conditions, spec)
    return Switch(fault, spec.strip(), Args(args), conditions)


def spec_of(entry: object) -> str:
    """A switch from a file: the text of the command line, or `{NAME: {key: value}}`."""
    if isinstance(entry, str):
        return entry
    if isinstance(entry, Mapping) and len(entry) == 1:
        ((name, settings),) = entry.items()
        if settings is None:
            return str(name)
        if isinstance(settings, Mapping):
            return f"{name}:{','.join(f'{key}={value}' for key, value in settings.items())}"
    raise ValueError(f"{entry!r} is not a fault; use NAME, NAME:key=value,... or {{NAME: {{key: value}}}}")


def specs_of(document: object) -> list[str]:
    """The switches of a file: a list, or a list under the key `faults`."""
    entries = document.get("faults") if isinstance(document, Mapping) else document
    if not isinstance(entries, list):
        raise ValueError("a file of faults must be a list, or a mapping with a list under `faults`")
    return [spec_of(entry) for entry in entries]


def _pair(part: str, spec: str) -> tuple[str, str]:
    key, equals, value = part.partition("=")
    if not equals:
        raise ValueError(f"{spec!r}: {part!r} is not key=value")
    return key.strip(), value.strip()


def _convert(value: str, default: str | float, spec: str) -> str | int | float:
    try:
        return type(default)(value)
    except ValueError:
        raise ValueError(f"{spec!r}: {value!r} is not of type {type(default).__name__}") from None


def _check(conditions: Mapping[str, str], spec: str) -> None:
    for key, value in conditions.items():
        whole = key in ("after", "first", "every", "times") or (
            key == "page" and value not in ("last", "middle")
        )
        if whole and not (value.isascii() and value.isdigit()):
            raise ValueError(f"{spec!r}: {key} takes a whole number, not {value!r}")
        if key == "p" and not _is_probability(value):
            raise ValueError(f"{spec!r}: {value!r} is not a probability; use a number from 0 to 1")


def _is_probability(value: str) -> bool:
    try:
        return 0 <= float(value) <= 1
    except ValueError:
        return False


def _nearest(name: str, names: Iterable[str]) -> str:
    matches = get_close_matches(name, list(names), 1)
    return f" (did you mean {matches[0]!r}?)" if matches else ""
