"""Reading of unified diffs by several tools."""

import sys

import pytest

import flashwasm as fw
from flashwasm.qe import read_diff
from shop_program import DIFF


@pytest.fixture
def unidiff():
    return pytest.importorskip("unidiff")


@pytest.mark.usefixtures("unidiff")
def test_lines_and_text_of_a_changed_file():
    (changed,) = read_diff(DIFF)
    assert (changed.path, changed.old_path) == ("shop.py", "shop.py")
    assert (changed.old_lines, changed.new_lines) == ({5}, {5, 6})
    assert "price = 0 + sum(basket)" in changed.text
    assert changed.text.startswith("def total_price(basket):\n    price = sum(basket)\n")


@pytest.mark.usefixtures("unidiff")
def test_insertions_and_files_that_are_added_or_deleted():
    headed = DIFF.replace(" def total_price(basket):\n", " # Why.\n")
    assert read_diff(headed)[0].text.startswith("def add_item(basket, item):\n")
    text = (
        "--- a/x.py\n+++ b/x.py\n@@ -1,2 +1,3 @@\n one\n+new\n two\n"
        "--- /dev/null\n+++ b/new.py\n@@ -0,0 +1,1 @@\n+new\n"
        "--- a/old.py\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-old\n"
    )
    inserted, new, old = read_diff(text)
    assert (inserted.old_lines, inserted.new_lines) == ({1, 2}, {2})
    assert (new.path, new.new_lines) == ("new.py", {1})
    assert (old.path, old.old_lines, old.new_lines) == ("old.py", {1}, set())
    assert read_diff("") == []


HUNK = "@@ -1 +1 @@\n-a\n+b\n"


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        (f"--- a/x.py\r\n+++ b/x.py\r\n{HUNK}", ("x.py", "x.py")),
        (f"--- i/x.py\n+++ w/x.py\n{HUNK}", ("x.py", "x.py")),
        # git diff --no-prefix: both names begin with the folder a.
        (f"--- a/x.py\n+++ a/x.py\n{HUNK}", ("a/x.py", "a/x.py")),
        (f"diff --git a/x b/y\nrename from x\nrename to y\n--- a/x\n+++ b/y\n{HUNK}", ("y", "x")),
        (
            (
                'diff --git "a/A \\303\\242.py" "b/A \\303\\242.py"\nnew file mode 100644\n'
                '--- /dev/null\n+++ "b/A \\303\\242.py"\n@@ -0,0 +1 @@\n+b\n'
            ),
            ("A â.py", "A â.py"),
        ),
        ("Binary file x.png has changed\n", ("x.png", "x.png")),
        (
            (
                "diff --git a/x.png b/x.png\nnew file mode 100644\nGIT binary patch\n"
                "literal 9\nQcmZQzU|?Wm\n\nliteral 0\nHcmV?d00001\n\n"
            ),
            ("x.png", "x.png"),
        ),
    ],
    ids=["crlf", "mnemonic", "no-prefix", "rename", "quoted", "svn-binary", "git-binary"],
)
@pytest.mark.usefixtures("unidiff")
def test_names_of_a_file_in_diffs_of_several_tools(text, paths):
    (changed,) = read_diff(text)
    assert (changed.path, changed.old_path) == paths


@pytest.mark.usefixtures("unidiff")
def test_texts_that_are_not_a_diff_are_refused():
    for text in (
        "no diff",
        "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\nno\n",
        f"+++ b/x\n{HUNK}",
        f"--- a/x\n+++ b/x\n@@ -{'9' * 5000} +1 @@\n-a\n+b\n",
    ):
        with pytest.raises(fw.DTypeError, match="not a unified diff"):
            read_diff(text)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "unidiff", None)
    with pytest.raises(fw.CapabilityError, match=r"unidiff cannot be imported .*with: pip install"):
        read_diff(DIFF)
