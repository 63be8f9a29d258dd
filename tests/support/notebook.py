"""Runs the code of a notebook: `python -m tests.support.notebook FILE`. Prints shown values; a chart is a line of JSON.

The cells share one namespace, and the last expression of a cell is rendered as Jupyter renders it. Jupyter itself
(77 MB) is not needed for that.
"""

import ast
import json
import sys
from pathlib import Path
from typing import Any

_RENDERERS = ("_repr_mimebundle_", "_repr_html_")


def run_notebook(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for position, cell in enumerate(cells):
        if cell["cell_type"] == "code":
            _run_cell("".join(cell["source"]), f"{path.name}, cell {position}", namespace)


def _run_cell(source: str, name: str, namespace: dict[str, Any]) -> None:
    tree = ast.parse(source, name)
    shown = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec"), namespace)
    if isinstance(shown, ast.Expr):
        value = eval(compile(ast.Expression(shown.value), name, "eval"), namespace)
        for renderer in _RENDERERS:
            if callable(render := getattr(value, renderer, None)):
                render()
        if value is not None:
            print(json.dumps(value.to_dict(), ensure_ascii=False) if hasattr(value, "mark_line") else value)


if __name__ == "__main__":
    run_notebook(Path(sys.argv[1]))
