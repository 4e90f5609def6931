"""JUnit XML of any size and origin: memory stays small, and entities neither grow nor fetch."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import flashwasm as fw
from every_operation import in_child
from flashwasm.qe import read_failures
from flashwasm.qe.defects.failure_files import read_failure_file

# Nine levels of ten references each: 10^9 times the text of the first.
BOMB = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10 if i else "lol" * 10}">' for i in range(10))


def report(path, content, doctype=""):
    path.write_text(f"{doctype}<testsuites><testsuite>{content}</testsuite></testsuites>")
    return path


def test_entities_that_grow_are_refused(tmp_path):
    case = '<testcase name="a"><failure>&e9;</failure></testcase>'
    path = report(tmp_path / "x.xml", case, f"<!DOCTYPE x [{BOMB}]>")
    with pytest.raises(fw.CorruptFileError, match="limit on input amplification"):
        read_failures(path)


def test_external_entities_are_not_fetched(tmp_path):
    (tmp_path / "secret").write_text("KeyError: secret")
    case = '<testcase name="a"><failure>&e;</failure></testcase>'
    doctype = f'<!DOCTYPE x [<!ENTITY e SYSTEM "{(tmp_path / "secret").as_uri()}">]>'
    with pytest.raises(fw.CorruptFileError, match="undefined entity"):
        read_failures(report(tmp_path / "x.xml", case, doctype))


PEAKS = """
import tracemalloc
from pathlib import Path
from flashwasm.qe.defects.junit_xml import read_junit_cases
for path in {paths!r}:
    tracemalloc.start()
    count = sum(1 for _ in read_junit_cases(Path(path)))
    print(count, tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
"""


def test_memory_does_not_grow_with_the_report(tmp_path):
    """A process of its own reads, since threads of other tests would be counted here."""
    case = '<testcase name="a"><system-out>{}</system-out></testcase><properties/>'.format("x" * 99)
    counts = (2_000, 20_000)
    paths = [str(report(tmp_path / f"{count}.xml", case * count)) for count in counts]
    lines = [line.split() for line in in_child(PEAKS.format(paths=paths)).splitlines()]
    assert tuple(int(count) for count, _ in lines) == counts
    small, large = (int(peak) for _, peak in lines)
    assert large < 1.5 * small


def test_the_content_of_a_failure_is_read_whole(tmp_path):
    """Elements are dropped once they are read, but those inside a test case only at its end."""
    failure = "<failure>lib.py:7: in <b>add</b>\n    x\n<i>E   KeyError: 1</i></failure>"
    rest = f"<properties><property/></properties>{failure}</testcase>"
    content = f'<testcase name="a">{rest}<testcase name="b">{rest}'
    found = read_failures(report(tmp_path / "x.xml", content))
    assert [one.failure.signature for one in found] == [("KeyError", "lib.py", "add")] * 2


@pytest.mark.parametrize("style", ["auto", "long", "short", "line", "native"])
def test_tests_are_named_by_the_node_ids_of_pytest(tmp_path, style):
    folder = tmp_path / "tests" / "Deep"
    folder.mkdir(parents=True)
    (folder / "test_a.py").write_text(
        "import pytest\n"
        "class TestOuter:\n    class TestInner:\n        def test_b(self): assert 0\n"
        "@pytest.mark.parametrize('x', ['a.b', 'c::d'])\ndef test_c(x): raise KeyError(x)\n"
    )
    options = ["-q", f"--tb={style}", f"--rootdir={tmp_path}", "--junit-xml=x.xml"]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    expected = re.findall(r"^FAILED (.+?)(?: - .*)?$", done.stdout, re.MULTILINE)
    assert len(expected) == 3
    assert [one.test for one in read_failure_file(tmp_path / "x.xml").failures] == expected


@pytest.mark.parametrize(
    "encoding",
    ["utf-7", "shift_jis", "gb18030", "big5", "euc_jp", "utf-32", "hex", "rot13", "idna", "no", ""],
)
def test_encodings_that_cannot_be_read_are_refused(tmp_path, encoding):
    path = tmp_path / "x.xml"
    path.write_text(f'<?xml version="1.0" encoding="{encoding}"?><testsuite/>')
    with pytest.raises(fw.CorruptFileError, match=r"x\.xml is not a whole JUnit report"):
        read_failures(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1", "cp1252", "koi8-r"])
def test_encodings_that_are_read(tmp_path, encoding):
    text = f'<?xml version="1.0" encoding="{encoding}"?><testsuite><testcase name="a"><failure>'
    path = tmp_path / "x.xml"
    path.write_bytes((text + "KeyError: 1</failure></testcase></testsuite>").encode(encoding))
    assert [one.failure.exception for one in read_failures(path)] == ["KeyError"]


def test_elements_nested_deep(tmp_path):
    deep = "<a>" * 100_000 + "KeyError: 1" + "</a>" * 100_000
    path = report(tmp_path / "x.xml", f'<testcase name="a"><failure>{deep}</failure></testcase>')
    assert [one.failure.exception for one in read_failures(path)] == ["KeyError"]


def test_a_damaged_report_is_closed(tmp_path, monkeypatch):
    path, opened, real = tmp_path / "x.xml", [], Path.open

    def kept(*arguments, **options):
        opened.append(real(*arguments, **options))
        return opened[-1]

    monkeypatch.setattr(Path, "open", kept)
    path.write_bytes(b"<testsuite><testcase>")
    with pytest.raises(fw.CorruptFileError):
        read_failures(path)
    assert opened
    assert all(file.closed for file in opened)
