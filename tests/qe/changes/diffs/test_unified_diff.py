"""Reading of unified diffs by several tools."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import flashwasm as fw
from flashwasm.qe import read_diff
from shop_program import DIFF


def test_lines_and_text_of_a_changed_file():
    (changed,) = read_diff(DIFF)
    assert (changed.path, changed.old_path) == ("shop.py", "shop.py")
    assert (changed.old_lines, changed.new_lines) == ({5}, {5, 6})
    assert "price = 0 + sum(basket)" in changed.text
    assert changed.text.startswith("def total_price(basket):\n    price = sum(basket)\n")


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
        # Two folders that GNU diff compared, a file beside its copy, and Subversion.
        (
            f"diff -ru old/x.py new/x.py\n--- old/x.py\t2026\n+++ new/x.py\t2026\n{HUNK}",
            ("x.py",) * 2,
        ),
        (f"--- x.py.orig\t2026\n+++ x.py\t2026\n{HUNK}", ("x.py", "x.py.orig")),
        (
            f"Index: x.py\n{'=' * 67}\n--- x.py\t(revision 1)\n+++ x.py\t(working copy)\n{HUNK}",
            ("x.py",) * 2,
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
    ids=[
        "crlf",
        "mnemonic",
        "no-prefix",
        "rename",
        "quoted",
        "folders",
        "copy",
        "svn",
        "hg-binary",
        "git-binary",
    ],
)
def test_names_of_a_file_in_diffs_of_several_tools(text, paths):
    (changed,) = read_diff(text)
    assert (changed.path, changed.old_path) == paths


def test_texts_that_are_not_a_diff_are_refused():
    for text in (
        "no diff",
        "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\nno\n",
        "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n-a\n",
        "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n-b\n",
        f"--- a/x\n+++ b/x\n{HUNK}+++ b/y\n{HUNK}",
        "diff --git a/x\n",
        f"diff --git a/x b/x\n{HUNK}",
        # A diff of words, as git diff --word-diff prints it.
        "--- a/x\n+++ b/x\n@@ -1 +1 @@\n    [-a-]{+b+}\n",
        f"+++ b/x\n{HUNK}",
        f"--- a/x\n+++ b/x\n@@ -{'9' * 5000} +1 @@\n-a\n+b\n",
    ):
        with pytest.raises(fw.DTypeError, match="not a unified diff"):
            read_diff(text)


NO_NEWLINE = "\\ No newline at end of file\n"


@pytest.mark.parametrize(
    ("hunk", "old", "new"),
    [
        (f"@@ -1,2 +1,2 @@\n a\n-b\n{NO_NEWLINE}+c\n{NO_NEWLINE}", {2}, {2}),
        (f"@@ -1,2 +1,2 @@\n a\n-b\n{NO_NEWLINE}+b\n", {2}, {2}),
        (f"@@ -1,2 +1,3 @@\n a\n-b\n{NO_NEWLINE}+b\n+c\n", {2}, {2, 3}),
        (f"@@ -1,2 +1,2 @@\n a\n-b\n+b\n{NO_NEWLINE}", {2}, {2}),
        (f"@@ -1,2 +1,3 @@\n+x\n a\n b\n{NO_NEWLINE}", {1}, {1}),
        (f"@@ -0,0 +1 @@\n+b\n{NO_NEWLINE}", set(), {1}),
        (f"@@ -1 +0,0 @@\n-b\n{NO_NEWLINE}", {1}, set()),
        (f"@@ -1 +1 @@\n-a\n+b\n@@ -9 +9 @@\n-y\n{NO_NEWLINE}+z\n", {1, 9}, {1, 9}),
        # The message in another language.
        ("@@ -1 +1 @@\n-a\n\\ Kein Zeilenumbruch am Dateiende.\n+b\n", {1}, {1}),
    ],
    ids=["edit", "add", "append", "remove", "above", "new", "deleted", "second hunk", "language"],
)
def test_a_last_line_without_a_newline(hunk, old, new):
    after = f"--- a/y.py\n+++ b/y.py\n{HUNK}"
    (changed, other) = read_diff(f"--- a/x.py\n+++ b/x.py\n{hunk}{after}")
    assert (changed.old_lines, changed.new_lines) == (old, new)
    assert "newline" not in changed.text
    assert (other.path, other.old_lines, other.new_lines) == ("y.py", {1}, {1})


def test_lines_of_files_that_look_like_names_of_files():
    text = (
        "diff --git a/x.sql b/x.sql\n--- a/x.sql\n+++ b/x.sql\n"
        "@@ -1,3 +1,3 @@\n--- a/no.py\n+++ b/no.py\n one\n@@@ two\n"
    )
    with pytest.raises(fw.DTypeError, match="a line of a hunk has no mark: '@@@ two'"):
        read_diff(text)
    (changed,) = read_diff(text.replace("@@@ two", " @@ -1 +1 @@"))
    assert (changed.path, changed.old_lines, changed.new_lines) == ("x.sql", {1}, {1})
    assert changed.text == "-- a/no.py\n++ b/no.py"


# Diffs by git itself.

ODD_NAMES = [
    "plain.py",
    "größe maß.py",
    "größe.py",
    "日本/テスト 1.py",
    "with space.py",
    " a  b .py ",
    "tab\there.py",
    'quote".py',
    "back\\slash.py",
    "new\nline.py",
    "bell\a\x01\x7f.py",
    "x b/x.py",
    "x b/x b/x b/x.py",
    "a/a/a.py",
    "b/a.py",
    " and b/x.py",
    "- +++ @@.py",
    'ä "b/ä" \\303.py',
]


@pytest.fixture
def git(tmp_path, monkeypatch):
    """Return a function that runs git in a repository of its own and returns what it prints."""
    monkeypatch.chdir(tmp_path)
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, os.devnull)
    for name in ("GIT_AUTHOR", "GIT_COMMITTER"):
        monkeypatch.setenv(f"{name}_NAME", "A")
        monkeypatch.setenv(f"{name}_EMAIL", "a@example.org")
    program = shutil.which("git") or pytest.skip("git is not installed")

    def run(*arguments):
        done = subprocess.run([program, *arguments], check=True, capture_output=True)
        return done.stdout.decode("utf-8", "replace")

    run("init", "-q")
    return run


LINES = [f"line = {n}\n" for n in range(1, 21)]


def write(path, lines):
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(lines), "utf-8")


def commit(git):
    git("add", "-A")
    git("commit", "-q", "-m", "x", "--no-verify")


PREFIXES = {
    "default": [],
    "none": ["--no-prefix"],
    "mnemonic": ["-c", "diff.mnemonicPrefix=true"],
    "folders": ["--src-prefix=old/", "--dst-prefix=new/"],
    "two folders": ["--src-prefix=x y/before/", "--dst-prefix=x y/core/"],
    "no folders": ["--src-prefix=old-", "--dst-prefix=new-"],
    "one": ["--src-prefix=", "--dst-prefix=new/"],
    "swapped": ["--src-prefix=b/", "--dst-prefix=a/"],
}


@pytest.mark.parametrize("quoting", ["true", "false"])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_names_as_git_writes_them(git, quoting, prefix):
    for name in ODD_NAMES:
        for folder in ("edited", "deleted", "renamed", "mode", "binary"):
            write(f"{folder}/{name}", [f"# {name!r} in {folder}\n", *LINES])
        Path(f"binary/{name}").write_bytes(b"\0old")
    commit(git)
    expected = {}
    for name in ODD_NAMES:
        text = Path(f"edited/{name}").read_text("utf-8")
        Path(f"edited/{name}").write_text(text.replace("line = 5\n", "line = 55\n"), "utf-8")
        expected[f"edited/{name}"] = (f"edited/{name}", {6}, {6})
        Path(f"deleted/{name}").unlink()
        expected[f"deleted/{name}"] = (f"deleted/{name}", set(range(1, 22)), set())
        text = Path(f"renamed/{name}").read_text("utf-8")
        Path(f"renamed/{name}").unlink()
        write(f"moved/to {name}", [text.replace("line = 9\n", "line = 99\n")])
        expected[f"moved/to {name}"] = (f"renamed/{name}", {10}, {10})
        write(f"added/{name}", ["new = 1\n"])
        expected[f"added/{name}"] = (f"added/{name}", set(), {1})
        write(f"empty/{name}", [])
        expected[f"empty/{name}"] = (f"empty/{name}", set(), set())
        Path(f"mode/{name}").chmod(0o755)
        expected[f"mode/{name}"] = (f"mode/{name}", set(), set())
        Path(f"binary/{name}").write_bytes(b"\0new")
        expected[f"binary/{name}"] = (f"binary/{name}", set(), set())
    git("add", "-A")
    options = PREFIXES[prefix]
    before = options if "-c" in options else []
    after = [] if "-c" in options else options
    text = git(*before, "-c", f"core.quotePath={quoting}", "diff", "-M", *after, "--cached")
    found = {c.path: (c.old_path, c.old_lines, c.new_lines) for c in read_diff(text)}
    assert found == expected


def test_the_diff_of_a_merge(git):
    write("größe a.py", LINES)
    commit(git)
    for branch in ("one", "other"):
        git("checkout", "-q", "-b", branch)
        write("größe a.py", [*LINES[:4], f"{branch} = 0\n", *LINES[5:]])
        commit(git)
        git("checkout", "-q", "HEAD~1")
    git("checkout", "-q", "one")
    git("merge", "-q", "-s", "ours", "--no-commit", "other")
    # The result has a line of its own instead of line 5, and one more that no parent has.
    write("größe a.py", [*LINES[:4], "both = 0\n", "more = 0\n", *LINES[5:]])
    commit(git)
    for options in (["--cc"], ["-c"], ["-c", "--combined-all-paths"], ["--color=always"]):
        (changed,) = read_diff(git("show", *options))
        assert (changed.path, changed.old_path) == ("größe a.py", "größe a.py")
        assert (changed.old_lines, changed.new_lines) == ({5}, {5, 6})
        assert {"one = 0", "other = 0", "both = 0", "more = 0"} <= set(changed.text.split("\n"))


def test_binary_files_without_a_line_of_git():
    text = (
        "Binary files a/x.png and b/x.png differ\n"
        "Binary files a/x and y.png and b/x and y.png differ\n"
        'Binary files "a/\\303\\244 1.png" and "b/\\303\\244 1.png" differ\n'
        "Binary files /dev/null and b/new.png differ\n"
        "Binary file m.png has changed\n"
    )
    assert [c.path for c in read_diff(text)] == [
        "x.png",
        "x and y.png",
        "ä 1.png",
        "new.png",
        "m.png",
    ]


@pytest.mark.parametrize("words", ["color.ui=always", "color.diff.new=bold red reverse"])
def test_a_diff_with_colours(git, words):
    write("größe a.py", LINES)
    commit(git)
    write("größe a.py", [*LINES[:3], "esc = '\x1b[31m'  \n", *LINES[4:]])
    options = ("-c", "core.quotePath=false", "-c", words)
    (changed,) = read_diff(git(*options, "diff", "--color=always"))
    assert (changed.path, changed.old_lines, changed.new_lines) == ("größe a.py", {4}, {4})
    assert "\x1b" not in changed.text
    # Escapes in a file are its own, if the diff has no colours.
    (changed,) = read_diff(git("diff", "--no-color"))
    assert changed.text == "line = 4\nesc = '\x1b[31m'  "


MESSAGE = """\
A subject

---
 not.py | 2 +-
 1 file changed

diff --git a/not.py b/not.py
--- a/not.py
+++ b/not.py
@@ -1,7 +1,7 @@
-a
"""


@pytest.mark.parametrize("options", [[], ["--stat=40"], ["--notes"], ["--attach=x"]])
def test_messages_of_patches_that_contain_a_diff(git, options):
    write("x.py", LINES)
    commit(git)
    for number in (1, 2):
        write("x.py", [*LINES[:number], "new = 1\n", *LINES[number:]])
        git("add", "-A")
        git("commit", "-q", "--cleanup=verbatim", "-m", MESSAGE)
        git("notes", "add", "-m", "a note\n\nof two lines")
    patches = git("format-patch", "--stdout", *options, "HEAD~2")
    assert patches.count("+++ b/not.py") == 2
    assert [c.path for c in read_diff(patches)] == ["x.py", "x.py"]
    # git indents the messages of a log, so that nothing in it begins a line.
    assert [c.path for c in read_diff(git("log", "-p", "-2"))] == ["x.py", "x.py"]
    assert [c.path for c in read_diff(git("show"))] == ["x.py"]
