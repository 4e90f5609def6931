"""Bad input of the functions over suites, coverage, failures and feedback.

They accept paths, texts, counts and flags. None of them accepts an array.
"""

import tempfile
from functools import cache
from pathlib import Path

from option_rows import count, flag, number, path_option, runtime_option
from subject import Row, Subject, row, unnamed

import flashwasm as fw
from coverage_data import index_of
from failures import failure
from flashwasm import qe
from small_suite import FILES

# Things that are no text.
NO_TEXT = [1, 1.5, b"odd", [], {}, object(), True, None]
COVERAGE = index_of(
    {"test_a.py::test_one": {"lib.py": {1, 2}}, "test_b.py::test_two": {"lib.py": {2}}}
)
FAILURES = [failure(), failure(message="worse")]
CODE = "def add_edge(graph, a, b):\n    return graph.add(a, b)\n"


def text(name, wrong=NO_TEXT):
    """Return the rows of an argument that is a text."""
    return [row(f"{name} of {value!r:.30}", name, value, fw.DTypeError) for value in wrong]


def made_by(name, *kinds):
    """Return the rows of an argument that is an object of the package."""
    wrong = ["odd", 1, [], {}, object()]
    return [
        row(f"{name} of {value!r:.30}", name, value, fw.DTypeError) for value in (*wrong, *kinds)
    ]


def at(folder, path):
    """Return a path inside a folder; other things than texts are passed as they are."""
    return Path(folder) / path if isinstance(path, str) else path


def written(folder):
    """Write the small suite, and return its folder."""
    for name, source in FILES.items():
        file = Path(folder, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source)
    Path(folder, "pytest.ini").write_text("")
    return folder


def collected(_, path=".", **given):
    """Return the node ids of the small suite."""
    with tempfile.TemporaryDirectory() as folder:
        suite = qe.collect(at(written(folder), path), **{"cache": False, **given})
        return [test.nodeid for test in suite.tests]


def index(rt, **given):
    """Return an index of the small suite, by characters and identifiers."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = {"path": ".", "scorers": ["characters"], "runtime": rt, **given}
        path = at(written(folder), arguments.pop("path"))
        return qe.SuiteIndex.build(path, cache=arguments.pop("cache", False), **arguments)


@cache
def shared_index():
    """Return an index that its methods leave as it is."""
    return index(None)


@cache
def shared_functions():
    """Return an index of functions that its methods leave as it is."""
    return functions(None)


def nodeids(found):
    """Return the node ids of matches."""
    return [match.nodeid for match in found]


def functions(rt, **given):
    """Return an index of a program of one function; without a model it compares identifiers."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "graph.py").write_text(CODE)
        path = at(folder, given.pop("path", "."))
        arguments = {"cache": False, "runtime": rt, **given}
        return qe.FunctionIndex.build(path, **arguments)


def library(folder):
    """Return a library with a defect."""
    made = qe.FailureLibrary(Path(folder, "library"), create=True)
    made.learn("known", FAILURES)
    return made


def with_library(call):
    """Return a call that is given a library of its own."""

    def run(_, **given):
        with tempfile.TemporaryDirectory() as folder:
            return call(library(folder), **given)

    return run


def opened_library(_, path="library", **given):
    """Return the number of defects of a library."""
    with tempfile.TemporaryDirectory() as folder:
        library(folder)
        return len(qe.FailureLibrary(at(folder, path), **given))


def learned(made, name="other", failures=FAILURES, **given):
    """Return the defects after another one was learned."""
    return made.learn(name, failures, **given), made.defects


def read(_, path="log"):
    """Return the failures of a file."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "log").write_text("lib.py:7: in parse\n    x()\nE   ValueError: bad\n")
        return [str(one.failure.signature) for one in qe.read_failures(at(folder, path))]


def with_log(call):
    """Return a call that is given a feedback log of its own."""

    def run(_, **given):
        with tempfile.TemporaryDirectory() as folder:
            return call(qe.FeedbackLog(Path(folder, "log")), **given)

    return run


def saved_coverage(_, path):
    """Return the tests of coverage that was saved and loaded."""
    with tempfile.TemporaryDirectory() as folder:
        COVERAGE.save(at(folder, path))
        return qe.CoverageIndex.load(at(folder, path)).tests


def loaded_coverage(_, path="saved", **given):
    """Return the tests of coverage that was loaded."""
    with tempfile.TemporaryDirectory() as folder:
        COVERAGE.save(Path(folder, "saved"))
        return qe.CoverageIndex.load(at(folder, path), **given).tests


def saved_index(rt, path):
    """Return the tests of an index that was saved and loaded."""
    with tempfile.TemporaryDirectory() as folder:
        index(rt).save(at(folder, path))
        return nodeids(qe.SuiteIndex.load(at(folder, path), runtime=rt).tests)


def loaded_index(rt, path="saved", **given):
    """Return the tests of an index that was loaded."""
    with tempfile.TemporaryDirectory() as folder:
        index(rt).save(Path(folder, "saved"))
        return nodeids(qe.SuiteIndex.load(at(folder, path), **{"runtime": rt, **given}).tests)


def paths_option(name, good):
    """Return the rows of an argument that is a list of paths, where ``good`` is one of them."""
    wrong = [None, 1, good, {good}, {good: 1}, iter([good])]
    return [
        *(row(f"{name} of {value!r:.20}", name, value, fw.DTypeError) for value in wrong),
        row(f"{name} of none", name, [], fw.ShapeError),
        row(f"{name} of a number", name, [good, 1], fw.DTypeError),
        row(f"{name} with a zero byte", name, ["a\0b"], fw.ShapeError),
        row(f"{name} as a tuple", name, (good,)),
        row(f"{name} of one twice", name, [good, good]),
    ]


def inside(folder, paths):
    """Return a list or tuple of paths inside a folder; other things are passed as they are."""
    listed = isinstance(paths, (list, tuple))
    return type(paths)(at(folder, path) for path in paths) if listed else paths


def merged_indexes(rt, paths=("saved",), **given):
    """Return the tests of indexes that were saved and merged."""
    with tempfile.TemporaryDirectory() as folder:
        index(rt).save(Path(folder, "saved"))
        options = {"runtime": rt, **given}
        return nodeids(qe.SuiteIndex.merge(inside(folder, paths), **options).tests)


def merged_coverage(_, paths=("saved",), **given):
    """Return the tests of coverage that was saved and merged."""
    with tempfile.TemporaryDirectory() as folder:
        COVERAGE.save(Path(folder, "saved"))
        return qe.CoverageIndex.merge(inside(folder, paths), **given).tests


def merged_libraries(_, path="merged", libraries=("library",)):
    """Return the defects of libraries that were merged."""
    with tempfile.TemporaryDirectory() as folder:
        library(folder)
        return qe.FailureLibrary.merge(at(folder, path), inside(folder, libraries)).defects


def ranked(_, changes, index="shared", **given):
    """Return "nothing", since there is no change."""
    try:
        of = shared_index() if index == "shared" else index
        return qe.rank_tests(of, changes, **given)
    except fw.ShapeError:
        return "nothing"


def adapted(_, **given):
    """Return "no model", since none of this name is installed."""
    try:
        return qe.adapt_suite(**{"model": "absent", **given})
    except fw.CapabilityError:
        return "no model"


JUDGEMENT = {"query": "a.py::test_1", "test": "a.py::test_2", "accepted": True}
NODE = "test_a.py::test_one"

SUBJECTS = [
    Subject(
        "qe.collect",
        {},
        [
            *(r for r in path_option("path") if r.raises in {fw.DTypeError, fw.ShapeError}),
            row("path of no file", "path", "absent", fw.ShapeError),
            *flag("cache"),
            *(row(f"progress of {x!r}", "progress", x, fw.DTypeError) for x in ("no", 1, True)),
        ],
        collected,
    ),
    Subject(
        "qe.SuiteIndex.build",
        {},
        [
            *(r for r in path_option("path") if r.raises in {fw.DTypeError, fw.ShapeError}),
            row("path of no file", "path", "absent", fw.ShapeError),
            *made_by("coverage"),
            *(r for r in runtime_option() if r.raises is fw.DTypeError),
            *flag("adapted", good=True),
            *flag("cache"),
            *flag("progress"),
            row("scorers of an unknown one", "scorers", ["odd"], fw.ShapeError),
            row("scorers of numbers", "scorers", [1], fw.DTypeError),
            Row(
                "model of a number",
                "model",
                lambda: {"model": 1, "scorers": ["meaning"]},
                fw.DTypeError,
            ),
            Row(
                "model that is not there",
                "model",
                lambda: {"model": "absent", "scorers": ["meaning"]},
                fw.CapabilityError,
            ),
        ],
        lambda rt, **given: nodeids(index(rt, **given).tests),
    ),
    Subject(
        "qe.SuiteIndex.similar",
        {"query": "add an edge", "k": 2},
        [
            *(r for r in text("query")),
            *(r for r in count("k", 2, big=None) if r.raises),
            *flag("explain"),
            *number("explore", 0.0, least=0.0),
            row("explore above 1", "explore", 1.5, fw.ShapeError),
            *(row(f"seed of {s!r}", "seed", s, fw.DTypeError) for s in ("1", 1.5, True, [1])),
            row("seed of -1", "seed", -1, fw.ShapeError),
            row("query of spaces", "query", " ", fw.ShapeError),
            row("query with a lone surrogate", "query", "\ud800 x", fw.DTypeError),
        ],
        lambda _, **given: nodeids(shared_index().similar(**given)),
    ),
    Subject(
        "qe.SuiteIndex.search",
        {"text": "add an edge", "k": 2},
        [*text("text"), *(r for r in count("k", 2, big=None) if r.raises)],
        lambda _, **given: nodeids(shared_index().search(**given)),
    ),
    Subject(
        "qe.SuiteIndex.similar_to_text",
        {"text": "add an edge"},
        text("text"),
        lambda _, **given: nodeids(shared_index().similar_to_text(**given)),
    ),
    Subject(
        "qe.SuiteIndex.find",
        {"query": "test_add_edge"},
        text("query"),
        lambda _, **given: shared_index().find(**given),
    ),
    Subject(
        "qe.SuiteIndex.duplicates",
        {},
        made_by("coverage"),
        lambda _, **given: len(shared_index().duplicates(**given)),
    ),
    Subject("qe.SuiteIndex.save", {"path": "saved"}, path_option("path", read=False), saved_index),
    Subject(
        "qe.SuiteIndex.load",
        {},
        [
            *path_option("path"),
            *flag("adapted", good=True),
            *flag("progress"),
            *(r for r in runtime_option() if r.raises is fw.DTypeError),
            # The index was built without a model, so that none is looked for.
            row("model of a name", "model", "absent"),
        ],
        loaded_index,
    ),
    Subject(
        "qe.SuiteIndex.merge",
        {},
        [
            *paths_option("paths", "saved"),
            unnamed("paths of no file", "paths", ["absent"], OSError),
            *(r for r in made_by("coverage")),
            *flag("adapted", good=True),
            *flag("progress"),
            *(r for r in runtime_option() if r.raises is fw.DTypeError),
            # The index was built without a model, so that none is looked for.
            row("model of a name", "model", "absent"),
        ],
        merged_indexes,
    ),
    Subject(
        "qe.CoverageIndex.merge",
        {},
        [
            *paths_option("paths", "saved"),
            unnamed("paths of no file", "paths", ["absent"], fw.ShapeError),
            *flag("progress"),
        ],
        merged_coverage,
    ),
    Subject(
        "qe.FailureLibrary.merge",
        {},
        [
            *path_option("path", read=False),
            *paths_option("libraries", "library"),
            row("libraries of no file", "libraries", ["absent"], fw.ShapeError),
        ],
        merged_libraries,
    ),
    Subject(
        "qe.FunctionIndex.search",
        {"words": "add an edge", "k": 1},
        [
            *text("words"),
            *(r for r in count("k", 1, big=None) if r.raises),
            row("words of spaces", "words", " ", fw.ShapeError),
            row("words with a lone surrogate", "words", "\ud800 x", fw.DTypeError),
        ],
        lambda _, **given: [m.function.name for m in shared_functions().search(**given)],
    ),
    Subject(
        "qe.FunctionIndex.build",
        {},
        [
            *(r for r in path_option("path") if r.raises in {fw.DTypeError, fw.ShapeError}),
            row("path of no file", "path", "absent", fw.ShapeError),
            *flag("cache"),
            *flag("progress"),
            row("model of a number", "model", 1, fw.DTypeError),
            *(r for r in runtime_option() if r.raises is fw.DTypeError),
        ],
        lambda rt, **given: len(functions(rt, **given).functions),
    ),
    *(
        Subject(
            f"qe.CoverageIndex.{name}",
            {"nodeid": NODE},
            [*text("nodeid"), unnamed("nodeid of no test", "nodeid", "c.py::test", fw.ShapeError)],
            lambda _, name=name, **given: getattr(COVERAGE, name)(**given),
        )
        for name in ("find", "positions", "lines_of")
    ),
    Subject(
        "qe.CoverageIndex.nearest",
        {"nodeid": NODE, "k": 1},
        [*text("nodeid"), *count("k", 1, big=None)],
        lambda _, **given: COVERAGE.nearest(**given),
    ),
    *(
        Subject(
            f"qe.CoverageIndex.{name}",
            {"file": "lib.py"},
            [
                *(Row(r.case, "path", r.given, r.raises) for r in text("file")),
                unnamed("a file that is unknown", "file", "c.py", fw.ShapeError),
            ],
            lambda _, name=name, **given: sorted(map(str, getattr(COVERAGE, name)(**given))),
        )
        for name in ("tested", "lines_outside_tests")
    ),
    Subject(
        "qe.CoverageIndex.save", {"path": "saved"}, path_option("path", read=False), saved_coverage
    ),
    Subject(
        "qe.CoverageIndex.load",
        {},
        [
            *(r for r in path_option("path") if r.raises in {fw.DTypeError, fw.ShapeError}),
            row("rootdir of a number", "rootdir", 1, fw.DTypeError),
            *flag("progress"),
        ],
        loaded_coverage,
    ),
    Subject(
        "qe.cluster_failures",
        {"failures": FAILURES},
        [row(f"failures of {x!r:.20}", "failures", [x], fw.DTypeError) for x in (1, "odd", None)],
        lambda _, **given: [c.members for c in qe.cluster_failures(**given)],
    ),
    Subject(
        "qe.read_failure",
        {"text": "ValueError: bad"},
        text("text"),
        lambda _, **given: qe.read_failure(**given).signature,
    ),
    Subject(
        "qe.read_failures",
        {},
        [
            *(r for r in path_option("path") if r.raises in {fw.DTypeError, fw.ShapeError}),
            unnamed("path of no file", "path", "absent", fw.ShapeError),
        ],
        read,
    ),
    Subject(
        "qe.read_diff",
        {"text": ""},
        text("text"),
        lambda _, **given: qe.read_diff(**given),
    ),
    Subject(
        "qe.FailureLibrary",
        {},
        [
            *(r for r in path_option("path") if r.raises in {fw.DTypeError, fw.ShapeError}),
            unnamed("path of no file", "path", "absent", fw.ShapeError),
            *flag("create"),
        ],
        opened_library,
    ),
    Subject(
        "qe.FailureLibrary.learn",
        {"name": "other"},
        [
            *text("name"),
            row("name of spaces", "name", " ", fw.ShapeError),
            *(
                Row(f"failures of {x!r}", "failure", lambda x=x: {"failures": [x]}, fw.DTypeError)
                for x in (1, "odd", None)
            ),
            *flag("resolved"),
            *text("note"),
        ],
        with_library(learned),
    ),
    Subject(
        "qe.FailureLibrary.match",
        {"failure": FAILURES[0]},
        [row(f"failure of {x!r:.30}", "failure", x, fw.DTypeError) for x in NO_TEXT]
        + [row("test of a number", "test", 1, fw.DTypeError)],
        with_library(lambda made, **given: made.match(**given).defect),
    ),
    Subject(
        "qe.FailureLibrary.match_all",
        {"failures": FAILURES},
        [
            Row(f"failures of {x!r}", "failure", lambda x=x: {"failures": [x]}, fw.DTypeError)
            for x in (1, "odd", None)
        ],
        with_library(lambda made, **given: [m.defect for m in made.match_all(**given)]),
    ),
    Subject(
        "qe.Judgement",
        JUDGEMENT,
        [
            *flag("accepted", good=True),
            *(r for r in count("rank", 1, big=None, optional=True) if r.raises),
            *number("propensity", 0.5, optional=True),
            row("propensity of 0", "propensity", 0, fw.ShapeError),
            *(
                r
                for name in ("query", "test", "source", "asked", "time", "user")
                for r in text(name)
            ),
            row("test that is the query", "test", "a.py::test_1", fw.ShapeError),
            row("query of spaces", "query", " ", fw.ShapeError),
        ],
        lambda _, **given: qe.Judgement(**given).accepted,
    ),
    Subject(
        "qe.FeedbackLog",
        {"path": None},
        [row(f"path of {x!r:.30}", "path", x, fw.DTypeError) for x in NO_TEXT if x is not None],
        lambda _, path: type(qe.FeedbackLog(path)).__name__,
    ),
    Subject(
        "qe.FeedbackLog.add",
        {"suite": "suite", "judgement": qe.Judgement(**JUDGEMENT)},
        [
            *(row(f"suite of {x!r:.30}", "suite", x, fw.DTypeError) for x in NO_TEXT),
            *made_by("judgement", None),
        ],
        with_log(lambda log, **given: log.add(**given).accepted),
    ),
    Subject(
        "qe.FeedbackLog.add_shown",
        {"suite": "suite", "query": "a", "asked": "b", "shown": []},
        [
            *(row(f"suite of {x!r:.30}", "suite", x, fw.DTypeError) for x in NO_TEXT),
            *text("query"),
            *text("asked"),
            row("shown of texts", "shown", ["odd"], fw.DTypeError),
        ],
        with_log(lambda log, **given: log.add_shown(**given)),
    ),
    Subject(
        "qe.FeedbackLog.judgements",
        {"suite": "suite"},
        [row(f"suite of {x!r:.30}", "suite", x, fw.DTypeError) for x in NO_TEXT],
        with_log(lambda log, **given: log.judgements(**given)),
    ),
    Subject(
        "qe.find_duplicates",
        {"tests": []},
        [
            row("tests of texts", "tests", ["odd"], fw.DTypeError),
            *made_by("coverage"),
            *(row(f"progress of {x!r}", "progress", x, fw.DTypeError) for x in ("no", 1, True)),
        ],
        lambda _, **given: qe.find_duplicates(**given),
    ),
    Subject(
        "qe.CoverageIndex.who",
        {"file": "lib.py", "lines": [1]},
        [
            *(Row(r.case, "path", r.given, r.raises) for r in text("file")),
            *(row(f"lines of {x!r}", "lines", x, fw.DTypeError) for x in (None, 1, ["a"], [1.5])),
            *flag("fixtures"),
        ],
        lambda _, **given: COVERAGE.who(**given),
    ),
    Subject(
        "qe.CoverageIndex.shared_lines",
        {"nodeids": [NODE]},
        [
            Row("nodeids of a number", "nodeid", lambda: {"nodeids": [1]}, fw.DTypeError),
            row("nodeids of none", "nodeids", [], gives={}),
        ],
        lambda _, nodeids: COVERAGE.shared_lines(*nodeids),
    ),
    Subject(
        "qe.CoverageIndex.lines_shared_with",
        {"nodeid": NODE, "others": [NODE]},
        [
            row("nodeid of a number", "nodeid", 1, fw.DTypeError),
            Row("an unknown nodeid", "no test", lambda: {"nodeid": "absent"}, fw.ShapeError),
            Row("others of a number", "nodeid", lambda: {"others": [1]}, fw.DTypeError),
            row("others of a single text", "others", NODE, fw.DTypeError),
            row("others of none", "others", [], gives=[]),
        ],
        lambda _, **given: COVERAGE.lines_shared_with(**given),
    ),
    Subject(
        "qe.CoverageIndex.identical",
        {},
        [
            row("without of a single text", "without", "lib.py", fw.DTypeError),
            row("without of numbers", "without", [1], fw.DTypeError),
        ],
        lambda _, **given: COVERAGE.identical(**given),
    ),
    Subject(
        "qe.FailureLibrary.learn_all",
        {"defects": {"other": FAILURES}},
        [
            *(row(f"defects of {x!r}", "defects", x, fw.DTypeError) for x in (None, 1, "odd", [])),
            Row("a failure of text", "failure", lambda: {"defects": {"a": ["b"]}}, fw.DTypeError),
            Row("a name of a number", "name", lambda: {"defects": {1: FAILURES}}, fw.DTypeError),
        ],
        with_library(lambda made, **given: made.learn_all(**given)),
    ),
    Subject(
        "qe.find_gaps",
        {"index": COVERAGE, "root": "absent"},
        [
            *made_by("index", None),
            row("root of a number", "root", 1, fw.DTypeError),
            row("only of a list", "only", ["lib.py"], fw.DTypeError),
            *flag("tests"),
            *flag("progress"),
        ],
        lambda _, **given: qe.find_gaps(**given),
    ),
    Subject(
        "qe.rank_tests",
        {"changes": []},
        [
            *made_by("index", None),
            row("changes of texts", "changes", ["odd"], fw.DTypeError),
            *made_by("coverage"),
            *made_by("graph"),
            *flag("progress"),
        ],
        ranked,
    ),
    Subject(
        "qe.adapt_suite",
        {"path": "."},
        [
            *(row(f"path of {x!r:.30}", "path", x, fw.DTypeError) for x in NO_TEXT),
            *made_by("log"),
            *made_by("store"),
            *(row(f"seed of {s!r}", "seed", s, fw.DTypeError) for s in ("1", 1.5, None, [1])),
            *flag("progress"),
            *flag("cache"),
            *(r for r in runtime_option() if r.raises is fw.DTypeError),
            row("model of a number", "model", 1, fw.DTypeError),
        ],
        adapted,
    ),
]
