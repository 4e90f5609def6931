"""Fuzz the readers with atheris, each target in a separate process.

The folder of --folder stores inputs that reach new code, as the corpus, and inputs that reveal a
fault. The exit status is 1 if a fault was found.
"""

import argparse
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "tests" / "helpers"), str(ROOT)]
# A content that takes longer, or a process that takes more memory, counts as a fault.
SECONDS_A_FILE, MEGABYTES = 20, 3000
LONGEST = 1 << 16


def fuzz(name, arguments):
    """Fuzz one target in this process, which ends with that."""
    import atheris  # noqa: PLC0415 - the process that starts the others needs none of it.

    with atheris.instrument_imports(include=["flashwasm", "bench.recorded", "bench.findings"]):
        import targets  # noqa: PLC0415 - it is to be instrumented.
        from index_targets import INDEX_TARGETS  # noqa: PLC0415
        from source_targets import SOURCE_TARGETS  # noqa: PLC0415

    target = {one.name: one for one in [*INDEX_TARGETS, *SOURCE_TARGETS]}[name]
    with tempfile.TemporaryDirectory() as folder:
        targets.enter(Path(folder))
        seeds = target.seeds()
        for i, seed in enumerate(seeds):
            Path(arguments[0], f"seed-{i}").write_bytes(seed)

        def change(data, most, seed):
            generator = random.Random(seed)  # noqa: S311 - it must repeat.
            if generator.random() < 0.3:
                return atheris.Mutate(data, most)
            return target.edit(data, seeds, generator, target.tokens)[:most]

        atheris.Setup(
            [name, *arguments], lambda data: targets.check(target, data), custom_mutator=change
        )
        atheris.Fuzz()


def main():
    """Fuzz each target in a process of its own, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="targets; none means all")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "fuzz")
    given = parser.parse_args()
    from index_targets import INDEX_TARGETS  # noqa: PLC0415 - a process with --one imports it later.
    from source_targets import SOURCE_TARGETS  # noqa: PLC0415

    known = [one.name for one in [*INDEX_TARGETS, *SOURCE_TARGETS]]
    failed = [name for name in given.names or known if not _run(name, given)]
    _say(f"{len(failed)} targets with faults: {', '.join(failed) or 'none'}")
    sys.exit(bool(failed))


def _say(text):
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _run(name, given):
    """Fuzz a target in a process of its own; return False if that found a fault."""
    corpus, faults = given.folder.resolve() / "corpus" / name, given.folder.resolve() / "faults"
    corpus.mkdir(parents=True, exist_ok=True)
    faults.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, __file__, "--one", name, str(corpus)]
    command += [f"-max_total_time={given.seconds}", f"-timeout={SECONDS_A_FILE}"]
    command += [f"-rss_limit_mb={MEGABYTES}", f"-max_len={LONGEST}"]
    command += [f"-artifact_prefix={faults}/{name}-", "-print_final_stats=1", "-verbosity=0"]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
    output = ran.stdout + ran.stderr
    runs = re.search(r"number_of_executed_units: (\d+)", output)
    _say(f"{name}: {runs[1] if runs else 'no'} runs, {'a fault' if ran.returncode else 'no fault'}")
    if ran.returncode:
        (faults / f"{name}.log").write_text(output)
        shown = (line for line in output.splitlines() if not line.startswith("INFO: "))
        _say("\n".join([*shown][:40]))
    return ran.returncode == 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        fuzz(sys.argv[2], sys.argv[3:])
    else:
        main()
