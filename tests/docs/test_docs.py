"""The documentation is true: what it shows runs as pasted, what it generates is up to date, what
its menu names exists.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import pytest
import yaml
from program import SECONDS, feasible

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
FENCE = re.compile(
    r"^```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
PAGES = [
    "README.md",
    *sorted(
        page.relative_to(ROOT).as_posix()
        for page in DOCS.rglob("*.md")
        if page.parent.name != "generated"
        and re.search(r"^```(python|console)\b", page.read_text(encoding="utf-8"), re.MULTILINE)
    ),
]
"""All that shows code or commands."""


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with patch.object(sys, "path", [str(DOCS), *sys.path]):  # as where it is run as a program
        spec.loader.exec_module(module)
    return module


@dataclass
class Block:
    """language: of the fence.  title: a file to save the body as, where it has one."""

    language: str
    title: str | None
    body: str


def blocks(page: str) -> list[Block]:
    def included(match: re.Match[str]) -> str:
        file = ROOT / match.group(1)
        return file.read_text(encoding="utf-8") if file.exists() else match.group(0)

    text = (ROOT / page).read_text(encoding="utf-8")
    found = [Block(m["language"], m["title"], m["body"]) for m in FENCE.finditer(text)]
    for block in found:
        block.body = re.sub(r'^--8<-- "([^"]+)"$\n?', included, block.body, flags=re.MULTILINE)
    return found


def shell(command: str, folder: Path) -> None:
    """Run a command in the folder; `feasible` in a process that has its imports, but in one of its
    own where the folder holds a copy of the library.
    """
    copied = (folder / "src").exists()
    words = shlex.split(command)
    if words[0] == "feasible" and not (copied or re.search(r"[|<>;&]", command)):
        code, text = feasible(words[1:], folder)
    else:
        tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        environment = os.environ | {
            "PATH": tools,
            "PYTHONPATH": f"{folder}/src{os.pathsep}{folder}" if copied else str(folder),
        }
        done = subprocess.run(
            command,
            shell=True,
            cwd=folder,
            capture_output=True,
            text=True,
            env=environment,
            timeout=SECONDS,
            check=False,
        )
        code, text = done.returncode, done.stdout + done.stderr
    assert code == 0, f"$ {command}\n{text[-4000:]}"


def install(pyproject: str, folder: Path) -> None:
    """What `pip install --editable .` does for entry points, without pip."""
    project = tomllib.loads(pyproject)["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    (info / "entry_points.txt").write_text(
        "".join(
            f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items())
            for group, points in project["entry-points"].items()
        )
    )


def runnable(command: str) -> bool:
    """A claim that is announced and not yet written cannot be reproduced."""
    from feasible.core.registry import claims

    words = command.split()
    if words[:2] != ["feasible", "reproduce"]:
        return True
    target = claims().get(words[2], "")
    return bool(target) and importlib.util.find_spec(target.split(":")[0]) is not None


def copy_the_checkout(folder: Path) -> None:
    """What a page needs that adds files to the library."""
    for part in ("src", "tools", "tests/helpers"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)


@pytest.mark.parametrize("page", PAGES)
def test_every_block_runs_as_pasted(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = 0
    found = blocks(page)
    changes_the_library = any((b.title or "").startswith("src/") for b in found)
    if changes_the_library:
        copy_the_checkout(tmp_path)
    for block in found:
        if block.title is not None:
            (tmp_path / block.title).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / block.title).write_text(block.body, encoding="utf-8")
            if block.title == "pyproject.toml":
                install(block.body, tmp_path)
        elif block.language == "python":
            code = compile(block.body, f"{page}: {block.body.splitlines()[0]}", "exec")
            exec(code, {"__name__": "pasted"})
            ran += 1
        elif block.language == "console":
            commands = [line[2:] for line in block.body.splitlines() if line.startswith("$ ")]
            assert commands, f"a console block without a command in {page}: {block.body}"
            for command in commands if changes_the_library else filter(runnable, commands):
                shell(command, tmp_path)
                ran += 1
    assert ran


def test_the_table_of_papers_in_the_readme_is_up_to_date() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert generator().readme(text) == text, "run: python docs/generate.py --readme"


def test_the_readme_lists_46_papers() -> None:
    assert generator().papers_table().count("\n") - 2 == 46


def test_generated_pages_can_be_made_from_the_code() -> None:
    generate = generator()
    for name, make in generate.PAGES.items():
        assert make().strip(), name
    from feasible.cli import app

    commands = [
        c.name or c.callback.__name__ for c in app.registered_commands if c.callback is not None
    ]
    page = generate.cli_page()
    assert all(f"## feasible {name}\n" in page for name in commands)


def test_every_page_of_the_menu_exists_or_is_generated() -> None:
    generated = {f"generated/{name}" for name in generator().PAGES}

    def files(node: Any) -> list[str]:
        if isinstance(node, str):
            return [node]
        return [
            f for part in (node if isinstance(node, list) else node.values()) for f in files(part)
        ]

    menu = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    nav, hidden = files(menu["nav"]), menu["not_in_nav"].split()
    assert [f for f in nav if f not in generated and not (DOCS / f).exists()] == []
    pages = {f.relative_to(DOCS).as_posix() for f in DOCS.rglob("*.md")}
    assert [p for p in pages - set(nav) if not any(fnmatch(p, h) for h in hidden)] == []


def test_the_first_page_names_every_room_and_the_installing_page_every_extra() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    first, installing = (
        (DOCS / page).read_text(encoding="utf-8") for page in ("index.md", "install.md")
    )
    rooms = declared["entry-points"]["feasible.rooms"]
    assert [room for room in rooms if f"| [`{room}`]" not in first] == []
    extras = set(declared["optional-dependencies"]) - {"dev", "docs"}
    assert [extra for extra in sorted(extras) if f"`{extra}`" not in installing] == []


def test_every_snippet_of_a_page_exists_or_is_generated() -> None:
    generate = generator()
    made = set(generate.PAGES) | set(generate.RUNS)
    for page in DOCS.rglob("*.md"):
        for name in re.findall(
            r'^--8<-- "([^"]+)"$', page.read_text(encoding="utf-8"), flags=re.MULTILINE
        ):
            assert name in made or (ROOT / name).exists(), f"{page.name}: {name}"


def test_every_decision_states_context_choice_and_consequence() -> None:
    for number, (name, file) in enumerate(generator().decisions(), 1):
        assert name.startswith(f"{number:03d} ")
        assert file.name.startswith(f"{number:03d}-")
        text = file.read_text(encoding="utf-8")
        assert all(f"**{part}.**" in text for part in ("Context", "Choice", "Consequence")), (
            file.name
        )


def test_the_example_in_the_readme_is_the_example_file() -> None:
    shown = next(b.body for b in blocks("README.md") if b.title == "beam.py")
    example = (ROOT / "examples" / "beam.py").read_text(encoding="utf-8")
    assert shown.strip() == example.partition('"""\n\n')[2].strip()
