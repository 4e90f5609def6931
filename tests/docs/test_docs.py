"""The documentation is correct: its examples run, and its files and commands exist."""

import doctest
import inspect
import re
import shlex

import pytest

import bench.commands
import flashwasm as fw
import flashwasm.cli
from checkout import ROOT
from command_lines import parse

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("[bw]*/*.md"), *(ROOT / "docs").rglob("*.md")])
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
PUBLIC = {name: getattr(fw, name) for name in fw.__all__}
FUNCTIONS = sorted(name for name, thing in PUBLIC.items() if inspect.isfunction(thing))


def page_id(path):
    return str(path.relative_to(ROOT))


def fenced(text, *languages):
    """Yield (line, content) of each fenced block in one of the languages."""
    for block in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if block[1] in languages:
            yield text[: block.start(2)].count("\n"), block[2]


def run_examples(examples):
    failures = []
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    for example in examples:
        runner.run(example, out=failures.append, clear_globs=False)
    assert not failures, "".join(failures)


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_examples_of_a_page(page, tmp_path, monkeypatch):
    """A page is read from top to bottom: each block sees the names of those before it."""
    monkeypatch.chdir(tmp_path)
    text, names = page.read_text(), {}
    parser = doctest.DocTestParser()
    for line, block in fenced(text, "python"):
        assert ">>>" in block, f"{page.name}:{line + 1}: an example without a prompt is not run"
        example = parser.get_doctest(block, names, page.name, str(page), line)
        example.globs = names
        run_examples([example])


def documented():
    """Yield (name, object) for each public name and each public method of the public classes."""
    for name, thing in PUBLIC.items():
        if inspect.isfunction(thing) or inspect.isclass(thing):
            yield name, thing
        if inspect.isclass(thing) and not issubclass(thing, Exception):
            for attribute, value in inspect.getmembers(thing):
                if not attribute.startswith("_") and inspect.isfunction(value):
                    yield f"{name}.{attribute}", value


@pytest.mark.parametrize(("name", "thing"), [pytest.param(*d, id=d[0]) for d in documented()])
def test_docstrings_are_complete_and_their_examples_run(name, thing):
    """Public names have docstrings with the sections that they need, and examples that run."""
    text = inspect.getdoc(thing)
    assert text, f"{name} has no docstring"
    if name in FUNCTIONS:
        assert "Returns\n---" in text, f"{name} does not say what it returns"
        assert ">>>" in text, f"{name} has no example"
    if inspect.isfunction(thing) and (name in FUNCTIONS or "Parameters\n---" in text):
        _, _, section = text.partition("Parameters\n---")
        for parameter in inspect.signature(thing).parameters.keys() - {"self"}:
            described = re.search(rf"^(.*, )?{parameter}\b", section, re.MULTILINE)
            assert described, f"{name} does not describe {parameter}"
    run_examples(doctest.DocTestFinder(recurse=False).find(thing, name))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_guide_has_a_section_for_every_function(name):
    guide = "\n".join(page.read_text() for page in (ROOT / "docs" / "guide").iterdir())
    section = re.search(rf"^##+ `{name}`\n(.*?)(?=^##|\Z)", guide, re.MULTILINE | re.DOTALL)
    assert section, f"docs/guide has no heading with `{name}`"
    shown = re.search(rf"^(>>>|\.\.\.) .*fw\.{name}\(", section[1], re.MULTILINE)
    assert shown, f"docs/guide has no example that calls {name}"


def slugs(page):
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings
    }


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not re.match(r"https?:", target):
            path, _, anchor = target.partition("#")
            linked = (page.parent / path).resolve() if path else page
            assert linked.exists(), f"{target} in {page.name}"
            assert not anchor or anchor in slugs(linked), f"{target} in {page.name}"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_files_that_are_named_exist(page):
    """A path in backquotes is a path from the root of the repository."""
    tops = "src|wasm|tests|docs|bench|.ci"
    for path in re.findall(rf"`((?:{tops})/[\w./*-]*)`", page.read_text()):
        assert list(ROOT.glob(path.rstrip("/"))), f"{path} in {page.name}"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_commands_exist(page):
    """Lines of `flashwasm` and `python -m bench` parse; every `make ...` is a target."""
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for _, block in fenced(page.read_text(), "sh"):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["make"]:
                assert {w for w in words[1:] if "=" not in w} <= set(targets), line
            if words[:1] == ["flashwasm"]:
                parse(flashwasm.cli.main, words)
            if words[:3] == ["python", "-m", "bench"]:
                parse(bench.commands.main, words[2:])


def test_continuous_integration_runs_the_readmes_test_command():
    command = re.search(
        r"^## Tests\n\n```sh\n(.*)\n```$", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == command[1]


def test_changelog_names_the_version():
    assert f"## [{fw.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_decisions_are_numbered():
    names = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("*.md"))
    assert [name[:5] for name in names] == [f"{i + 1:04}-" for i in range(len(names))]
