"""Everything that commands print as text fits the terminal, with no name or number cut."""

import numpy as np
import pytest
from click.testing import CliRunner

import tiny_bert
from flashwasm.adapt import LoRAAdapter, Whitening
from flashwasm.cli import bench_steps, main, output
from flashwasm.qe.adaptation.adaptation_store import AdaptationStore
from flashwasm.qe.adaptation.embedding_adaptation import Adaptation
from measured_findings import findings
from small_project import record_coverage, write_project

WIDTHS = (60, 80, 120)
LONG = "tests/a_folder_with_a_long_name/test_of_the_web_pages_and_their_forms.py"
NAME = "test_that_a_form_without_a_name_is_refused_and_the_page_says_why_it_was"
LONG_TESTS = f"""\
from shop.orders import order, total

class TestFormsOfTheShop:
    def {NAME}(self):
        assert total(order(5000, 1)) == 1000

    def {NAME}_twice(self):
        assert total(order(5000, 1)) == 1000

def {NAME}():
    assert total(order(1, 2)) == 3
"""
REPORT = f"""\
<testsuite><testcase classname="{LONG[:-3].replace("/", ".")}" name="{NAME}">
<failure message="ValueError: a long message of some words that says what was wrong with the cart">
Traceback (most recent call last):
  File "shop/cart_with_a_long_name.py", line 2, in total_of_all_the_items_in_the_cart
    raise ValueError("bad")
ValueError: a long message of some words that says what was wrong with the cart</failure>
</testcase></testsuite>
"""
DIFF = """\
--- a/shop/orders.py
+++ b/shop/orders.py
@@ -6,4 +6,4 @@ def order(*items):
 def total(items):
-    result = 0
+    result = 1
     for item in items:
         result += item
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    write_project(folder)
    (folder / LONG).parent.mkdir()
    (folder / LONG).write_text(LONG_TESTS)
    record_coverage(folder)
    (folder / "report.xml").write_text(REPORT)
    (folder / "change.diff").write_text(DIFF)
    tiny_bert.write(folder / "data" / "models" / "all-MiniLM-L6-v2")
    return folder


@pytest.fixture
def run(project, monkeypatch):
    monkeypatch.chdir(project)
    monkeypatch.setenv("FLASHWASM_CACHE", str(project / "cache"))
    monkeypatch.setenv("FLASHWASM_DATA", str(project / "data"))

    def run(command, width):
        monkeypatch.setattr(output, "terminal_width", lambda: width)
        return CliRunner().invoke(main, command.split())

    return run


def assert_fits(text, width):
    """Assert that each line fits, unless it is one name without blanks."""
    assert "\u2026" not in text
    for line in text.splitlines():
        assert len(line) <= width or " " not in line.strip(), (width, line)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("probe", "fused_multiply_add"),
        ("models list", "all-MiniLM-L6-v2"),
        (f"similar . -q {LONG}::{NAME}", f"{NAME}_twice"),
        (f"similar . -q {LONG}::{NAME} --explain", f"{NAME}_twice"),
        ("search . total", "shop/orders.py:6"),
        ("search . total --explain", "shop/orders.py:6"),
        ("coverage who shop/orders.py:1-12", f"TestFormsOfTheShop::{NAME}"),
        ("coverage who shop/orders.py:1-12 --explain", f"TestFormsOfTheShop::{NAME}"),
        (f"coverage nearest {LONG}::{NAME}", f"{NAME}_twice"),
        (f"coverage nearest {LONG}::{NAME} --explain", f"{NAME}_twice"),
        ("coverage redundant", "test_shift  (2 cases)"),
        ("coverage redundant --explain", "test_shift  (2 cases)"),
        ("coverage who shop/limits.py:1-20 --explain", "test_shift  (2 cases)"),
        ("tests-for . --diff change.diff --dry-run", f"TestFormsOfTheShop::{NAME}_twice"),
        ("tests-for . --diff change.diff --dry-run --explain", f"TestFormsOfTheShop::{NAME}"),
    ],
)
def test_commands_fit(run, command, named, width):
    result = run(command, width)
    assert result.exit_code == 0, result.output
    assert_fits(result.stdout, width)
    # The name is in one line, whole.
    assert any(named in line for line in result.stdout.splitlines())


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("command", ["status", "history"])
def test_adaptations_fit(run, project, width, command):
    store = AdaptationStore(project)
    if not store.history():
        vectors = np.random.default_rng(0).standard_normal((9, 4))
        adaptation = Adaptation(Whitening.fit(vectors), LoRAAdapter(4, 4, rank=1, seed=0))
        store.activate(store.add(adaptation, "a model", {"before": 0.123456, "after": 0.234567}))
    result = run(f"adapt {command} .", width)
    assert result.exit_code == 0, result.output
    assert_fits(result.stdout, width)
    assert "0.235" in result.stdout


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("suite", ["ops", "attention", "workloads", "all"])
def test_measurements_fit_and_show_their_spread(run, monkeypatch, suite, width):
    steps = [bench_steps.Step("everything", lambda: findings(suite))]
    monkeypatch.setattr(bench_steps, "own_steps", lambda *_: steps)
    text = run(f"bench {suite}", width).stdout
    assert_fits(text, width)
    words = {
        "ops": ["attention_backward", "12.3 ms", "(11.9-13.1)", "1.0e-06", "first and the third"],
        "attention": ["4096", "1.2 s", "(1.21-1.3)", "123.46 MB"],
        "workloads": ["coverage-analysis", "(0.04-0.06)", "flashwasm models install", "missed"],
    }
    for word in [w for name, found in words.items() if suite in {name, "all"} for w in found]:
        assert word in " ".join(text.split()), word


@pytest.mark.parametrize("width", WIDTHS)
def test_gaps_fit(run, width):
    result = run("coverage gap --explain", width)
    assert "shop/limits.py" in result.stdout
    # The test to extend stands alone on its line where it is too long.
    assert_fits(result.stdout, width)


@pytest.mark.parametrize("width", WIDTHS)
def test_failures_and_duplicates_fit(run, width):
    run("defects learn report.xml --library known.db --name cart", width)
    for command in (
        "defects cluster report.xml",
        "defects match report.xml --library known.db",
        "defects match report.xml --library known.db --explain",
        f"duplicates {LONG} --explain",
    ):
        text = run(command, width).stdout
        assert_fits(text.partition("  could be:")[0], width)
        assert NAME in text


@pytest.mark.parametrize("width", WIDTHS)
def test_index_info_fits(run, width):
    assert run("index build suite . -o suite.fw", width).exit_code == 0
    assert_fits(run("index info suite.fw", width).stdout, width)


@pytest.mark.parametrize("command", ["probe", f"similar . -q {LONG}::{NAME}"])
def test_without_a_terminal_lines_are_whole(run, command):
    wide = run(command, 10_000).stdout.splitlines()
    assert len(wide) == len(run(command, None).stdout.splitlines()) + 1
