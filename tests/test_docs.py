"""The Python blocks of the documentation run, in order, in an empty folder.

A block right below ``<!-- no-test -->`` is shown only. The code inside a comment
``<!-- test-setup … -->`` runs but is not shown: it makes what the blocks talk about. Commands must
parse, and YAML must be a recipe or a part of one.
"""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
TEXTS = {page: page.read_text(encoding="utf-8") for page in PAGES}

_RUNS = re.compile(
    r"^<!-- test-setup\n(?P<setup>.*?)^-->$"
    r"|^(?P<skip><!-- no-test -->\n+)?^```python\n(?P<shown>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_YAML = re.compile(
    r"^(?P<skip><!-- no-test -->\n+)?^```yaml\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_SHELL = re.compile(r"^```(?:bash|console|sh|shell)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def script_of(text: str) -> str:
    """Keep the code that runs, each line at its own line, so that a traceback points home."""
    lines = [""] * (text.count("\n") + 1)
    for match in _RUNS.finditer(text):
        if match["skip"]:
            continue
        group = "setup" if match["setup"] is not None else "shown"
        first = text.count("\n", 0, match.start(group))
        for offset, line in enumerate(match[group].splitlines()):
            lines[first + offset] = line
    return "\n".join(lines)


def commands_of(text: str) -> list[list[str]]:
    """Find the ``medseg …`` commands that a page shows."""
    found = []
    for block in _SHELL.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words[:1] == ["medseg"]:
                found.append(words[1:])
    return found


def recipes_of(text: str) -> list[str]:
    """Find the YAML that a page shows."""
    return [match["text"] for match in _YAML.finditer(text) if not match["skip"]]


def pages_with(find):
    """Parametrise a test with the pages in which ``find`` finds something."""
    pages = [page for page, text in TEXTS.items() if find(text)]
    return pytest.mark.parametrize("page", pages, ids=lambda page: page.name)


@pages_with(lambda text: script_of(text).strip())
def test_python_blocks_run(page, tmp_path, monkeypatch):
    file = tmp_path / f"{page.stem}.py"
    file.write_text(script_of(TEXTS[page]), encoding="utf-8")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("WANDB_MODE", "offline")
    runpy.run_path(str(file), run_name=f"docs_{page.stem}")


@pages_with(commands_of)
def test_shown_commands_parse(page):
    from medseg.cli.parser import parse

    for command in commands_of(TEXTS[page]):
        try:
            parse(command)
        except SystemExit as ended:
            assert ended.code in (0, None), f"medseg {shlex.join(command)}"


@pages_with(recipes_of)
def test_shown_yaml_is_a_recipe(page):
    from medseg.recipe import load_text

    for text in recipes_of(TEXTS[page]):
        load_text(text, source=page, environment={"DATA": "/data"})


def test_generated_pages_are_fresh():
    generator = runpy.run_path(str(ROOT / "docs" / "generate_reference.py"))
    hint = "run: python docs/generate_reference.py"
    assert TEXTS[ROOT / "docs" / "recipe_reference.md"] == generator["to_text"](), hint
    for table in ("presets", "shipped_recipes"):
        assert generator[table]() in TEXTS[ROOT / "docs" / "datasets.md"], hint


def test_command_line_page_names_every_verb_and_option():
    from medseg.cli.parser import build_parser

    page = TEXTS[ROOT / "docs" / "command_line.md"]
    verbs = next(a for a in build_parser()._actions if a.dest == "verb").choices
    for verb, parser in verbs.items():
        assert f"`{verb}`" in page, verb
        for action in parser._actions:
            for option in action.option_strings:
                assert re.search(rf"(?<![\w-]){option}(?![\w-])", page), f"{verb} {option}"


def test_troubleshooting_quotes_messages_that_exist():
    source = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "medseg").rglob("*.py"))
    page = TEXTS[ROOT / "docs" / "troubleshooting.md"]
    quoted = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert quoted
    for message in quoted:
        for part in re.split("…|; did you mean", message):
            assert part.strip(" .?") in source, f"{message!r}: {part!r}"


def test_extraction_keeps_line_numbers_and_heeds_the_markers():
    text = (
        "# T\n\n<!-- test-setup\na = 1\n-->\n\n```python\nb = a + 1\n```\n\n"
        "<!-- no-test -->\n```python\nraise SystemExit\n```\n\n"
        "```bash\n$ medseg run r.yaml \\\n  a=1\n```\n"
    )
    script = script_of(text).split("\n")
    assert script[3] == "a = 1"
    assert script[7] == "b = a + 1"
    assert "raise SystemExit" not in script
    assert commands_of(text) == [["run", "r.yaml", "a=1"]]
