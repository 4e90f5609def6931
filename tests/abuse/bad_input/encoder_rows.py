"""Bad input of the sentence encoder, with a random model of a few kilobytes."""

import tempfile
from functools import cache
from pathlib import Path

from option_rows import count, runtime_option, word
from subject import Row, Subject, row, unnamed

import flashwasm as fw
import tiny_bert

TEXTS = ["add edge", "remove node"]


@cache
def model():
    """Return the folder of the model, which lasts until the process ends."""
    folder = tempfile.TemporaryDirectory()
    tiny_bert.write(Path(folder.name))
    return folder


def loaded(rt, **given):
    """Return an embedding by a model that was loaded."""
    encoder = fw.SentenceEncoder.load(**{"model": model().name, "runtime": rt, **given})
    return encoder.encode(TEXTS)


def encoding(method):
    """Return a call of a method of an encoder."""

    def run(rt, **given):
        return getattr(fw.SentenceEncoder.load(model().name, runtime=rt), method)(**given)

    return run


ARGUMENTS = [
    *(
        row(f"texts of {value!r:.30}", "texts", value, fw.DTypeError)
        for value in ("one text", b"text", None, 1, [1], [None], ["a", b"b"], object(), ["\ud800"])
    ),
    Row("texts from a generator", "texts", lambda: {"texts": iter(TEXTS)}),
    *count("batch_tokens", 2048, big=None),
    *count("max_length", 256, big=None),
    row("max_length of 1", "max_length", 1, fw.ShapeError),
    *(
        row(f"progress of {value!r}", "progress", value, fw.DTypeError)
        for value in ("no", 0, 1, None, [])
    ),
]

SUBJECTS = [
    Subject(
        "SentenceEncoder.load",
        {},
        [
            *(
                row(f"model of {value!r:.30}", "model", value, fw.DTypeError)
                for value in (1, 1.5, True, b"odd", [], {}, object())
            ),
            row("model with a zero byte", "model", "a\0b", fw.ShapeError),
            unnamed("model that is not there", "model", "absent", fw.CapabilityError),
            unnamed("model without a name", "model", "", fw.CapabilityError),
            *word("precision", "float32"),
            *runtime_option(),
        ],
        loaded,
    ),
    Subject("SentenceEncoder.encode", {"texts": TEXTS}, ARGUMENTS, encoding("encode")),
    Subject(
        "SentenceEncoder.encode_tokens", {"texts": TEXTS}, ARGUMENTS, encoding("encode_tokens")
    ),
]
