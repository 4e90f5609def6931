"""The packed npm package, a site that serves it, and browsers."""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from bench.node_process import packaged_node
from checkout import ROOT, SOURCE
from web_site import served

IN_CI = os.environ.get("CI") == "true"
TOOLS = ROOT / "web" / "node_modules" / ".bin"


def needed(program, how):
    """Return the path of a program. Without it skip the test or, in CI, fail."""
    if program is None:
        (pytest.fail if IN_CI else pytest.skip)(how)
    return str(program)


@pytest.fixture(scope="session")
def npm():
    return needed(shutil.which("npm"), "there is no npm on the path")


@pytest.fixture(scope="session")
def node():
    """Return the path of Node. An older one than the packaged lacks relaxed SIMD."""
    found = packaged_node() or shutil.which("node")
    return needed(found, "`make bench-peers` installs the Node that is tried")


@pytest.fixture(scope="session")
def tsc():
    found = TOOLS / "tsc"
    return needed(found if found.exists() else None, "`make web-tools` installs TypeScript")


@pytest.fixture(scope="session")
def axe():
    """Return the source of axe-core, which checks whether everybody can read a page."""
    script = TOOLS.parent / "axe-core" / "axe.min.js"
    how = "`make web-tools` installs axe-core"
    return Path(needed(script if script.exists() else None, how)).read_text("utf-8")


@pytest.fixture(scope="session")
def package(npm, tmp_path_factory):
    """Pack the package as npm would publish it; return where it lies under a node_modules."""
    folder = tmp_path_factory.mktemp("site")
    # A copy is packed: another process of the tests may pack too, and npm first copies the modules.
    copy = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "web", copy / "web", ignore=shutil.ignore_patterns("node_modules"))
    shutil.copytree(SOURCE / "_wasm", copy / "src" / "flashwasm" / "_wasm")
    shutil.copy(ROOT / "LICENSE", copy)
    command = [npm, "pack", "--silent", "--pack-destination", folder]
    packed = subprocess.run(
        command, cwd=copy / "web", check=True, capture_output=True, text=True
    ).stdout.split()[-1]
    modules = folder / "node_modules"
    with tarfile.open(folder / packed) as archive:
        safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        archive.extractall(modules, **safely)  # noqa: S202 - it was packed above.
    (modules / "package").rename(modules / "flashwasm")
    return modules / "flashwasm"


@pytest.fixture(scope="session")
def site(package):
    """Serve the folder with node_modules; return a function from path and kind to the address."""
    with served(package.parents[1]) as port:

        def address(path, *, isolated=False, host="127.0.0.1"):
            return f"http://{host}:{port}/{'isolated' if isolated else 'plain'}/{path}"

        yield address


@pytest.fixture(scope="session")
def chromium():
    """Return the path of Chromium: FLASHWASM_CHROMIUM, the system's, or the one that CI unpacks."""
    found = os.environ.get("FLASHWASM_CHROMIUM") or shutil.which("chromium")
    if found is None and IN_CI:
        script = Path(ROOT, ".ci", "setup-chromium")
        found = subprocess.run(
            [script], stdout=subprocess.PIPE, text=True, check=True
        ).stdout.strip()
    return needed(found, "there is no chromium on the path (see .ci/setup-chromium)")


# Playwright keeps an event loop running in this thread. It ends before the tests of another file.
@pytest.fixture(scope="module")
def playwright():
    driver = pytest.importorskip("playwright.sync_api")
    with driver.sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def launch(playwright, chromium):
    """Return a function that starts Chromium with further flags, once for the same flags."""
    started = {}

    def with_flags(*flags):
        if flags not in started:
            # A name that is not localhost: its pages are no secure context.
            mapped = "--host-resolver-rules=MAP insecure.test 127.0.0.1"
            started[flags] = playwright.chromium.launch(
                executable_path=chromium, args=[mapped, *flags]
            )
        return started[flags]

    yield with_flags
    for browser in started.values():
        browser.close()


@pytest.fixture
def open_page(launch):
    """Return a function that opens an address in a new page, whose errors fail the test."""
    pages, problems = [], []

    def opened(address, *flags, script="", warnings=None):
        """Open an address. Warnings are errors too, unless a list is given that gets them."""
        page = launch(*flags).new_page()
        pages.append(page)
        page.on("pageerror", lambda error: problems.append(str(error)))

        def heard(message):
            if message.type == "warning" and warnings is not None:
                warnings.append(message.text)
            elif message.type in {"error", "warning"}:
                problems.append(message.text)

        page.on("console", heard)
        if script:
            page.add_init_script(script)
        page.goto(address)
        return page

    yield opened
    for page in pages:
        page.close()
    assert not problems
