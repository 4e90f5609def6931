"""Test files that may read the source of a changed file as text."""

import pytest

from flashwasm.qe.changes.source_readers import source_readers

# Text of a test file, and True if it may read the file shop/limits.py.
TEXTS = {
    "its name": ("open('shop/limits.py')", True),
    "its name from parts": ("folder.joinpath('limits' + '.py')", True),
    "its name in an f-string": ("open(f'{name}.py')", True),
    "pattern": ("Path(__file__).parent.rglob('*.py')", True),
    "pattern of other files": ("Path(__file__).parent.rglob('*.json')", False),
    "all files": ("os.listdir(os.path.dirname(__file__))", True),
    "files of a temporary folder": ("tmp_path.iterdir()", False),
    "path of a module": ("open(shop.limits.__file__)", True),
    "copy": ("shutil.copytree('shop', tmp_path / 'shop')", True),
    "executed text": ("exec(text)", True),
    "regular expression": ("re.compile('a')", False),
    "end of its name": ("open('other_limits.py')", False),
    "other module": ("open('shop/orders.py')", False),
    "import": ("import shop.limits", False),
}


@pytest.mark.parametrize(("text", "reads"), TEXTS.values(), ids=TEXTS)
def test_ways_to_read_a_source(tmp_path, text, reads):
    test = tmp_path / "test_it.py"
    test.write_text(text)
    gone = tmp_path / "test_gone.py"
    assert source_readers(tmp_path / "shop/limits.py", [test, gone]) == ({test} if reads else set())


def test_a_file_does_not_read_itself(tmp_path):
    file = tmp_path / "test_it.py"
    file.write_text("open('test_it.py')")
    assert source_readers(file, [file]) == set()
