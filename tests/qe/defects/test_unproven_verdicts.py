"""Failures of two defects that look alike: none of them may be called known."""

import pytest

from flashwasm.qe import FailureLibrary, read_failure
from flashwasm.qe.defects.failure_files import TestFailure


def native(*frames, error, above=""):
    """Return a traceback of Python from frames such as ("lib.py", "load", "open(path)")."""
    lines = [f'  File "{path}", line 3, in {name}\n    {code}' for path, name, code in frames]
    return "\n".join([above, "Traceback (most recent call last):", *lines, error])


def long_style(test, error, *lines):
    """Return a traceback of pytest's long style, whose last line of source fails."""
    *above, last = lines
    source = "\n".join(f"        {line}" for line in above)
    kind = "AssertionError" if error.startswith("assert") else error.partition(":")[0]
    return f"    def {test}():\n{source}\n>       {last}\nE       {error}\n\ntest_lib.py:9: {kind}"


def verdict(first, second):
    """Return the verdict on a test and its text, with a library that knows another such pair."""
    library = FailureLibrary("defects.db", create=True)
    failures = [TestFailure(test, read_failure(text)) for test, text in (first, second)]
    library.learn("x", failures[:1])
    # A defect is recognised if the same failure occurs again.
    assert library.match(failures[0]).status == "known"
    return library.match(failures[1])


CAUSE = "\nThe above exception was the direct cause of the following exception:\n"
GROUP = """
  + Exception Group Traceback (most recent call last):
  |   File "test_lib.py", line 3, in test_a
  |     run()
  | ExceptionGroup: several (2 sub-exceptions)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "lib.py", line 4, in one
    |     x.y
    | ValueError: bad
    +---------------- 2 ----------------
    | Traceback (most recent call last):
    |   File "lib.py", line 6, in two
    |     z[1]
    | {}
    +------------------------------------
"""


def checked(caller, code, error="ValueError: bad", test="test_a"):
    """Return a traceback of a check that several functions call."""
    frames = [("test_lib.py", test, f"{caller}()"), ("lib.py", caller, code)]
    return native(*frames, ("lib.py", "check", "raise ValueError(text)"), error=error)


def chained(cause):
    """Return a traceback of an error that another one caused."""
    raised = native(
        ("lib.py", "load", "raise LoadError from e"), error="LoadError: no", above=CAUSE
    )
    return native(("lib.py", "read", "parse(x)"), error=cause) + raised


def wrapped(test, function):
    """Return a traceback of a helper that a decorator of the product calls."""
    return native(
        ("test_lib.py", test, f"{function}()"),
        ("lib.py", "wrapper", "return function(*args, **kwargs)"),
        ("lib.py", "check", "raise ValueError(text)"),
        error="ValueError: bad",
    )


def none_in_helper(test, function):
    """Return a traceback of a helper that got None from one of its callers."""
    return native(
        ("test_lib.py", test, f"{function}()"),
        ("lib.py", function, "size(found)"),
        ("lib.py", "size", "return len(items)"),
        error="TypeError: object of type 'NoneType' has no len()",
    )


DECORATED = "tests/helpers.py:3: in wrapper\n    return f()\ntests/test_lib.py:9: in {}\n{}"
ASSERTION = "    assert f(x)\nE   assert False"


@pytest.mark.parametrize(
    ("first", "second", "against"),
    [
        pytest.param(
            ("t.py::test_a", checked("save", "check(1)", "ValueError: status 404")),
            ("t.py::test_a", checked("save", "check(1)", "ValueError: status 500")),
            "other numbers in the message",
            id="code of an error",
        ),
        pytest.param(
            ("t.py::test_a", checked("save", "check(1)", "ValueError: no name")),
            ("t.py::test_a", checked("save", "check(2)", "ValueError: a negative price")),
            "another message",
            id="function that raises with any message",
        ),
        pytest.param(
            ("t.py::test_a", checked("save", "check(1)", "ValueError: 404 for /api/users/1")),
            ("t.py::test_a", checked("save", "check(1)", "ValueError: 404 for /api/orders/1")),
            "another message",
            id="path of a URL",
        ),
        pytest.param(
            ("t.py::test_a", wrapped("test_a", "save")),
            ("t.py::test_b", wrapped("test_b", "load")),
            "called by another function",
            id="decorator",
        ),
        pytest.param(
            ("t.py::test_a", none_in_helper("test_a", "save")),
            ("t.py::test_b", none_in_helper("test_b", "load")),
            "called by another function",
            id="None from another function",
        ),
        pytest.param(
            ("t.py::test_a", chained("KeyError: 'x'")),
            ("t.py::test_a", chained("PermissionError: denied")),
            "another message",
            id="cause",
        ),
        pytest.param(
            ("t.py::test_a", GROUP.format("KeyError: 1")),
            ("t.py::test_a", GROUP.format("IndexError: 1")),
            "another message",
            id="member of a group",
        ),
        pytest.param(
            ("t.py::test_a", long_style("test_a", "assert 2 == 1", "assert f() == 1")),
            ("t.py::test_a", long_style("test_a", "assert 2 == 1", "f()", "assert g() == 1")),
            "at another statement (`assert f() == 1`)",
            id="another assertion",
        ),
        pytest.param(
            ("t.py::test_a", long_style("test_a", "Failed: DID NOT RAISE", "with raises(E):")),
            (
                "t.py::test_a",
                long_style(
                    "test_a",
                    "Failed: DID NOT RAISE",
                    "with raises(E):",
                    "    f()",
                    "with raises(E):",
                ),
            ),
            "at another statement (`with raises(E):`)",
            id="second of two equal statements",
        ),
        pytest.param(
            ("t.py::test_a[1]", long_style("test_a", "assert False", "assert f(x)")),
            ("t.py::test_a[2]", long_style("test_a", "assert False", "assert f(x)")),
            "another case of the test",
            id="another case",
        ),
        pytest.param(
            ("t.py::test_a (i=1)", long_style("test_a", "assert False", "assert f(i)")),
            ("t.py::test_a (i=2)", long_style("test_a", "assert False", "assert f(i)")),
            "another case of the test",
            id="another subtest",
        ),
        pytest.param(
            ("t.py::TestA::test_a", long_style("test_a", "assert False", "assert f()")),
            ("t.py::TestB::test_a", long_style("test_a", "assert False", "assert f()")),
            "another test",
            id="method of another class",
        ),
        pytest.param(
            ("tests/test_lib.py::test_a", DECORATED.format("test_a", ASSERTION)),
            ("tests/test_lib.py::test_b", DECORATED.format("test_b", ASSERTION)),
            "another test",
            id="decorator of the tests",
        ),
    ],
)
@pytest.mark.usefixtures("folder")
def test_another_defect_is_not_called_known(first, second, against):
    found = verdict(first, second)
    assert found.status == "perhaps"
    assert against in found.evidence_against


@pytest.mark.usefixtures("folder")
def test_one_case_that_fails_again_is_not_counted_as_all_of_them():
    cases = [
        TestFailure(
            f"t.py::test_a[{i}]", read_failure(long_style("test_a", "assert 0", "assert f(i)"))
        )
        for i in range(5)
    ]
    library = FailureLibrary("defects.db", create=True)
    library.learn("x", cases)
    found = library.match(cases[0])
    assert found.status == "perhaps"
    assert "only 1 of 5 tests failed again in the same way" in found.evidence_against
    assert {one.status for one in library.match_all(cases[:4])} == {"known"}


@pytest.mark.usefixtures("folder")
def test_a_new_case_is_known_only_if_the_known_cases_fail_again():
    old, new, other = (
        TestFailure(
            f"t.py::test_a[{i}]", read_failure(long_style("test_a", "assert 0", "assert f(i)"))
        )
        for i in range(3)
    )
    library = FailureLibrary("defects.db", create=True)
    library.learn("x", [old])
    found = library.match_all([new, other])
    assert [one.status for one in found] == ["perhaps", "perhaps"]
    assert any(one.startswith("only 0 of 1 test") for one in found[0].evidence_against)
    assert [one.status for one in library.match_all([new, old])] == ["known", "known"]


@pytest.mark.usefixtures("folder")
def test_an_inner_function_is_not_the_function_of_a_frame():
    lines = ("def cli():", "    pass", "assert run(cli) == 0")
    found = read_failure(long_style("test_a", "assert 1 == 0", *lines))
    assert found.frames[-1].function == "test_a"
    assert found.frames[-1].source == "assert run(cli) == 0"


@pytest.mark.usefixtures("folder")
def test_a_fixture_that_fails_again_is_known_in_another_test():
    text = "conftest.py:3: in shop\n    assert ready\nE   assert False"
    library = FailureLibrary("defects.db", create=True)
    library.learn("x", [TestFailure("test_lib.py::test_a", read_failure(text))])
    assert library.match(TestFailure("test_lib.py::test_b", read_failure(text))).status == "known"
