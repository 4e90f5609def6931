"""Verdicts on the failures of real runs of pytest, each over a program with one seeded bug."""

import subprocess
import sys
from dataclasses import replace

import pytest

from flashwasm.qe import FailureLibrary
from flashwasm.qe.defects.failure_files import read_failure_file
from flashwasm.qe.defects.failure_fingerprint import fingerprint
from flashwasm.qe.defects.tracebacks import Failure, Frame

SHOP = """
def offset(page, size):
    return (page - 1) * size

def check(size):
    if size < 2:
        raise ValueError(f"size {size} is too small")
    return size

def pages(items, size):
    return len(items) // check(size)

def half(items):
    return items[: check(len(items) // 2 + 1)]

def discount(price):
    return price - price // 10

def total(prices):
    return sum(discount(price) for price in prices)

def save(prices, path):
    path.write_text(str(discount(prices[0])))
    return path

def each(function, items):
    return [function(item) for item in items]
"""
TESTS = """
import pytest
from shop import discount, each, half, offset, pages, save, total

def test_first_page(): assert offset(1, 10) == 0
@pytest.mark.parametrize("size", [10, 20])
def test_second_page(size): assert offset(2, size) == size
def test_discount(): assert discount(100) == 90
def test_no_discount(): assert discount(9) == 9
def test_total(): assert total([100, 200]) == 270
def test_total_of_one(): assert total([10]) == 9
def test_pages(): assert pages([1, 2, 3, 4], 2) == 2
def test_many_pages(): assert pages([1] * 9, 3) == 3
def test_half(): assert half([1, 2]) == [1, 2]
def test_save(tmp_path):
    path = save([100], tmp_path / "sum.txt")
    assert path.read_text() == "90", f"wrong in {path}"
def test_each():
    def check_price(price):
        assert discount(price) == price - price // 10
    each(check_price, [10, 20])
"""
# The name of each bug, the right code, and the code with the bug.
BUGS = {
    "offset": ("(page - 1) * size", "page * size"),
    "discount": ("price - price // 10", "price - price // 5"),
    "large discount": ("price - price // 10", "price - price // 2"),
    "half of a discount": ("price // 10\n", "price // 10 if price > 50 else 0\n"),
    "name": ("price - price // 10", "price - prize // 10"),
    "other name": ("price - price // 10", "prices - price // 10"),
    "pages": ("check(size)\n", "check(size - 2)\n"),
    "half": ("check(len(items) // 2 + 1)", "check(len(items) // 2)"),
}


def run(folder, bug, style="auto"):
    """Run pytest over the shop with a bug, and return its output and its JUnit XML."""
    folder.mkdir(parents=True)
    right, wrong = BUGS[bug]
    assert SHOP.count(right) == 1
    (folder / "shop.py").write_text(SHOP.replace(right, wrong))
    (folder / "test_shop.py").write_text(TESTS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", f"--tb={style}", "--junitxml=run.xml"],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stdout
    (folder / "run.txt").write_text(done.stdout)
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return the folder of a run of each bug."""
    folder = tmp_path_factory.mktemp("bugs")
    return {bug: run(folder / bug.replace(" ", "_"), bug) for bug in BUGS}


def failures(folder, name="run.xml"):
    """Return the failures of a run by the names of their tests."""
    return {one.test.rpartition("::")[2]: one for one in read_failure_file(folder / name).failures}


def learnt(runs, *bugs, only=None):
    """Return a library of the failures of some bugs."""
    library = FailureLibrary("defects.db", create=True)
    for bug in bugs:
        found = failures(runs[bug])
        library.learn(bug, [one for test, one in found.items() if only in {None, test}])
    return library


def matches(library, found):
    """Return the verdicts on the failures of a run, by their tests."""
    return dict(zip(found, library.match_all(list(found.values())), strict=True))


def statuses(library, found):
    """Return the statuses of the failures of a run."""
    return {one.status for one in matches(library, found).values()}


def test_assertions_of_another_bug_in_the_same_file_are_not_known(runs):
    library = learnt(runs, "offset")
    others = failures(runs["discount"])
    assert len(others) == 6
    assert statuses(library, others) == {"perhaps"}
    found = library.match(others["test_discount"])
    assert found.defect == "offset"
    assert found.evidence_for == ("the same AssertionError", "the same test file")
    assert found.evidence_against[:2] == ("another test", "no frame of the product in common")
    assert found.evidence == (
        "the same AssertionError and the same test file; but another test, "
        "no frame of the product in common and another message"
    )


@pytest.mark.parametrize("name", ["run.xml", "run.txt"])
def test_the_same_failures_of_another_run_are_known(runs, tmp_path, name):
    library = learnt(runs, *BUGS)
    again = failures(run(tmp_path / "elsewhere" / "again", "discount"), name)
    assert len(again) == len(failures(runs["discount"]))
    # The folder of the test that saves has another name, but the same last part.
    assert statuses(library, again) == {"known"}
    assert {one.defect for one in matches(library, again).values()} == {"discount"}


def test_a_part_of_the_tests_of_a_defect_may_fail_for_another_one(runs):
    library = learnt(runs, "discount")
    found = failures(runs["discount"])
    some = {test: found[test] for test in ("test_discount", "test_total")}
    verdict = matches(library, some)["test_total"]
    assert (verdict.status, verdict.defect) == ("perhaps", "discount")
    assert verdict.evidence_against == (
        "no frame of the product in common",
        "only 2 of 6 tests failed again in the same way",
    )
    # One of six tests is another one by now.
    most = {test: one for test, one in found.items() if test != "test_total"}
    assert statuses(library, most) == {"known"}
    evidence = matches(library, most)["test_save"].evidence
    assert "5 of 6 tests failed again in the same way" in evidence


def test_the_same_test_with_other_numbers_is_not_known(runs):
    library = learnt(runs, "discount")
    found = library.match(failures(runs["large discount"])["test_discount"])
    assert (found.status, found.defect) == ("perhaps", "discount")
    assert "the same test" in found.evidence_for
    assert "the same message but for its numbers" in found.evidence_for
    assert "other numbers in the message" in found.evidence_against
    found = library.match(failures(runs["half of a discount"])["test_total_of_one"])
    assert found.status == "perhaps"


def test_an_error_of_the_same_function_is_known_whatever_the_test_is(runs):
    library = learnt(runs, "name", only="test_discount")
    others = failures(runs["name"])
    assert statuses(library, others) == {"known"}
    found = library.match(others["test_total"])
    assert found.evidence.startswith(
        "the same NameError, raised by the same function, discount in shop.py, at the same "
        "statement (`return price - prize // 10`)"
    )
    assert "another test" in found.evidence_against
    # Another name is missing in the same function.
    found = library.match(failures(runs["other name"])["test_discount"])
    assert (found.status, found.evidence_against) == ("perhaps", ("another message",))


@pytest.mark.parametrize(
    ("source", "causes", "quoted"),
    [
        ("total(price,", (), "`total(price,`"),
        ("with (a,", ("KeyError", "OSError"), "`with (a,` with KeyError, OSError"),
        ("f(x) (with y - 1)", (), "`f(x) (with y - 1)`"),
    ],
)
def test_a_statement_is_quoted(source, causes, quoted):
    failure = Failure("ValueError", "bad", (Frame("lib.py", 1, "f", source),), "", causes)
    assert fingerprint(failure).quoted_statement == quoted


def test_a_check_that_raises_is_no_evidence_for_another_caller(runs):
    library = learnt(runs, "pages", only="test_pages")
    assert library.match(failures(runs["pages"])["test_pages"]).status == "known"
    # The numbers in the message of a check may be codes of errors, which tell defects apart.
    found = library.match(failures(runs["pages"])["test_many_pages"])
    assert (found.status, found.defect) == ("perhaps", "pages")
    assert "called by the same function, pages in shop.py" in found.evidence_for
    assert found.evidence_against == ("another test", "other numbers in the message")
    found = library.match(failures(runs["half"])["test_half"])
    assert (found.status, found.defect) == ("perhaps", "pages")
    assert "raised by the same function, check in shop.py" in found.evidence_for
    assert "called by another function" in found.evidence_against


def test_a_function_of_the_product_that_calls_a_test_is_no_evidence(runs):
    library = learnt(runs, "discount", only="test_each")
    found = library.match(failures(runs["large discount"])["test_each"])
    assert found.status == "perhaps"
    assert "no frame of the product in common" in found.evidence_against


def test_two_defects_that_fit_are_both_named(runs):
    library = learnt(runs, "name")
    library.learn("the same name", [failures(runs["name"])["test_total"]])
    found = library.match(failures(runs["name"])["test_discount"])
    assert found.status == "perhaps"
    assert {found.defect, *found.others} == {"name", "the same name"}
    assert f"{found.others[0]} fits as well" in found.evidence_against


def test_a_case_of_the_same_test_is_known_if_it_shows_the_same_numbers(runs):
    library = learnt(runs, "offset", only="test_second_page[10]")
    found = failures(runs["offset"])
    assert library.match(found["test_second_page[20]"]).status == "perhaps"
    assert library.match(found["test_second_page[10]"].failure, test="x").status == "known"


def test_a_test_without_a_stack_is_known_by_its_name(tmp_path):
    folder = run(tmp_path / "line", "discount", style="line")
    found = failures(folder)
    library = FailureLibrary("defects.db", create=True)
    library.learn("discount", list(found.values()))
    assert statuses(library, found) == {"known"}
    alone = {test: replace(one, test="") for test, one in found.items()}
    assert statuses(library, alone) == {"perhaps"}


@pytest.mark.parametrize("style", ["no", "line"])
def test_failures_of_a_run_without_stacks_are_known_by_their_messages(runs, tmp_path, style):
    library = learnt(runs, "discount")
    found = failures(run(tmp_path / style, "discount", style=style))
    assert statuses(library, found) == {"known"}
    assert {one.defect for one in matches(library, found).values()} == {"discount"}


def test_a_failure_of_nothing_similar_is_new(runs):
    library = learnt(runs, "name")
    found = library.match(failures(runs["half"])["test_half"])
    assert (found.status, found.others) == ("new", ())
    assert found.evidence.startswith("no failure of the library is similar")
