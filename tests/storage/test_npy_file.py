"""Files of NumPy: arrays are read back, and any other contents are refused."""

import numpy as np
import pytest

import flashwasm as fw
from flashwasm.storage.npy_file import read_npy


def header(text):
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text


def test_an_array_comes_back(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(6).reshape(2, 3))
    assert read_npy(tmp_path / "x.npy").tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        b"cos\nsystem\n(S'true'\ntR.",
        header(b"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}\n"),
        header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999,)}\n"),
        header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (1" + b"0" * 30 + b",)}\n"),
        header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}\n"),
        header(b"{'descr'\xff '<f4'"),
        header(b"{'descr': [['a'"),
        header(b"[" * 5000),
    ],
)
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(fw.CorruptFileError, match=r"x\.npy is not a complete \.npy file: "):
        read_npy(tmp_path / "x.npy")


def test_no_advice_to_load_a_file_of_another_kind(tmp_path):
    (tmp_path / "x.npy").write_text("# Notes")
    with pytest.raises(fw.CorruptFileError, match="first bytes are those of another kind"):
        read_npy(tmp_path / "x.npy")


def test_an_archive_of_arrays_is_refused(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.ones(1))
    with pytest.raises(fw.CorruptFileError, match="it contains several arrays"):
        read_npy(tmp_path / "x.npz")
