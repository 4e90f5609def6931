"""SQLite files of other programs: plain tables are accepted, untrustworthy contents are refused."""

import sqlite3
from contextlib import closing

import pytest

from flashwasm.storage.foreign_database import check_database, one_line

TABLE = "create table a (id integer primary key, b text, unique (b)); insert into a values (1, 'x')"


def database(script):
    connection = sqlite3.connect(":memory:")
    connection.executescript(f"{TABLE}; {script}")
    return closing(connection)


@pytest.mark.parametrize(
    "script", ["", "create index i on a (b)", "create table c (d check (d > 0)); drop table a"]
)
def test_plain_tables_pass(script):
    with database(script) as connection:
        check_database(connection)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("create view v as select 1", "contains the view 'v'"),
        ("create trigger t after insert on a begin select 1; end", "contains the trigger 't'"),
        ("create virtual table f using fts5(x)", "contains the virtual table 'f'"),
        ("alter table a add column c as (zeroblob(1000000000))", "table 'a' computes a column"),
        ("create table c (d, e as (hex(d)) stored)", "table 'c' computes a column"),
    ],
)
def test_what_computes_rows_or_runs_by_itself_is_refused(script, message):
    with (
        database(script) as connection,
        pytest.raises(sqlite3.DatabaseError, match=f"{message}.* expected plain tables"),
    ):
        check_database(connection)


def test_a_message_takes_one_line():
    """SQLite quotes a damaged schema with the ends of its lines."""
    with closing(sqlite3.connect(":memory:")) as connection:
        with pytest.raises(sqlite3.Error) as caught:
            connection.execute('create table x (\n  "y\n)')
        assert "\n" in str(caught.value)
    assert one_line(caught.value) == 'unrecognized token: ""y )"'
    assert len(one_line(ValueError("x" * 1000))) == 200
