"""README.md and the tutorial are correct: their commands run, and print what the pages show."""

import os
import re
import shutil
import subprocess
import sys
import venv
from importlib.metadata import version
from pathlib import Path

import pytest

from checkout import ROOT, SOURCE
from git_repository import commit_all, git

README, TUTORIAL = ROOT / "README.md", ROOT / "docs" / "tutorial.md"
IN_CI = os.environ.get("CI") == "true"
# What a build of the package reads, and a part of its tests, so that README's report takes seconds.
FILES = ("pyproject.toml", "README.md", "LICENSE")
FOLDERS = ("src", "tests/storage", "tests/docs")

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="the commands are those of a Unix shell"
)


@pytest.fixture(scope="module")
def installed_project(tmp_path_factory):
    """A copy of NetworkX in a repository of git, and the tests' own environment without a model."""
    networkx = pytest.importorskip("networkx")
    pytest.importorskip("jinja2")
    if f"networkx=={version('networkx')}" not in TUTORIAL.read_text("utf-8"):
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
        **_variables(programs, base),
        "PYTHONPATH": str(SOURCE.parent),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    return project, environment


def _variables(programs, base):
    """Return an environment whose programs and data lie in the given folders."""
    return {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "FLASHWASM_DATA": str(base / "data"),
        "FLASHWASM_CACHE": str(base / "cache"),
        "FLASHWASM_PROGRESS": "off",
        "PYTEST_ADDOPTS": "",
    }


def _fresh_environment(base):
    """Make a virtual environment that has nothing but pip; return the variables of its user."""
    venv.create(base / "venv", with_pip=True)
    variables = _variables(base / "venv" / "bin", base)
    for inherited in ("PYTHONPATH", "PYTEST_PLUGINS", "PYTEST_DISABLE_PLUGIN_AUTOLOAD"):
        variables.pop(inherited, None)
    # pip need not compile modules that nothing imports; Python compiles the others once. pip reads
    # its variable as the value of "compile", so a 0 turns the compilation off.
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    variables |= {"PIP_NO_COMPILE": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    if IN_CI:
        # There a new release of some package must not end a run.
        pins = str(ROOT / ".ci" / "constraints.txt")
        variables |= {"PIP_CONSTRAINT": pins, "PIP_BUILD_CONSTRAINT": pins}
    for name in ("AUTHOR", "COMMITTER"):
        variables |= {f"GIT_{name}_NAME": "x", f"GIT_{name}_EMAIL": "x@example.org"}
    patience = "--retries 5" if IN_CI else "--retries 0 --timeout 10"
    asked = _run(f"pip index versions iniconfig {patience}", base, variables)
    if asked.returncode:
        (pytest.fail if IN_CI else pytest.skip)(f"no index of packages answers: {asked.stderr}")
    return variables


def _run(commands, folder, variables, stderr=subprocess.PIPE):
    """Run lines of a shell in a folder, up to the first that fails."""
    return subprocess.run(
        ["/bin/sh", "-e", "-c", commands],
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        timeout=900,
        check=False,
    )


def _set_up(page, folder, variables):
    """Run the first block of commands on a page, whose output the page does not show."""
    block = re.search(r"^```sh\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    done = _run(block[1], folder, variables)
    assert done.returncode == 0, f"{block[1]}\n{done.stdout}{done.stderr}"


def console_of(page):
    """Return what the blocks of a terminal on a page show, one after another."""
    block = r"^```console\n(.*?)^```$"
    return "".join(re.findall(block, page.read_text("utf-8"), re.MULTILINE | re.DOTALL))


def replayed(session, shown, stderr):
    """Run the commands that a page shows, and return what a terminal would show."""
    project, variables = session
    printed = []
    for command in re.findall(r"^\$ (.*)$", shown, re.MULTILINE):
        done = _run(command, project, variables, stderr)
        printed.append(f"$ {command}\n{done.stdout}".replace(f"{project.resolve()}/", ""))
    return "".join(printed)


def assert_the_tutorial_is_right(session):
    shown = console_of(TUTORIAL)
    assert shown.count("$ ") >= 7
    assert replayed(session, shown, subprocess.STDOUT) == shown
    assert "Map of the suite" in (session[0] / "report.html").read_text("utf-8")


def assert_the_readme_is_right(session):
    """Remarks on stderr, such as that no model is installed, are left out there."""
    shown = console_of(README)
    assert shown.count("$ ") == 2
    assert replayed(session, shown, subprocess.DEVNULL) == shown


# Continuous integration runs the same commands once, in the fresh environment below.
@pytest.mark.skipif(IN_CI, reason="the walk of a new user runs these commands")
def test_every_command_of_the_tutorial_prints_what_the_page_shows(installed_project):
    assert_the_tutorial_is_right(installed_project)


@pytest.mark.skipif(IN_CI, reason="the walk of a new user runs these commands")
def test_the_commands_of_the_readme_print_what_it_shows(installed_project):
    assert_the_readme_is_right(installed_project)


@pytest.mark.slow
def test_a_new_user_gets_what_readme_and_tutorial_show(tmp_path):
    """README installs the package from a checkout, and the tutorial fetches a project."""
    variables = _fresh_environment(tmp_path)
    checkout, elsewhere = tmp_path / "checkout", tmp_path / "elsewhere"
    for name in FOLDERS:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, checkout / name, ignore=ignored)
    for name in FILES:
        shutil.copy(ROOT / name, checkout)

    _set_up(README, checkout, variables)
    assert "Map of the suite" in (checkout / "flashwasm-report.html").read_text("utf-8")

    elsewhere.mkdir()
    _set_up(TUTORIAL, elsewhere, variables)
    project = elsewhere / "project"
    assert_the_readme_is_right((project, variables))
    assert_the_tutorial_is_right((project, variables))
