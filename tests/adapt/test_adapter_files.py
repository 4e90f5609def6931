"""Files of adapters: a saved file is read back unchanged, and a damaged file is refused."""

import numpy as np
import pytest

import flashwasm as fw
from adapter_updates import trained_by_all_losses
from flashwasm.storage.file_reading import read_container
from flashwasm.storage.file_writing import write_container
from sample_arrays import assert_same_bits, normal


@pytest.mark.parametrize(
    "options",
    [{}, {"optimizer": "sgd", "alpha": 7.5}, {"ewc_lambda": 0.0, "weight_decay": 0.1}],
    ids=str,
)
def test_an_adapter_is_read_as_it_was_saved(runtime, tmp_path, options):
    adapter = trained_by_all_losses(runtime, **options)
    adapter.save(tmp_path / "adapter")
    read = fw.LoRAAdapter.load(tmp_path / "adapter", runtime=runtime)
    assert repr(read) == repr(adapter) == "LoRAAdapter(in_dim=9, out_dim=9, rank=3, updates=39)"
    for name in ("alpha", "learning_rate", "optimizer", "weight_decay", "ewc_lambda", "seed"):
        assert getattr(read, name) == getattr(adapter, name)
    # Further updates have the same bits too.
    for i in range(20):
        for one in (read, adapter):
            one.update_contrastive(normal(9, seed=i), normal(9), normal(30, 9))
        if one.ewc_lambda and i % 7 == 3:
            read.consolidate()
            adapter.consolidate()
    assert_same_bits(read.apply(normal(5, 9)), adapter.apply(normal(5, 9)))
    adapter.save(tmp_path / "one")
    read.save(tmp_path / "other")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_changed_files_are_refused(one_thread, tmp_path):
    trained_by_all_losses(one_thread).save(tmp_path / "adapter")
    content = (tmp_path / "adapter").read_bytes()
    damaged = tmp_path / "damaged"
    for i in range(0, len(content), 61):
        damaged.write_bytes(content[:i] + bytes([content[i] ^ 0x10]) + content[i + 1 :])
        with pytest.raises(fw.CorruptFileError):
            fw.LoRAAdapter.load(damaged, runtime=one_thread)
    for length in (0, 7, 100, len(content) - 1):
        damaged.write_bytes(content[:length])
        with pytest.raises(fw.CorruptFileError):
            fw.LoRAAdapter.load(damaged, runtime=one_thread)
    with pytest.raises(fw.CorruptFileError, match="whitening"):
        fw.Whitening.load(tmp_path / "adapter")
    with pytest.raises(FileNotFoundError):
        fw.LoRAAdapter.load(tmp_path / "none", runtime=one_thread)


def changes():
    """Yield a name, the section or parameter to change, and its new value or how to change it.

    The checksums are right afterwards, so the contents have to be checked.
    """
    parameters = {
        "rank": [0, 2, 65, "3", None, 3.0],
        "in_dim": [8, 0, 4097, 13],
        "out_dim": [13],
        "alpha": [None.__class__, float("nan"), -1.0],
        "optimizer": ["sgd", "other", 3],
        "ewc_lambda": [0.0, -1.0],
        "ewc_samples": [3, 0],
        "seed": [-1],
        "progress": [[39, 17], [39, 52, 0.5, 0.5], [-1, 0, 0.5, 0.5], [39, 17, 2.0, 0.5], 3, None],
        "other": [1],
    }
    for name, values in parameters.items():
        for value in values:
            yield f"{name}={value}", (name, value if value is not type(None) else [1])
    for name in ("weights", "first", "anchor", "samples"):
        yield f"no {name}", (name, None)
        yield f"short {name}", (name, lambda x: x[:-1])
        yield f"integers in {name}", (name, lambda x: x.astype(np.int32))
    # The integers that a sample begins with: loss, candidates, adapted, metric, accepted.
    for head in ([3], [1, 0], [1, 2000], [1, 1, 2], [1, 1, 0, 2], [2, 1, 0, 0, 2], [0, 1, 1]):

        def edit(x, head=head):
            x = x.copy()
            x[1, : len(head)] = head
            return x

        yield f"samples: {head}", ("samples", edit)
    yield "samples: wider", ("samples", lambda x: np.pad(x, ((0, 0), (0, 1))))


@pytest.mark.parametrize("change", [pytest.param(c, id=name) for name, c in changes()])
def test_files_that_no_adapter_wrote_are_refused(one_thread, tmp_path, change):
    trained_by_all_losses(one_thread).save(tmp_path / "adapter")
    container = read_container(tmp_path / "adapter", "lora-adapter")
    name, value = change
    if name not in container.sections:
        container.parameters[name] = value
    elif value is None:
        del container.sections[name]
    else:
        container.sections[name] = value(container.sections[name])
    write_container(tmp_path / "adapter", container)
    with pytest.raises(fw.CorruptFileError, match="does not contain an adapter"):
        fw.LoRAAdapter.load(tmp_path / "adapter", runtime=one_thread)
