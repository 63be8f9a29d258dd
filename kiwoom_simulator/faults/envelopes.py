"""Faults of the envelope: the return code and the list."""

from json import loads

from kiwoom_simulator.faults.context import Args, FaultContext
from kiwoom_simulator.faults.table import Stage, fault
from kiwoom_simulator.server.reply import MISSING


@fault(Stage.REPLY, 'success as a text: "0" or "0000"', value="0000")
def string_return_code(case: FaultContext, args: Args) -> None:
    case.reply.return_code = args.text("value")


@fault(Stage.REPLY, "the return code as another JSON value: 0.0, false, null, []", value="0.0")
def odd_return_code(case: FaultContext, args: Args) -> None:
    case.reply.return_code = loads(args.text("value"))


@fault(Stage.REPLY, "no return code at all")
def missing_return_code(case: FaultContext, args: Args) -> None:
    case.reply.return_code = MISSING


@fault(Stage.REPLY, "return code 0 beside the text of an error", code=1999)
def ok_with_error_text(case: FaultContext, args: Args) -> None:
    case.reply.return_msg = (
        f"일시적인 오류가 발생했습니다[{args.number('code')}:예기치 못한 에러가 발생하였습니다]"
    )


@fault(Stage.REPLY, "the list is null")
def list_null(case: FaultContext, args: Args) -> None:
    case.reply.rows, case.reply.count = b"null", 0


@fault(Stage.REPLY, "the list is an object")
def list_object(case: FaultContext, args: Args) -> None:
    case.reply.rows, case.reply.count = b'{"0":%b}' % case.reply.rows, 0


@fault(Stage.REPLY, "the list is absent")
def list_missing(case: FaultContext, args: Args) -> None:
    case.reply.list_name, case.reply.count = "", 0


@fault(Stage.REPLY, "the api-id of the answer names another call", api_id="ka10001")
def wrong_api_id(case: FaultContext, args: Args) -> None:
    case.reply.api_id = args.text("api_id")


@fault(Stage.REPLY, "resp-cnt differs from the number of rows", count=7)
def wrong_resp_cnt(case: FaultContext, args: Args) -> None:
    case.reply.count = args.number("count")
