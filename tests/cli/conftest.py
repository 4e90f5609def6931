"""Fixtures for tests of commands."""

import pytest


@pytest.fixture
def work(tmp_path, monkeypatch):
    """Work in an empty folder, with a new folder for data and another one for caches."""
    monkeypatch.setenv("FLASHWASM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder
