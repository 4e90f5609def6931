"""The tutorial is right: its commands are run, and print what the page shows."""

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


@pytest.mark.skipif(sys.platform == "win32", reason="the page's commands are those of a Unix shell")
def test_every_command_prints_what_the_page_shows(session):
    project, environment = session
    blocks = re.findall(r"^```console\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    shown = "".join(blocks)
    commands = re.findall(r"^\$ (.*)$", shown, re.MULTILINE)
    assert len(commands) >= 7
    printed = []
    for command in commands:
        done = subprocess.run(
            command,
            shell=True,  # noqa: S602 - these are the lines that the page tells people to type.
            cwd=project,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        printed.append(f"$ {command}\n{done.stdout}".replace(f"{project.resolve()}/", ""))
    assert "".join(printed) == shown
    assert "Map of the suite" in (project / "report.html").read_text("utf-8")
