"""Test files that may read the source of a changed file as text."""

import pytest

from flashwasm.qe.changes.readers.source_readers import source_readers

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
    "all files of its folder": ("os.listdir('shop')", True),
    "all files of another folder": ("os.listdir('data')", False),
    "path of a package": ("os.path.join(shop.__path__[0], name)", True),
    "place of a module": ("open(find_spec(name).origin)", True),
    "checker of types": ("from mypy import api\napi.run(['shop'])", True),
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
    found = source_readers(tmp_path / "shop/limits.py", [test, gone], tmp_path)
    assert found == ({test} if reads else set())


@pytest.mark.parametrize(("text", "reads"), [("'limits.py'", True), ("# See limits.py.", False)])
def test_the_product_reads_a_source_by_its_name(tmp_path, text, reads):
    reader = tmp_path / "reader.py"
    reader.write_text(text)
    found = source_readers(tmp_path / "shop/limits.py", [], tmp_path, [reader])
    assert found == ({reader} if reads else set())


def test_a_file_does_not_read_itself(tmp_path):
    file = tmp_path / "test_it.py"
    file.write_text("open('test_it.py')")
    assert source_readers(file, [file], tmp_path) == set()
