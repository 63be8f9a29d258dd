"""Faults of the token call."""

from dataclasses import replace

from kiwoom_simulator.faults.context import Args, FaultContext
from kiwoom_simulator.faults.table import Stage, fault
from kiwoom_simulator.server.protocol import ApiRefusal, refuse_throttled

_API = "au10001"


@fault(Stage.REFUSE, "the token call fails with this HTTP status", apis=_API, status=500)
def token_500(case: FaultContext, args: Args) -> None:
    case.reply.refuse(ApiRefusal(1, "시스템 오류가 발생했습니다", args.number("status")), "")


@fault(Stage.REFUSE, "the token call is throttled: HTTP 429 with 1700", apis=_API, quota=1)
def token_429(case: FaultContext, args: Args) -> None:
    case.reply.refuse(refuse_throttled(_API, args.number("quota"), 429), "")


@fault(Stage.REPLY, "an empty token", apis=_API)
def token_empty(case: FaultContext, args: Args) -> None:
    case.reply.fields["token"] = ""


@fault(Stage.BYTES, "a token with a delay of this many seconds", apis=_API, seconds=30.0)
def token_slow(case: FaultContext, args: Args) -> None:
    case.deliver(replace(case.answer.delivery, wait=args.seconds("seconds")))


@fault(Stage.REPLY, "a token without expires_dt", apis=_API)
def token_no_expires(case: FaultContext, args: Args) -> None:
    case.reply.fields.pop("expires_dt")


@fault(Stage.REPLY, "an expires_dt in the past, or an impossible date", apis=_API, value="20200101000000")
def token_odd_expiry(case: FaultContext, args: Args) -> None:
    case.reply.fields["expires_dt"] = args.text("value")


@fault(Stage.REPLY, "an expires_dt in a thousand years", apis=_API)
def token_far_expiry(case: FaultContext, args: Args) -> None:
    case.reply.fields["expires_dt"] = "30260101000000"


@fault(Stage.REPLY, "a token with characters that are illegal in a header", apis=_API)
def token_garbage(case: FaultContext, args: Args) -> None:
    case.reply.fields["token"] = "한\r\nx: 1"  # noqa: S105 - no token at all


@fault(Stage.REPLY, "a token of this many characters", apis=_API, length=1_001)
def token_long(case: FaultContext, args: Args) -> None:
    case.reply.fields["token"] = "t" * args.number("length")


@fault(Stage.REPLY, "success without a token", apis=_API)
def token_missing(case: FaultContext, args: Args) -> None:
    case.reply.fields.pop("token")


@fault(Stage.REPLY, "a token of another type than bearer", apis=_API, type="mac")
def token_odd_type(case: FaultContext, args: Args) -> None:
    case.reply.fields["token_type"] = args.text("type")


@fault(Stage.REPLY, "a token that is dead on arrival", apis=_API)
def token_stillborn(case: FaultContext, args: Args) -> None:
    case.tokens.revoke(str(case.reply.fields["token"]))
