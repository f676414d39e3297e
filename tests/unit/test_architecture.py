"""The shape of the code: which way imports go, and what a module may be."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAY_IMPORT = {
    "privacy": set(),
    "schemas": {"privacy"},
    "connectors": {"schemas", "privacy"},
    "flows": {"connectors", "schemas", "privacy"},
    "benchmarks": {"flows", "connectors", "schemas", "privacy"},
}
OF_PROJECT = {*MAY_IMPORT, "tests"}
MAKE_A_TELCO = {"flows/demo.py", "flows/cli/generate.py"}
"""The two modules of a flow that need the generator, which lies with the benchmarks."""

MOST_LINES = 400
LONG_MODULES: dict[str, str] = {
    "flows/fault_notifications.py": "the flow reads as one picture: what it may be told, what it touches, its steps",
    "flows/operators/match_faults.py": "one logic: what it decides rests on all of its state at once",
    "tests/properties/test_codec.py": "one suite for one codec",
    "tests/unit/connectors/test_tables_sink.py": "one suite for one sink",
}
"""Modules over 400 lines, each with the reason why it is one."""

NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}
# in halves, or this module would find itself
UNFINISHED = re.compile(
    r"\b(TO" + r"DO|FIX" + r"ME)\b|pytest\.(mark\.)?(sk" + r"ip|xf" + r"ail|import" + r"orskip)|unittest\.mo" + r"ck"
)


def modules(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}:{node.lineno}: expected an import by its full name"
            yield node.lineno, node.module or ""


def found_in(paths: list[Path], pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in paths
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_go_one_way_when_packages_need_each_other(package):
    wrong = []
    for path in modules(package):
        allowed = {package, *MAY_IMPORT[package]} | ({"benchmarks"} if name_of(path) in MAKE_A_TELCO else set())
        wrong += [
            f"{name_of(path)}:{line} imports {name}"
            for line, name in imports(path)
            if name.split(".")[0] in OF_PROJECT - allowed
        ]
    assert wrong == []


def test_operators_know_no_connector_when_they_need_one():
    inside = ("flows.operators", "flows.batch", "schemas", "privacy")
    wrong = [
        f"{name_of(path)}:{line} imports {name}"
        for path in modules("flows/operators")
        for line, name in imports(path)
        if name.split(".")[0] in OF_PROJECT and not name.startswith(inside)
    ]
    assert wrong == []


def test_initial_module_only_exports_when_a_package_has_one():
    for path in modules(*MAY_IMPORT):
        if path.name != "__init__.py":
            continue
        body = ast.parse(path.read_text(encoding="utf-8")).body
        for number, node in enumerate(body):
            is_docstring = number == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            is_all = isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]
            is_export = isinstance(node, ast.Import | ast.ImportFrom)
            assert is_docstring or is_all or is_export, f"{name_of(path)}:{node.lineno}: {ast.unparse(node)}"


def test_folder_is_a_package_when_it_holds_modules():
    folders = {path.parent for path in modules(*MAY_IMPORT, "tests")}
    assert [name_of(folder) for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


def test_module_is_short_when_no_reason_is_given():
    lengths = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in modules(*MAY_IMPORT, "tests")}
    assert {name for name, lines in lengths.items() if lines > MOST_LINES} - set(LONG_MODULES) == set()
    assert set(LONG_MODULES) <= set(lengths), "an entry names a module that is gone"


def test_name_tells_the_subject_when_a_module_has_one():
    names = {part for path in modules(*MAY_IMPORT, "tests") for part in path.relative_to(ROOT).with_suffix("").parts}
    assert names & NAMES_THAT_SAY_NOTHING == set()


def test_work_is_finished_when_it_is_there():
    assert found_in(modules(*MAY_IMPORT, "tests"), UNFINISHED) == []
