"""Line numbers after a change, compared with the text of both sides."""

import random

import pytest

from file_changes import change_of
from flashwasm.qe.changes.diffs.lines_after import LinesAfter
from flashwasm.qe.changes.diffs.unified_diff import ChangedFile


def changed(before, after, context):
    texts = ("".join(f"{line}\n" for line in lines) for lines in (before, after))
    return change_of(*texts, context)


@pytest.mark.parametrize("context", [0, 3])
def test_unchanged_lines_keep_their_text(context):
    draw = random.Random(context)  # noqa: S311 - its numbers are no secret.
    for _ in range(60):
        before = [f"line {n}" for n in range(1, 30)]
        after = list(before)
        for number in range(draw.randrange(1, 6)):
            at = draw.randrange(len(after) - 3)
            after[at : at + draw.randrange(3)] = [f"new {number}"] * draw.randrange(3)
        if after == before:
            continue
        number_after = LinesAfter(changed(before, after, context))
        for number, text in enumerate(before, 1):
            if text in after:
                assert after[number_after(number) - 1] == text


@pytest.mark.parametrize("context", [0, 3])
def test_changed_and_removed_lines_have_the_number_of_their_place(context):
    before = list("abcdefghij")
    after = [*"12aBCf", "G", *"ij"]
    # B and C replace "bcde", whose last two lines count as C. G replaces "gh".
    numbers = LinesAfter(changed(before, after, context))
    assert [numbers(n) for n in range(1, 11)] == [3, 4, 5, 5, 5, 6, 7, 7, 8, 9]
    numbers = LinesAfter(changed(before, [*"abefghj"], context))
    assert [numbers(n) for n in range(1, 11)] == [1, 2, 3, 3, 3, 4, 5, 6, 7, 7]


def test_files_without_lines_after_the_change_keep_their_numbers():
    deleted = LinesAfter(changed(["a", "b"], [], 3))
    assert [deleted(n) for n in (1, 2)] == [1, 2]
    renamed = LinesAfter(ChangedFile("b.py", "a.py"))
    assert renamed(7) == 7
