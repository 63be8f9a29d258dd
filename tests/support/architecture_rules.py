"""Rules of this codebase that no linter knows, each a function from a module's tree to the lines that break it.

A rule is there because of a fault that was met: its docstring says which. There is no mark that turns one off in a
line: what is excepted stands in the rule, or beside it in test_rules.py, with its reason.
"""

import ast
from collections.abc import Callable, Iterator, Mapping

ASKING = frozenset({"execute", "executemany", "fetch", "fetchrow", "fetchval", "prepare", "cursor"})
OUTSIDE = frozenset(
    {
        "aiohttp",
        "asyncio",
        "asyncpg",
        "logging",
        "os",
        "random",
        "secrets",
        "socket",
        "structlog",
        "subprocess",
        "time",
    }
)
UNSAFE = frozenset({"pickle", "marshal", "shelve", "eval", "exec", "compile"})
API_IDS = frozenset(
    {
        "au10001",
        "au10002",
        "ka10051",
        "ka10080",
        "ka10081",
        "ka10099",
        "ka10101",
        "ka20002",
        "ka20003",
        "ka20006",
        "ka20009",
    }
)
CLOCKS = frozenset({"now", "utcnow", "today"})
SECRET_OPTIONS = ("key", "secret", "token", "password", "dsn", "database-url")


def no_wait_for(tree: ast.Module) -> Iterator[int]:
    """`asyncio.wait_for` loses a cancellation that meets its result, on Python 3.11; `asyncio.timeout` does not."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "wait_for" and _root(node) == "asyncio":
            yield node.lineno
        if isinstance(node, ast.ImportFrom) and any(name.name == "wait_for" for name in node.names):
            yield node.lineno


def no_raise_in_a_group(tree: ast.Module) -> Iterator[int]:
    """What is raised within `except*` comes out in a group on Python before 3.11.4, and bare since."""
    for node in ast.walk(tree):
        if isinstance(node, ast.TryStar):
            for caught in node.handlers:
                yield from (inner.lineno for inner in ast.walk(caught) if isinstance(inner, ast.Raise))


def no_group_of_tasks(tree: ast.Module) -> Iterator[int]:
    """A TaskGroup may leave its task's count of cancellations one too high; `together` does not."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "TaskGroup" and _root(node) == "asyncio":
            yield node.lineno
        if isinstance(node, ast.ImportFrom) and any(name.name == "TaskGroup" for name in node.names):
            yield node.lineno


def no_built_sql(tree: ast.Module) -> Iterator[int]:
    """A statement is a text that stands in the source; what comes from outside is a bound value, never part of it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ASKING:
            first = node.args[0] if node.args else None
            if first is not None and not isinstance(
                first, ast.Constant | ast.Name | ast.Attribute | ast.Starred
            ):
                yield node.lineno
    for name, value in _constants(tree):
        if name.isupper() and isinstance(value, ast.JoinedStr | ast.BinOp) and _reads_as_sql(value):
            yield value.lineno


def no_blind_tls(tree: ast.Module) -> Iterator[int]:
    """There is no switch that turns certificates' checks off."""
    for node in ast.walk(tree):
        match node:
            case ast.keyword(
                arg="verify" | "ssl" | "verify_ssl" | "check_hostname", value=ast.Constant(value=False)
            ):
                yield node.value.lineno
            case ast.Attribute(attr="CERT_NONE" | "_create_unverified_context"):
                yield node.lineno
            case ast.Assign(targets=[ast.Attribute(attr="check_hostname")], value=ast.Constant(value=False)):
                yield node.lineno


def no_code_from_data(tree: ast.Module) -> Iterator[int]:
    """Nothing that was read is run or built into objects: no pickle, no eval, no YAML tags, no shell."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names) if any(name.name in UNSAFE for name in names):
                yield node.lineno
            case ast.Call(func=ast.Name(id=name)) if name in UNSAFE:
                yield node.lineno
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="yaml"), attr="load" | "unsafe_load" | "full_load")
            ):
                yield node.lineno
            case ast.keyword(arg="shell", value=ast.Constant(value=True)):
                yield node.value.lineno


def no_foreign_repr(tree: ast.Module) -> Iterator[int]:
    """The repr of a caught exception may quote what was sent: a request's headers hold the token."""
    for handler in (node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.name):
        for node in ast.walk(handler):
            match node:
                case ast.Call(func=ast.Name(id="repr"), args=[ast.Name(id=name)]) if name == handler.name:
                    yield node.lineno
                case ast.FormattedValue(value=ast.Name(id=name), conversion=114) if name == handler.name:
                    yield node.lineno


def no_silent_catch_all(tree: ast.Module) -> Iterator[int]:
    """A handler names what it expects; whoever catches everything raises it again, or logs its traceback."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and _is_broad(node.type) and not _speaks(node):
            yield node.lineno


def no_trading(tree: ast.Module) -> Iterator[int]:
    """Orders are impossible by construction: no api-id but the readers' stands anywhere."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
            if len(text) == 7 and text[:2].isalpha() and text[2:].isdigit() and text not in API_IDS:
                yield node.lineno


def no_secret_argument(tree: ast.Module) -> Iterator[int]:
    """Whoever lists the processes reads their arguments: keys and passwords come from the environment or files."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "option":
            for name in (arg.value for arg in node.args if isinstance(arg, ast.Constant)):
                if str(name).startswith("--") and str(name).removeprefix("--") in SECRET_OPTIONS:
                    yield node.lineno


def no_naive_time(tree: ast.Module) -> Iterator[int]:
    """asyncpg takes a naive datetime for one in the zone of the process: 09:00 in Seoul is stored as midnight UTC."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="utcnow" | "utcfromtimestamp")):
                yield node.lineno
            case ast.Call(func=ast.Attribute(attr="now" | "fromtimestamp", value=value) as func) if _names(
                value, "datetime"
            ):
                if len(node.args) + len(node.keywords) < (1 if func.attr == "now" else 2):
                    yield node.lineno


def no_outside(tree: ast.Module) -> Iterator[int]:
    """The pure core has no clock, chance, environment, log or I/O: what it knows came in as arguments."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names) if any(name.name.partition(".")[0] in OUTSIDE for name in names):
                yield node.lineno
            case ast.ImportFrom(module=str(module), level=0) if module.partition(".")[0] in OUTSIDE:
                yield node.lineno
            case ast.Call(func=ast.Attribute(attr=attr, value=value)) if attr in CLOCKS and (
                _names(value, "datetime") or _names(value, "date")
            ):
                yield node.lineno
            case ast.Await() | ast.AsyncFunctionDef():
                yield node.lineno


EVERYWHERE: Mapping[str, Callable[[ast.Module], Iterator[int]]] = {
    rule.__name__: rule
    for rule in (
        no_wait_for,
        no_raise_in_a_group,
        no_group_of_tasks,
        no_built_sql,
        no_blind_tls,
        no_code_from_data,
        no_foreign_repr,
        no_silent_catch_all,
        no_secret_argument,
        no_naive_time,
    )
}


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _names(node: ast.expr, name: str) -> bool:
    return (isinstance(node, ast.Name) and node.id == name) or (
        isinstance(node, ast.Attribute) and node.attr == name
    )


def _constants(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.value


def _reads_as_sql(value: ast.expr) -> bool:
    texts = [
        node.value
        for node in ast.walk(value)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return any(
        text.lstrip().startswith(("SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH ")) for text in texts
    )


def _speaks(handler: ast.ExceptHandler) -> bool:
    return any(
        isinstance(node, ast.Raise) or (isinstance(node, ast.Attribute) and node.attr == "exception")
        for node in ast.walk(handler)
    )


def _is_broad(kind: ast.expr | None) -> bool:
    kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return any(one is None or _names(one, "Exception") or _names(one, "BaseException") for one in kinds)
