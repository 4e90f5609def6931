"""The user's folders: an environment variable, or the platform's own."""

from pathlib import Path

import pytest

import flashwasm as fw
from every_operation import in_child
from flashwasm.storage.user_folders import cache_folder, data_folder

FOLDERS = [
    (data_folder, "FLASHWASM_DATA", "XDG_DATA_HOME"),
    (cache_folder, "FLASHWASM_CACHE", "XDG_CACHE_HOME"),
]


@pytest.mark.parametrize(("folder", "own", "xdg"), FOLDERS)
def test_an_environment_variable_names_the_folder(folder, own, xdg, monkeypatch, tmp_path):
    monkeypatch.setenv(own, str(tmp_path))
    monkeypatch.setenv(xdg, "/elsewhere")
    assert folder() == tmp_path


@pytest.mark.parametrize(("folder", "own", "xdg"), FOLDERS)
def test_the_platforms_folder(folder, own, xdg, monkeypatch, tmp_path):
    monkeypatch.delenv(own, raising=False)
    monkeypatch.delenv(xdg, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folder().is_relative_to(tmp_path) or not Path.home().is_relative_to(tmp_path)
    assert "flashwasm" in folder().parts


@pytest.mark.parametrize(("folder", "own", "xdg"), FOLDERS)
def test_a_user_without_a_home_is_told_what_to_set(folder, own, xdg, monkeypatch):
    monkeypatch.delenv(own, raising=False)
    monkeypatch.delenv(xdg, raising=False)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)

    def no_home():
        raise RuntimeError

    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(fw.CapabilityError, match=own):
        folder()


def test_without_a_home_kernels_run():
    """A container has such a user if it is started with `docker run --user 12345`."""
    code = (
        "import pathlib\n"
        "def no_home(): raise RuntimeError\n"
        "pathlib.Path.home = no_home\n"
        "print(fw.softmax(np.ones(2, 'f4')).tolist())"
    )
    unset = dict.fromkeys(("FLASHWASM_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"), "")
    assert in_child(code, **unset) == "[0.5, 0.5]\n"
