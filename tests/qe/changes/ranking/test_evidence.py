"""Evidence that a test belongs to a change: each kind has an effect, and none is required."""

import difflib
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import tiny_bert
from flashwasm.qe import ChangedFile, SuiteIndex, read_diff
from flashwasm.qe.changes.ranking.changed_definitions import (
    changed_definitions,
    changed_functions,
    distinctive_words,
)
from flashwasm.qe.changes.ranking.co_change import CoChange
from flashwasm.qe.changes.ranking.evidence import WEIGHTS, evidence_of, weighted
from flashwasm.qe.changes.ranking.mentioned_names import MentionedNames

pytest.importorskip("sklearn")

CART = """\
LIMIT = 10

class Cart:
    size: int = 0

    def __init__(self):
        self.items = []

    @property
    def total(self):
        subtotal = sum(self.items)
        return subtotal

def empty(cart):
    cart.items.clear()
"""
CONFTEST = """\
import pytest
from cart import Cart

@pytest.fixture(name="full")
def full_cart(price):
    return Cart()

@pytest.fixture
def price():
    return Cart.total
"""
# Two files with the same tests, of which one imports what the other does not.
FILES = {
    "pytest.ini": "",
    "cart.py": CART,
    "shop.py": "import cart\n",
    "conftest.py": CONFTEST,
    "test_cart.py": "import cart\n\ndef test_one(): assert 1\n",
    "test_shop.py": "import shop\n\ndef test_two(): assert 1\n",
    "test_none.py": "def test_three(): assert 1\n",
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHWASM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    for name, content in FILES.items():
        (tmp_path / "project" / name).write_text(content)
    return tmp_path / "project"


def git(*words):
    who = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "core.hooksPath=")
    subprocess.run([shutil.which("git"), *who, *words], check=True, capture_output=True)


def commit(**contents):
    """Append to files, whose names are given without their ending, and commit them together."""
    for name, content in contents.items():
        with Path(f"{name}.py").open("a", encoding="utf-8") as file:
            file.write(content)
    git("add", ".")
    git("commit", "-m", "x")


def change(path="cart.py", **fields):
    return ChangedFile(**{"path": path, "old_path": path, **fields})


def strengths(*changes):
    """Return the strength of each kind of evidence for each test, by the test's name."""
    index = SuiteIndex.build(".", scorers=["characters"])
    found = evidence_of(index, changes or [change(text="x")])
    names = [test.nodeid.rpartition("::")[2] for test in index.tests]
    return {kind: dict(zip(names, values.tolist(), strict=True)) for kind, values in found.items()}


# Names.


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (1, {"LIMIT"}),
        (4, {"Cart", "size"}),
        # Python gives every class this name.
        (7, {"Cart"}),
        # A decorator belongs to its function. A local variable is no definition.
        (9, {"Cart", "total"}),
        (11, {"Cart", "total"}),
        (13, set()),
        (15, {"empty"}),
    ],
)
def test_a_changed_line_names_the_definitions_around_it(folder, line, expected):
    assert changed_definitions([change(new_lines={line})], folder) == expected


def test_the_diff_names_definitions_that_the_file_does_not_have(folder):
    text = "class Cart:\n    async def drop(self):\n        local = 1\nPRICE: int = 2\nif a == b:"
    for path in ("cart.py", "gone.py"):
        assert changed_definitions([change(path, text=text)], folder) == {"Cart", "drop", "PRICE"}
    # Test files, files that are not Python, and files that do not parse define nothing.
    (folder / "broken.py").write_text("def f(:")
    others = ("test_cart.py", "cart.txt", "broken.py")
    assert changed_definitions([change(p, new_lines={1, 3}) for p in others], folder) == set()


def change_of(folder, old, new):
    """Replace a text of cart.py, and return the change as a diff of the whole file gives it."""
    before = CART.splitlines(keepends=True)
    after = CART.replace(old, new).splitlines(keepends=True)
    (folder / "cart.py").write_text("".join(after))
    diff = "".join(difflib.unified_diff(before, after, "a/cart.py", "b/cart.py", n=0))
    return read_diff(diff)


@pytest.mark.parametrize(
    ("removed", "expected"),
    [
        ("        subtotal = sum(self.items)\n", {"Cart", "total"}),
        ("    @property\n", {"Cart", "total"}),
        ("    size: int = 0\n", {"Cart", "size"}),
        ("def empty(cart):\n    cart.items.clear()\n", {"empty"}),
    ],
)
def test_a_removed_line_names_the_definitions_that_it_was_in(folder, removed, expected):
    changes = change_of(folder, removed, "")
    assert changed_definitions(changes, folder) == expected
    assert removed.strip() in changed_functions(changes, folder)


def test_a_function_that_gains_and_loses_lines_is_taken_as_it_is_now(folder):
    changes = change_of(folder, "        subtotal = sum(self.items)\n", "        subtotal = 1\n")
    assert "subtotal = 1" in changed_functions(changes, folder)
    assert "sum(self.items)" not in changed_functions(changes, folder)


@pytest.mark.parametrize(
    "registered",
    [
        'TABLE = {"clear": empty, "total": 1}',
        'register("clear", empty)',
        'register(name="clear", target=cart.empty)',
        '@wrapped(empty)\ndef emptied(): pass\nTABLE = {"clear": emptied}',
    ],
)
def test_a_definition_has_the_names_under_which_its_file_registers_it(folder, registered):
    (folder / "cart.py").write_text(f"{CART}\n{registered}\n")
    assert "clear" in changed_definitions([change(new_lines={15})], folder)
    assert "clear" not in changed_definitions([change(new_lines={11})], folder)


def test_a_decorator_that_names_its_function_gives_it_that_name(folder):
    (folder / "cart.py").write_text('@command("clear", help="Two words.")\ndef empty(): pass\n')
    assert changed_definitions([change(new_lines={2})], folder) == {"clear", "empty"}


def test_words_that_many_names_of_a_file_have_are_not_distinctive(folder):
    names = [f"parse_{word}" for word in ("imports", "for", "if", "while", "with")]
    (folder / "cart.py").write_text("".join(f"def {name}(): pass\n" for name in names))
    assert distinctive_words([change(new_lines={1})], folder) == {"import"}
    assert distinctive_words([change("test_cart.py", new_lines={1})], folder) == set()
    (folder / "test_parser.py").write_text(
        "class TestImports:\n    def test_imports_once(self): assert 1\n\n"
        "def test_parse(): assert 1\n\ndef test_other2(): assert 1\n"
    )
    names = strengths(change(new_lines={1}))["names"]
    assert max(names, key=names.get) == "test_imports_once"
    assert names["test_parse"] == names["test_other2"]


def test_names_are_found_in_tests_in_their_fixtures_and_helpers(folder):
    (folder / "test_cart.py").write_text(
        "TABLE = [LIMIT]\n\ndef helper(): return empty\n\n"
        "class Base:\n    def setUp(self): self.cart = Cart()\n    def other(self): unrelated\n\n"
        "class TestCart(Base):\n    def setup_method(self): prepare()\n"
        "    def test_own(self, full): helper(TABLE)\n\ndef test_plain(): 'total'\n"
    )
    own, plain = SuiteIndex.build("test_cart.py", scorers=["characters"]).tests
    mentioned = MentionedNames(folder)
    assert {"full", "helper", "TABLE"} <= mentioned.directly(own).keys()
    found = mentioned.through_fixtures(own)
    # The fixture "full" uses the fixture "price", which uses Cart.total.
    assert {"Cart", "price", "total", "empty", "LIMIT", "prepare"} <= found
    assert "unrelated" not in found
    assert mentioned.directly(plain)["total"] == 1
    assert not mentioned.through_fixtures(plain)


def test_tests_that_mention_a_changed_definition_come_first(folder):
    (folder / "test_none.py").write_text(
        "def emptied(): empty(1)\n\ndef test_empty(): assert 1\n\n"
        "def test_mentions(): cart.empty(1)\n\ndef test_uses(): emptied()\n\n"
        "def test_other(): assert 1\n"
    )
    names = strengths(change(new_lines={15}))["names"]
    # A test's own name counts most, then a mention, and a mention in what the test uses.
    assert max(names, key=lambda name: names[name]) == "test_empty"
    assert min(names["test_mentions"], names["test_uses"]) > names["test_other"]
    assert set(strengths(change(new_lines={13}))["names"].values()) == {0.0}


# Words.


def lines(*added, first=1):
    """Return added lines as a diff shows them."""
    return [(None, first + i, text) for i, text in enumerate(added)]


def test_the_place_of_a_change_that_a_test_resembles_most_decides(folder):
    (folder / "test_none.py").write_text(
        "def test_price(): round_price(discount)\n\ndef test_colour(): paint(red_hue)\n\n"
        "def test_other(): assert 1\n"
    )
    apart = [*lines("round_price(discount)"), *lines("paint(red_hue)", first=90)]
    words = strengths(change(lines=apart))["words"]
    assert min(words["test_price"], words["test_colour"]) > max(
        words[name] for name in ("test_one", "test_two", "test_other")
    )
    # Unchanged lines do not count, and parts of names do.
    shown = [(1, 1, "paint(red_hue)"), (None, 2, "price = 1")]
    words = strengths(change(lines=shown))["words"]
    assert max(words, key=lambda name: words[name]) == "test_price"
    assert set(strengths(change("nothing.py"))["words"].values()) == {0.0}


def test_the_functions_around_changed_lines_are_a_place_too(folder):
    body = "def total(self):\n        subtotal = sum(self.items)\n        return subtotal"
    decorated = f"    @property\n    {body}"
    assert changed_functions([change(new_lines={11, 12})], folder) == decorated
    both = [
        change(new_lines={1, 3, 10, 13}),
        change("test_cart.py", new_lines={1}),
        change("no.py"),
    ]
    assert changed_functions(both, folder) == f"LIMIT = 10\n{decorated}"
    (folder / "test_none.py").write_text(
        "def test_items(): sum(subtotal)\n\ndef test_other(): assert 1\n"
    )
    words = strengths(change(new_lines={12}, lines=lines("        return None", first=12)))["words"]
    assert max(words, key=lambda name: words[name]) == "test_items"


# Files.


def test_files_named_after_a_changed_file(folder):
    for name in ("a/test_graph.py", "b/tests/test_graph.py", "b/graph_test.py", "test_other.py"):
        (folder / "tests" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "tests" / name).write_text("def test_x(): total_price")
    index = SuiteIndex.build("tests", scorers=["characters"])

    def named(*paths):
        found = evidence_of(index, [change(path) for path in paths])["file name"]
        files = [test.path.relative_to(folder / "tests").as_posix() for test in index.tests]
        return {file for file, strength in zip(files, found, strict=True) if strength}

    b = {"b/tests/test_graph.py", "b/graph_test.py"}
    assert named("src/b/_graph.py") == b
    assert named("src/a/graph/__init__.py") == {"a/test_graph.py"}
    # A file in no folder has no folder names in common with any test file: all three are meant.
    assert named("graph.py") == b | {"a/test_graph.py"}
    assert named("src/b/_graph.py", "other.py") == b | {"test_other.py"}
    # Files that are not Python, and test files, have no test files named after them.
    assert named("b/graph.txt", "b/test_other.py", "b/__init__.py") == set()


def test_a_direct_import_counts_for_more_than_one_through_another_file(folder):
    (folder / "conftest.py").unlink()
    assert strengths()["imports"] == {"test_one": 1.0, "test_two": 0.5, "test_three": 0.0}
    # The nearest of several changed files counts. A file that is no Python imports nothing.
    both = strengths(change(), change("shop.py"), change("cart.txt"))["imports"]
    assert both == {"test_one": 1.0, "test_two": 1.0, "test_three": 0.0}


# The log of git.


def test_files_that_changed_together(folder):
    git("init")
    commit()
    for _ in range(3):
        commit(cart="#\n", test_shop="#\n")
    commit(cart="#\n", test_none="#\n")
    commit(shop="#\n", test_none="#\n")
    found = strengths()["co-change"]
    assert found["test_two"] > found["test_three"]
    assert found["test_two"] > found["test_one"]
    # The first commit has all files, too. Each set of commits is taken to have two more.
    likeness = CoChange(folder).likeness({"cart.py", "new.py"}, {"test_shop.py", "new_test.py"})
    assert likeness == {"test_shop.py": pytest.approx(4 / np.sqrt(7 * 6)), "new_test.py": 0.0}
    # The log is read again after a commit.
    commit(cart="#\n", test_shop="#\n")
    assert CoChange(folder).likeness({"cart.py"}, {"test_shop.py"})["test_shop.py"] > 4 / np.sqrt(
        42
    )


def written_together():
    """Commit a product and tests whose lines were written in three commits."""
    git("init")
    commit()
    commit(cart="def added(): return 11\n", test_shop="def test_added(): assert added() == 11\n")
    commit(cart="def other(): return 22\n", test_none="def test_other(): assert other() == 22\n")


@pytest.mark.usefixtures("folder")
def test_tests_that_were_written_with_the_changed_lines():
    written_together()
    count = len(Path("cart.py").read_text().splitlines())
    for number, name, text in (
        (count - 1, "test_added", "def added(): return 11"),
        (count, "test_other", "def other(): return 22"),
    ):
        edit = change(old_lines={number}, lines=[(number, None, text), (None, number, "x")])
        found = strengths(edit)["history"]
        assert max(found, key=lambda one: found[one]) == name
        # The same where the change and a later one are part of the log already.
        for content in (Path("cart.py").read_text().replace(text, "x"), "#\n#\n"):
            Path("cart.py").write_text(content)
            git("commit", "-am", "x")
        assert strengths(edit)["history"] == found
        git("reset", "--hard", "HEAD~2")
    # Lines that the file never had, new files, and test files were written by no commit.
    for none in (
        change(old_lines={1}, lines=[(1, None, "never there")]),
        change("new.py"),
        change("test_shop.py", old_lines={3}),
    ):
        assert set(strengths(none)["history"].values()) == {0.0}


def test_a_commit_of_many_files_is_no_evidence(folder):
    git("init")
    commit(**{f"file_{i}": "#\n" for i in range(31)})
    assert CoChange(folder).likeness({"file_1.py"}, {"file_2.py"}) == {"file_2.py": 0.0}


def test_names_of_files_beyond_ascii_are_read(folder):
    git("init")
    commit(**{"größe maß": "#\n", "test_é": "#\n"})
    found = CoChange(folder).likeness({"größe maß.py"}, {"test_é.py"})
    assert found["test_é.py"] > 0


@pytest.mark.parametrize("broken", ["no checkout", "no repository", "no commit", "no git", "above"])
def test_without_a_log_there_is_no_evidence_and_no_fault(folder, monkeypatch, broken):
    if broken == "no repository":
        (folder / ".git").mkdir()
    elif broken == "no commit":
        git("init")
    elif broken == "no git":
        git("init")
        commit()
        monkeypatch.setenv("PATH", str(folder))
    elif broken == "above":
        # A repository above the project's root has paths that begin elsewhere.
        git("init", "..")
        git("-C", "..", "commit", "--allow-empty", "-m", "x")
        (folder / ".git").write_text("gitdir: nowhere\n")
    found = strengths(change(old_lines={1}, text="x"))
    assert set(found["co-change"].values()) == set(found["history"].values()) == {0.0}


def test_git_starts_no_program_that_the_repository_names(folder):
    git("init")
    (folder / ".gitattributes").write_text("*.py diff=own\n")
    commit(cart="#\n")
    commit(cart="def added(): return 11\n", test_shop="def test_added(): assert added() == 11\n")
    for name in ("core.pager", "core.fsmonitor", "gpg.program", "diff.external"):
        git("config", name, f"touch {folder}/started; false")
    git("config", "diff.own.textconv", f"touch {folder}/started; cat")
    git("config", "log.showSignature", "true")
    edit = change(old_lines={17}, lines=[(17, None, "def added(): return 11")])
    assert strengths(edit)["history"]["test_added"] > 0
    assert CoChange(folder).likeness({"cart.py"}, {"shop.py"})["shop.py"] > 0
    assert not (folder / "started").exists()


# The sum.


def test_each_share_is_the_strength_times_its_weight():
    found = {"text": np.array([1.0, -1.0]), "file name": np.array([0.0, 1.0])}
    shares = weighted(found)
    assert shares["text"].tolist() == [WEIGHTS["text"], -WEIGHTS["text"]]
    assert shares["file name"].tolist() == [0.0, WEIGHTS["file name"]]


def test_evidence_that_all_tests_have_alike_counts_for_none(folder):
    """The mean of many equal numbers is rounded, which must not look like a deviation."""
    for path in folder.glob("test_*.py"):
        path.unlink()
    (folder / "test_all.py").write_text("".join(f"def test_{i}(): empty\n" for i in range(10, 77)))
    git("init")
    commit(cart="#\n")
    found = strengths(change(new_lines={15}))
    for kind in ("words", "names", "co-change", "history"):
        assert set(found[kind].values()) == {0.0}


def test_evidence_of_meaning_needs_a_model(folder):
    tiny_bert.write(folder.parent / "model")
    changed = [change(new_lines={11}, text="def total(self): subtotal")]
    index = SuiteIndex.build(".", model=str(folder.parent / "model"))
    assert list(evidence_of(index, changed)) == list(WEIGHTS)
    index = SuiteIndex.build(".")
    assert list(evidence_of(index, changed)) == [kind for kind in WEIGHTS if kind != "meaning"]


def test_a_change_without_text_and_a_suite_without_tests(folder):
    # The name of the changed file is a text, too.
    assert strengths(change(text=""))["text"]["test_one"] > 0
    (folder / "empty").mkdir()
    index = SuiteIndex.build("empty", scorers=["characters"])
    assert all(len(values) == 0 for values in evidence_of(index, [change(text="x")]).values())
