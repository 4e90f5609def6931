"""HTML reports in Chromium: no error, no serious finding of axe-core, keys move the map."""

import json

import pytest
from click.testing import CliRunner

from flashwasm.cli import main

pytest.importorskip("jinja2")

SUITE = "".join(
    f"def test_{topic}_{i}():\n    value = {topic}({i})\n    assert value == {i}\n"
    for topic in ("edge", "node", "path")
    for i in range(14)
)
FAILURE = "lib.py:7: in add\n    x.y\nE   AttributeError: no 'y'"
BENCHMARK = {
    "machine": {"processor": "some processor"},
    "results": [
        {
            "operation": "LoRAAdapter",
            "size": "update, rank 2, 384, 4 negatives",
            "best": 1e-5,
            "with_copies": 2e-5,
            "numpy": 3e-5,
            "speedup_over_numpy": 3.0,
            "speedup_over_scalar": 9.0,
        }
    ],
    "lengths": [
        {"length": n, "causal": False, "flash": n / 1e6, "materialized": n / 1e5, "scalar": None}
        for n in (128, 256, 512)
    ],
}
# The labels of the charts of a benchmark: of the bars, and along the axes of the lines.
LABELS = """(() => {
    const { x, y } = Chart.getChart("benchmark-2").scales;
    const labels = [x, y].map((axis) => axis.ticks.map((tick) => tick.label));
    return [Chart.getChart("benchmark-1").data.labels, ...labels];
})()"""
# The ends of the map's horizontal axis.
ENDS = "(({ min, max }) => [min, max])(Chart.getChart('suite-map').scales.x)"


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Write a page of each kind that has a look of its own; return the folder."""
    folder = tmp_path_factory.mktemp("reports")
    (folder / "test_x.py").write_text(SUITE)
    (folder / "run.txt").write_text(FAILURE)
    (folder / "bench.json").write_text(json.dumps(BENCHMARK))
    suite = str(folder / "test_x.py")
    extras = ["--failures", str(folder / "run.txt"), "--bench", str(folder / "bench.json")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLASHWASM_CACHE", str(folder / "cache"))
        patch.setenv("FLASHWASM_DATA", str(folder / "data"))
        for name, *arguments in (
            ("report.html", "report", suite, *extras, "-o"),
            ("similar.html", "similar", suite, "--query", "test_x.py::test_edge_1", "--html"),
            ("duplicates.html", "duplicates", suite, "--html"),
        ):
            done = CliRunner().invoke(main, [*arguments, str(folder / name)])
            assert done.exit_code in {0, 1}, done.output
    return folder


@pytest.mark.parametrize("name", ["report", "similar", "duplicates"])
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_report_can_be_read_by_everybody(name, width, scheme, pages, axe, open_page):
    page = open_page((pages / f"{name}.html").as_uri())
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    page.evaluate(axe)
    found = page.evaluate("axe.run()")["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_keys_and_buttons_move_the_map(pages, open_page):
    page = open_page((pages / "report.html").as_uri())
    whole = page.evaluate(ENDS)
    page.focus("#suite-map")
    page.keyboard.press("+")
    zoomed = page.evaluate(ENDS)
    assert whole[0] < zoomed[0] < zoomed[1] < whole[1]
    page.keyboard.press("ArrowLeft")
    moved = page.evaluate(ENDS)
    assert moved[0] < zoomed[0]
    assert moved[1] < zoomed[1]
    page.click("text=Show all")
    assert page.evaluate(ENDS) == whole


def test_charts_have_whole_labels_at_round_numbers(pages, open_page):
    page = open_page((pages / "report.html").as_uri())
    wide, *ticks = page.evaluate(LABELS)
    assert wide == [["LoRAAdapter", "update, rank 2, 384, 4 negatives"]]
    assert ticks == [["128", "256", "512"], ["0.1", "0.2", "0.5", "1", "2", "5"]]
    page.set_viewport_size({"width": 390, "height": 900})
    page.reload()
    narrow, lengths, _ = page.evaluate(LABELS)
    assert narrow == [["LoRAAdapter", "update, rank 2, 384, 4", "negatives"]]
    assert lengths == ["128", "256", "512"]
