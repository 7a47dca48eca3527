"""The rules of the house that a program can check."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from packaging.requirements import Requirement

from geoml_ops.cli import app
from geoml_ops.core.flow import NOUNS
from geoml_ops.core.noun import Noun

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

#: Entry points may import late: a command should not pay for another command's tools.
ENTRY_POINTS = ("dags/", "serving/", "monitoring/", "geoml_ops/cli.py", "geoml_ops/verbs/", "geoml_ops/demo/")

#: What a DAG file must not pull in when it is parsed, every few seconds, by the DAG processor.
HEAVY = {
    "numpy", "pandas", "scipy", "sklearn", "rasterio", "pyogrio", "shapely", "dvc", "dulwich", "mlflow", "evidently",
    "great_expectations", "onnx", "onnxruntime", "xgboost", "matplotlib", "bentoml", "pystac", "pyarrow",
}  # fmt: skip

#: Mathematics and plain formats, which are not tools: they reach no disk, network or registry by themselves.
MATHEMATICS = {"numpy", "scipy", "sklearn", "shapely", "pandas", "pydantic", "numba", "skimage", "libpysal"}
#: Small parts that several rooms share.
SHARED = {"httpx", "structlog", "psutil", "typer", "pydantic_settings"}

FORBIDDEN_WORDS = {"manager", "handler", "helper", "helpers", "util", "utils", "processor"}


def tracked() -> list[Path]:
    """Returns the files of the checkout that git knows or would know."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return sorted(ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file())


FILES = tracked()
SOURCES = [p for p in FILES if p.suffix == ".py" and p.relative_to(ROOT).parts[0] in ("geoml_ops", "dags", "serving")]
PYTHON = [p for p in FILES if p.suffix == ".py"]


def names_of(paths: list[Path]) -> list[str]:
    return [p.relative_to(ROOT).as_posix() for p in paths]


def tree_of(path: Path) -> ast.Module:
    with tokenize.open(path) as stream:
        return ast.parse(stream.read(), str(path))


def imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and not node.level:
        yield node.module or ""


# --- size ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SOURCES, ids=names_of(SOURCES))
def test_a_module_fits_in_a_head(path: Path) -> None:
    limit = 80 if path.parent == ROOT / "dags" else 300
    if path == ROOT / "geoml_ops" / "core" / "flow.py":
        limit = 880  # every noun in one file is the point of that file
    n_lines = len(path.read_text().splitlines())
    assert n_lines <= limit, "cut it along the words of the field"


def test_half_of_the_modules_are_short() -> None:
    lengths = sorted(len(p.read_text().splitlines()) for p in SOURCES)
    assert lengths[len(lengths) // 2] <= 140


# --- names -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PYTHON, ids=names_of(PYTHON))
def test_names_say_what_things_are(path: Path) -> None:
    defined = [path.stem]
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            defined.append(node.name)
    words = {
        word.lower() for name in defined for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name.replace("_", " "))
    }
    assert not words & FORBIDDEN_WORDS


@pytest.mark.parametrize("path", SOURCES, ids=names_of(SOURCES))
def test_everything_public_is_explained(path: Path) -> None:
    tree = tree_of(path)
    assert ast.get_docstring(tree), "a module begins by saying what it is for"
    silent = [
        node.name
        for owner in (tree, *(n for n in tree.body if isinstance(n, ast.ClassDef) and not n.name.startswith("_")))
        for node in owner.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert not silent


# --- imports ---------------------------------------------------------------------------------


def test_imports_go_the_right_way() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--no-logo"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_no_contract_has_exceptions() -> None:
    for contract in PROJECT["tool"]["importlinter"]["contracts"]:
        assert "ignore_imports" not in contract, contract["name"]


def test_every_tool_has_an_adapter_that_alone_may_import_it() -> None:
    owned = {
        tool
        for contract in PROJECT["tool"]["importlinter"]["contracts"]
        if contract["type"] == "protected"
        for tool in contract["protected_modules"]
    }
    known = set(sys.stdlib_module_names) | MATHEMATICS | SHARED | {"geoml_ops"} | owned
    strangers = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in SOURCES
        if path.relative_to(ROOT).parts[0] == "geoml_ops"
        for node in ast.walk(tree_of(path))
        for name in imported(node)
        if name.split(".")[0] not in known
    }
    assert not strangers, "write a contract for the tool in pyproject.toml, or do without it"


@pytest.mark.parametrize("path", SOURCES, ids=names_of(SOURCES))
def test_only_entry_points_import_late(path: Path) -> None:
    if path.relative_to(ROOT).as_posix().startswith(ENTRY_POINTS):
        return
    late = [
        f"line {node.lineno}"
        for function in ast.walk(tree_of(path))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert not late


def test_parsing_the_dags_imports_no_tool(tmp_path: Path) -> None:
    script = f"""
import importlib, sys
sys.path.insert(0, {str(ROOT)!r})
import airflow.sdk
from airflow.sdk import {", ".join(sorted(_airflow_names()))}
before = set(sys.modules)
for name in {[p.stem for p in (ROOT / "dags").glob("[a-z]*.py")]!r}:
    importlib.import_module("dags." + name)
print(*sorted(set(sys.modules) - before))
"""
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "AIRFLOW_HOME": str(tmp_path)}
    env["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    pulled = set(done.stdout.strip().splitlines()[-1].split())
    assert "dags.train" in pulled
    assert not {name.split(".")[0] for name in pulled} & HEAVY
    # The retry policy names our errors, and Airflow looks them up; the rest of the library is imported by tasks.
    ours = {name for name in pulled if name.startswith("geoml_ops")}
    assert ours <= {"geoml_ops", "geoml_ops.core", "geoml_ops.core.errors"}


def _airflow_names() -> set[str]:
    return {
        alias.name
        for path in (ROOT / "dags").glob("*.py")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ImportFrom) and node.module == "airflow.sdk"
        for alias in node.names
    }


# --- words for people ------------------------------------------------------------------------


def commands(group: typer.Typer = app, before: str = "geoml") -> Iterator[str]:
    for command in group.registered_commands:
        if not command.hidden:
            assert command.callback is not None
            yield f"{before} {command.name or command.callback.__name__.replace('_', '-')}"
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        yield from commands(inner.typer_instance, f"{before} {inner.name}")


@pytest.mark.parametrize("command", list(commands()))
def test_every_command_is_explained_in_the_readme(command: str) -> None:
    rows = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith(f"| `{command}")]
    assert any(line.startswith((f"| `{command}`", f"| `{command} ")) for line in rows)


def test_the_readme_explains_no_command_that_is_gone() -> None:
    known = list(commands())
    for line in (ROOT / "README.md").read_text().splitlines():
        if line.startswith("| `geoml "):
            words = line.split("`")[1]
            assert any(words == name or words.startswith(name + " ") for name in known), words


def test_every_target_of_the_makefile_is_explained() -> None:
    targets = re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    text = (ROOT / "README.md").read_text() + (ROOT / "docs" / "operate.md").read_text()
    text += (ROOT / "CONTRIBUTING.md").read_text()
    assert not [name for name in targets if f"make {name}" not in text]


@pytest.mark.parametrize("noun", NOUNS.values(), ids=NOUNS)
def test_every_noun_is_in_the_vocabulary(noun: type[Noun]) -> None:
    assert f"**{noun.__name__}**" in (ROOT / "docs" / "vocabulary.md").read_text()


def test_every_verb_has_its_page_and_every_link_a_goal() -> None:
    pages = {p.stem for p in (ROOT / "docs").glob("*.md")}
    assert pages >= {"ingest", "train", "publish", "watch", "serve", "vocabulary", "decisions", "operate"}
    for page in (p for p in FILES if p.suffix == ".md"):
        for goal in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / goal).exists(), f"{page.name} -> {goal}"


def test_every_setting_is_explained() -> None:
    from geoml_ops.settings import Settings

    text = (ROOT / "docs" / "operate.md").read_text()
    assert not [name for name in Settings.model_fields if f"GEOML_{name.upper()}" not in text]


# --- what must not be in the checkout --------------------------------------------------------

TEXTS = [p for p in FILES if p.suffix in {".py", ".md", ".toml", ".yaml", ".yml", ".lock", ".txt", ".html", ".js",
                                         ".css", ".json", ".svg", ".env", ".dvc", ".sh", ""}]  # fmt: skip

# Spelt in parts, or this file would be the first to break the rule.
HOSTS = re.compile(r"(files\.python" r"hosted|py" r"pi\.org|registry\.npm" r"js|index-" r"url)")
PLACES = re.compile(r"(?<![\w./-])/(?:home|Users|root|work|private)/[\w.-]+")


@pytest.mark.parametrize("path", TEXTS, ids=names_of(TEXTS))
def test_no_registry_and_no_machine_is_named(path: Path) -> None:
    try:
        text = path.read_text()
    except UnicodeDecodeError:
        return
    assert not HOSTS.search(text)
    assert not PLACES.search(text)


def test_pages_load_nothing_from_elsewhere() -> None:
    pages = [p for p in FILES if p.is_relative_to(ROOT / "serving" / "page") and p.suffix in {".html", ".css", ".js"}]
    makers = [p for p in SOURCES if "<html" in p.read_text() or "<script" in p.read_text()]
    assert pages
    assert makers
    loads = re.compile(
        r"""(?:src|srcset|data|poster|href)\s*=\s*["']\s*(?:https?:)?//(?!127\.0\.0\.1)|url\(\s*["']?(?:https?:)?//"""
        r"""|@import\s+["'](?:https?:)?//|(?:fetch|import|WebSocket|EventSource)\(\s*["'`](?:https?|wss?)://""",
        re.IGNORECASE,
    )
    anchors = re.compile(r"<a\s[^>]*>", re.IGNORECASE)
    for page in [*pages, *makers]:
        assert not loads.search(anchors.sub("", page.read_text())), page


def test_what_is_made_at_run_time_is_ignored() -> None:
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert "/workspace/" in ignored
    assert "/data/" in ignored
    assert not [p for p in FILES if p.relative_to(ROOT).parts[0] in ("workspace", "data")]


def test_no_large_file_is_tracked() -> None:
    assert not [p for p in FILES if p.stat().st_size > 2_000_000]


# --- the environment -------------------------------------------------------------------------


def locked() -> list[Requirement]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return [Requirement(line.removesuffix("\\").strip()) for line in lines if re.match(r"[a-zA-Z0-9]", line)]


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_exactly_one_runtime_is_locked_for_each_platform(platform: str, python: str) -> None:
    here = {"sys_platform": platform, "python_version": python, "python_full_version": f"{python}.1"}
    names = [r.name for r in locked() if not r.marker or r.marker.evaluate(here)]
    assert [name for name in names if name.startswith("onnxruntime")] == [
        "onnxruntime-gpu" if platform == "linux" else "onnxruntime"
    ]
    assert {"pip", "setuptools"} <= set(names), "an editable install without build isolation needs both"
    assert len(names) == len(set(names))


def test_only_one_runtime_is_installed() -> None:
    installed = {
        distribution.metadata["Name"]
        for distribution in importlib.metadata.distributions()
        if (distribution.metadata["Name"] or "").startswith("onnxruntime")
    }
    assert len(installed) == 1


def test_the_lock_is_exact_hashed_and_covers_the_project() -> None:
    requirements = {r.name.lower().replace("_", "-"): r for r in locked()}
    for requirement in requirements.values():
        assert re.fullmatch(r"==[^,*]+", str(requirement.specifier)), requirement
    text = (ROOT / "requirements.lock").read_text()
    assert text.count("--hash=sha256:") >= len(requirements)
    wanted = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["test"]]
    for line in wanted:
        want = Requirement(line)
        found = requirements[want.name.lower().replace("_", "-")]
        assert want.specifier.contains(str(found.specifier).removeprefix("==")), f"make lock: {line}"


def test_the_wheel_holds_the_library_only() -> None:
    assert PROJECT["tool"]["setuptools"]["packages"]["find"]["include"] == ["geoml_ops*"]
