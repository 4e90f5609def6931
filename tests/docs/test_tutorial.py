"""The tutorial is correct: its commands run, and print the output that the page shows."""

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from checkout import ROOT, SOURCE
from git_repository import commit_all, git

PAGE = ROOT / "docs" / "tutorial.md"
networkx = pytest.importorskip("networkx")
pytest.importorskip("jinja2")


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """A copy of NetworkX in a repository of git, and an environment without any model."""
    if f"networkx=={version('networkx')}" not in PAGE.read_text("utf-8"):
        pytest.skip("the page shows the answers of another version of NetworkX")
    base = tmp_path_factory.mktemp("tutorial")
    project = base / "project"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(networkx.__file__).parent, project / "networkx", ignore=ignored)
    git(project, "init", "-q")
    commit_all(project)
    programs = base / "programs"
    programs.mkdir()
    # The commands are those of the checkout, whether they are installed or not.
    for name, module in (("flashwasm", "flashwasm"), ("pytest", "pytest")):
        plugin = "-p flashwasm.pytest_plugin -p no:cacheprovider" if name == "pytest" else ""
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m {module} {plugin} "$@"\n')
        program.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(SOURCE.parent),
        "FLASHWASM_DATA": str(base / "data"),
        "FLASHWASM_CACHE": str(base / "cache"),
        "FLASHWASM_PROGRESS": "off",
        "PYTEST_ADDOPTS": "",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    return project, environment


def console_of(page):
    """Return what the blocks of a terminal on a page show, one after another."""
    block = r"^```console\n(.*?)^```$"
    return "".join(re.findall(block, page.read_text("utf-8"), re.MULTILINE | re.DOTALL))


def replayed(session, shown, stderr):
    """Run the commands that a page shows, and return what a terminal would show."""
    project, environment = session
    printed = []
    for command in re.findall(r"^\$ (.*)$", shown, re.MULTILINE):
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=project,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            timeout=300,
            check=False,
        )
        printed.append(f"$ {command}\n{done.stdout}".replace(f"{project.resolve()}/", ""))
    return "".join(printed)


@pytest.mark.skipif(sys.platform == "win32", reason="the commands are those of a Unix shell")
def test_every_command_of_the_tutorial_prints_what_the_page_shows(session):
    shown = console_of(PAGE)
    assert shown.count("$ ") >= 7
    assert replayed(session, shown, subprocess.STDOUT) == shown
    assert "Map of the suite" in (session[0] / "report.html").read_text("utf-8")


@pytest.mark.skipif(sys.platform == "win32", reason="the commands are those of a Unix shell")
def test_the_commands_of_the_readme_print_what_it_shows(session):
    """Remarks on stderr, such as that no model is installed, are left out there."""
    shown = console_of(ROOT / "README.md")
    assert shown.count("$ ") == 2
    assert replayed(session, shown, subprocess.DEVNULL) == shown
