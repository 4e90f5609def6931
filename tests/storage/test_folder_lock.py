"""The lock on a folder: one holder at a time, none after a kill; systems without locks."""

import errno
import subprocess
import sys
from threading import Thread

import pytest

from flashwasm.storage import folder_lock
from flashwasm.storage.folder_lock import locked


def test_threads_take_turns(tmp_path):
    file = tmp_path / "folder" / "number"

    def count():
        for _ in range(50):
            with locked(file.parent):
                number = int(file.read_text()) if file.exists() else 0
                file.write_text(str(number + 1))

    threads = [Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert file.read_text() == "150"


def test_a_holder_that_does_not_end_is_an_error(tmp_path):
    late = pytest.raises(TimeoutError, match="another process is writing")
    with locked(tmp_path), late, locked(tmp_path, patience=0.05):
        pass
    with locked(tmp_path, patience=0):
        pass


def test_a_killed_process_holds_no_lock(tmp_path):
    code = (
        "import sys, pathlib, time\n"
        "from flashwasm.storage.folder_lock import locked\n"
        "with locked(pathlib.Path(sys.argv[1])): print(flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE
    ) as holder:
        holder.stdout.readline()
        with pytest.raises(TimeoutError), locked(tmp_path, patience=0):
            pass
        holder.kill()
    with locked(tmp_path, patience=0):
        pass


def test_where_the_system_has_no_locks_the_block_runs(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(errno.ENOLCK, "no locks available")

    with monkeypatch.context() as patch:
        patch.setattr(folder_lock.fcntl, "flock", none)
        with locked(tmp_path), locked(tmp_path):
            pass
    monkeypatch.setattr(folder_lock, "fcntl", None)
    with locked(tmp_path), locked(tmp_path):
        pass
