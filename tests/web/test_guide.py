"""The examples in JavaScript run, and print what their pages say."""

import re
import subprocess

import pytest

from checkout import ROOT


@pytest.mark.parametrize("page", ["docs/guide/browser.md", "web/README.md"])
def test_the_examples_of_a_page_print_what_it_says(page, package, node):
    """An example is a block of JavaScript, and after it its output, if it prints."""
    text = (ROOT / page).read_text("utf-8")
    examples = re.findall(r"```js\n(.*?)```\n(?:\n```text\n(.*?)```)?", text, re.DOTALL)
    assert examples
    path = package.parents[1] / "guide.mjs"
    path.write_text("".join(code for code, _ in examples))
    done = subprocess.run([node, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "".join(output for _, output in examples)
