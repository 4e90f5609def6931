"""Take pictures of every kind of HTML report, made of NumPy's own tests: for eyes, not for a test.

    python tests/web/report_screenshots.py build/screenshots

A part of NumPy's tests is run, once with coverage and once with planted faults. Each page is opened
in Chromium at two widths, light and dark. The script fails if a page writes to the console, is
wider than the window, or breaks a rule of axe-core.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
# Parts of NumPy's tests that take about a minute together, in the copy of NumPy.
MEASURED = [
    *(f"numpy/lib/tests/test_{name}.py" for name in ("arraypad", "function_base", "shape_base")),
    "numpy/polynomial/tests",
]
# File, text, and what stands in its place while the tests run that have to fail.
FAULTS = [
    ("polynomial/polyutils.py", "off = (old[1]", "off = 1 + (old[1]"),
    (
        "lib/_arraypad_impl.py",
        "np.empty(new_shape, dtype=array.dtype,",
        "np.empty(new_shape, dtype=None.t,",
    ),
]
# The name of each page, and the command that writes it.
PAGES = {
    "similar": "similar numpy --query test_arraypad.py::TestEdge::test_check_simple --html",
    "similar-words": "similar numpy --query padding-an-empty-array --html",
    "duplicates": "duplicates numpy --html",
    "tests-for": "tests-for numpy --diff fault.diff --coverage .coverage --dry-run --html",
    "gap": "coverage gap --coverage .coverage --html",
    "clusters": "defects cluster run.xml --html",
    "bench": "bench all --json bench.json --html",
    "report": "report numpy --coverage .coverage --failures run.xml --bench bench.json -o",
}
WIDTHS = {1280: 800, 390: 844}
# Pixels of the second picture of a page, in which the first parts are open.
TALLEST = 4000
OPENED = "[...document.querySelectorAll('details')].slice(0, 3).forEach(part => part.open = true)"


def run(*command: object, folder: Path) -> str:
    """Run Python with arguments in the folder of the copy; return what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "FLASHWASM_PROGRESS": "off"}
    done = subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    # Failing tests and findings end with 1.
    if done.returncode not in {0, 1}:
        sys.exit(f"{command} ended with status {done.returncode}")
    return done.stdout


def git(folder: Path, *arguments: str) -> str:
    """Run git in the folder of the copy; return what it printed."""
    command = [shutil.which("git") or "git", "-c", "user.name=x", "-c", "user.email=x@example.org"]
    return subprocess.run(
        [*command, *arguments], cwd=folder, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def prepare(folder: Path) -> None:
    """Copy NumPy, measure the coverage of a part of its tests, and let some of them fail."""
    installed = Path(np.__file__).parent
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(installed, folder / "numpy", ignore=ignored)
    if (libraries := installed.with_name("numpy.libs")).exists():
        shutil.copytree(libraries, folder / "numpy.libs")
    (folder / ".gitignore").write_text("*.so\nnumpy.libs\n__pycache__\n")
    # Without a file of its own, pytest would use the settings of this checkout, and name the tests
    # from its folder on.
    (folder / "pytest.ini").write_text("[pytest]\n")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "start")
    pytest = ["pytest", "-q", "-p", "no:cacheprovider", *MEASURED]
    run(*pytest, "-p", "flashwasm.pytest_plugin", "--fw-record", ".coverage", folder=folder)
    for name, text, fault in FAULTS:
        path = folder / "numpy" / name
        source = path.read_text("utf-8")
        assert text in source, f"{text} is not in {path}"
        path.write_text(source.replace(text, fault, 1), "utf-8")
    (folder / "fault.diff").write_text(git(folder, "diff"), "utf-8")
    run(*pytest, "--junitxml", "run.xml", folder=folder)
    git(folder, "checkout", "-q", "numpy")


def pictures(browser: Browser, path: Path, into: Path) -> list[str]:
    """Take pictures of a page, first screen and whole; return what is wrong with it."""
    wrong = []
    for scheme in ("light", "dark"):
        for width, height in WIDTHS.items():
            page = browser.new_page(
                viewport={"width": width, "height": height}, color_scheme=scheme
            )
            name = f"{path.stem}-{width}-{scheme}"
            page.on(
                "console", lambda said, name=name, wrong=wrong: wrong.append(f"{name}: {said.text}")
            )
            page.on(
                "pageerror", lambda error, name=name, wrong=wrong: wrong.append(f"{name}: {error}")
            )
            page.goto(path.resolve().as_uri())
            page.wait_for_timeout(300)
            page.screenshot(path=into / f"{name}.png")
            page.evaluate(OPENED)
            whole = page.evaluate("document.documentElement.scrollHeight")
            page.set_viewport_size({"width": width, "height": min(whole, TALLEST)})
            page.screenshot(path=into / f"{name}-open.png")
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                wrong.append(f"{name}: wider than the window")
            page.evaluate(AXE.read_text("utf-8"))
            found = page.evaluate("axe.run()")["violations"]
            wrong += [f"{name}: {one['id']} ({one['impact']})" for one in found]
            page.close()
    return wrong


def main() -> None:
    """Make the pages that are missing, take the pictures, and print what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder.resolve()
    project = folder / "project"
    if not (project / "run.xml").exists():
        shutil.rmtree(project, ignore_errors=True)
        project.mkdir(parents=True)
        prepare(project)
    for name, command in PAGES.items():
        words = [word.replace("-an-", " an ") for word in command.split()]
        run("flashwasm", *words, folder / f"{name}.html", folder=project)
    chromium = os.environ.get("FLASHWASM_CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        wrong = [
            line for name in PAGES for line in pictures(browser, folder / f"{name}.html", folder)
        ]
        browser.close()
    sys.stdout.write(json.dumps(wrong, indent=1) + "\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
