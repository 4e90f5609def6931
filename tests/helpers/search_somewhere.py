"""Search a small suite in a process whose cache folders are unusable.

    python search_somewhere.py CASE FOLDER

It prints the result as JSON, and "unsupported" if the system cannot create the case.
"""

import json
import os
import sys
from pathlib import Path

import flashwasm as fw
import tiny_bert
from checkout import SOURCE
from flashwasm.host import engine
from flashwasm.qe import SuiteIndex
from small_disk import make_read_only, mount
from small_suite import FILES

NOBODY = 54321
VARIABLES = ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "FLASHWASM_CACHE", "FLASHWASM_DATA")


def other_user():
    """Become a user without a name, in the only folder that both users can reach."""
    place = Path("/mnt")
    if os.getuid() or not mount(place, 64 << 20):
        return None
    os.umask(0o022)
    (place / "another's").mkdir(mode=0o700)
    prepare(place)
    # The interpreter and its packages may be in a folder that the other user cannot read.
    search(place, cache=False)
    # Forget the loaded modules, so that the next runtime reads the cache again.
    engine.process_state.modules.clear()
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    return place if os.access(SOURCE / "_wasm" / "manifest.json", os.R_OK) else None


def nobody(folder):
    """Run without a home and an entry in the list of users, like `docker run --user 54321`."""
    del folder
    return other_user()


def another_users_folder(folder):
    del folder
    os.environ["XDG_CACHE_HOME"] = os.environ["HOME"] = "/mnt/another's"
    return other_user()


def read_only_home(folder):
    home = folder / "home"
    home.mkdir()
    if not mount(home, 1 << 20):
        return None
    make_read_only(home)
    os.environ["HOME"] = str(home)
    return folder


def missing_home(folder):
    """Run with a home that does not exist and cannot be created."""
    (folder / "file").touch()
    os.environ["HOME"] = str(folder / "file" / "home")
    return folder


def cache_that_is_a_file(folder):
    (folder / "file").touch()
    os.environ["XDG_CACHE_HOME"] = str(folder / "file")
    return folder


def not_utf_8(folder):
    """Run with folders, including that of the suite, whose names are not UTF-8."""
    place = folder / os.fsdecode(b"\xff")
    # The helper that writes a model accepts only names in UTF-8.
    prepare(folder / "prepared")
    (folder / "prepared").rename(place)
    os.environ["XDG_CACHE_HOME"] = os.environ["XDG_DATA_HOME"] = str(place / "home")
    return place


CASES = (
    nobody,
    another_users_folder,
    read_only_home,
    missing_home,
    cache_that_is_a_file,
    not_utf_8,
)


def prepare(place):
    """Write a model and a suite."""
    tiny_bert.write(place / "model")
    for file in (place / "model").iterdir():
        file.chmod(0o644)
    for name, source in FILES.items():
        (place / "suite" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "suite" / name).write_text(source)


def search(place, *, cache):
    """Search the suite in a new runtime, and return the results."""
    index = SuiteIndex.build(
        place / "suite",
        model=place / "model",
        scorers=("structure", "meaning"),
        cache=cache,
        runtime=fw.Runtime(threads=1),
    )
    return [(match.nodeid, match.score) for match in index.similar("an edge", 9)]


def main(case, folder):
    for variable in VARIABLES:
        os.environ.pop(variable, None)
    place = {one.__name__: one for one in CASES}[case](Path(folder))
    if place is None:
        sys.stdout.write("unsupported")
        return
    if not (place / "suite").exists():
        prepare(place)
    found = [search(place, cache=cache) for cache in (True, True, False)]
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
