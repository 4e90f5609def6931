"""Changes of files of flashwasm's format and of SQLite's that the files' own checks accept."""

import json
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np
from mutations import mutated

from flashwasm.errors import CorruptFileError
from flashwasm.storage.file_format import Container
from flashwasm.storage.file_reading import container_kind, read_container
from flashwasm.storage.file_writing import write_container

_NAMES = ["", "cosine", "dot", "l2", "float32", "int8"]
_FLOATS = [0, -1, np.nan, np.inf, 1e38, 1e-45]
_VALUES = [None, -1, 0, 1 << 40, 1 << 63, 1.5, float("nan"), "", "x", [], {}, True, ["x"]]
_CELLS = [None, -1, 0, 1 << 40, (1 << 63) - 1, 1.5, "", "x\0", b"", b"\xff", b"\xff" * 999]


def edited_container(data, others, random, tokens=()):
    """Return a file of flashwasm's format with another parameter, array, name or text in it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x")
        path.write_bytes(data)
        try:
            kind = container_kind(path)
            content = read_container(path, kind) if kind else None
        except CorruptFileError:
            content = None
        if content is None:
            return mutated(data, others, random, tokens)
        sections, names = dict(content.sections), [content.metric, content.dtype]
        parameters = dict(content.parameters)
        for _ in range(random.choice((1, 1, 2, 3))):
            change = random.randrange(8)
            if change == 0 and parameters:
                parameters[random.choice(list(parameters))] = random.choice(_VALUES)
            elif change == 1:
                names[random.randrange(2)] = random.choice(_NAMES)
            elif change == 2 and sections:
                del sections[random.choice(list(sections))]
            elif sections:
                name = random.choice(list(sections))
                sections[name] = _edited_array(sections[name], random, tokens)
        write_container(path, Container(kind, *names, parameters, sections))
        return path.read_bytes()


def _edited_array(array, random, tokens):
    """Return an array with another element, length, shape or dtype; JSON with another value."""
    if array.dtype == np.uint8 and array.ndim == 1 and array[:1].tobytes() in {b"{", b"["}:
        return np.frombuffer(_edited_json(array.tobytes(), random, tokens), np.uint8)
    change = random.randrange(4)
    if change == 0:
        return array[: random.randrange(len(array) + 1)]
    if change == 1:
        return np.concatenate([array, array[: random.randrange(len(array) + 1)]])
    if change == 2:
        kept = random.choice((np.uint8, np.int8, np.uint32, np.int32, np.int64, np.float32))
        with np.errstate(all="ignore"):
            return np.resize(array, random.choice((array.shape, (array.size,), (0, 7)))).astype(
                kept
            )
    array = array.copy()
    if array.size:
        limits = [0, 1, -1] if array.dtype.kind == "f" else np.iinfo(array.dtype)
        new = random.choice(_FLOATS if array.dtype.kind == "f" else [limits.min, limits.max, 0, 1])
        array.flat[random.randrange(array.size)] = new
    return array


def _edited_json(data, random, tokens):
    """Return JSON with another value somewhere, or with changed bytes."""
    try:
        document = json.loads(data) if random.random() < 0.7 else None
    except ValueError:  # An earlier change has damaged it.
        document = None
    if document is None:
        return mutated(data, [data], random, tokens)
    at = document
    while isinstance(at, (dict, list)) and at:
        key = random.choice(list(at) if isinstance(at, dict) else range(len(at)))
        if not isinstance(at[key], (dict, list)) or random.random() < 0.2:
            at[key] = random.choice([*_VALUES, "\0", "\ud800", "../x"])
            break
        at = at[key]
    return json.dumps(document).encode()


def edited_database(data, others, random, tokens=()):
    """Return a SQLite file with another value in a row, or with changed bytes."""
    if random.random() < 0.5:
        return mutated(data, others, random, tokens)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x")
        path.write_bytes(data)
        try:
            with closing(sqlite3.connect(path)) as database, database:
                query = "select name from sqlite_master where type = 'table' and rootpage > 0"
                table = random.choice([name for (name,) in database.execute(query)])
                columns = database.execute("select name from pragma_table_info(?)", (table,))
                column = random.choice([name for (name,) in columns])
                database.execute(
                    f'update or replace "{table}" set "{column}" = ? '  # noqa: S608 - own file.
                    "where rowid % ? = 0",
                    (random.choice(_CELLS), random.choice((1, 2, 3))),
                )
        except (sqlite3.Error, IndexError):
            return mutated(data, others, random, tokens)
        return path.read_bytes()
