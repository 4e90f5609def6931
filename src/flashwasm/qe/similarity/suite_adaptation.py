"""Adapting a suite to the feedback that it was given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flashwasm.errors import ShapeError
from flashwasm.progress_bar import progress_report
from flashwasm.qe.adaptation.adaptation_store import AdaptationStore, Version
from flashwasm.qe.adaptation.adapter_training import train
from flashwasm.qe.adaptation.cross_validation import EmbeddedSuite, Verdict, judge
from flashwasm.qe.adaptation.embedding_adaptation import Adaptation, prior
from flashwasm.qe.adaptation.feedback_log import FeedbackLog
from flashwasm.qe.adaptation.judged_pairs import Pairs
from flashwasm.qe.scoring.embeddings import Embedder
from flashwasm.qe.similarity.suite_index import SuiteIndex
from flashwasm.runtime.runtime import default_runtime

if TYPE_CHECKING:
    from flashwasm.encoder import SentenceEncoder
    from flashwasm.runtime.runtime import Runtime

__all__ = ["Adapted", "adapt_suite"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Adapted:
    """What `adapt_suite` did.

    Attributes
    ----------
    version : Version or None
        The version that is active now because of it; None where nothing changed.
    verdict : Verdict
        What the gate found.
    judged : int
        Pairs that the log has of this suite.
    unknown : int
        Those of them with a test that is not in the suite any more.
    """

    version: Version | None
    verdict: Verdict
    judged: int
    unknown: int


def adapt_suite(
    path: str | Path,
    *,
    model: str | Path | SentenceEncoder | None = None,
    log: FeedbackLog | None = None,
    store: AdaptationStore | None = None,
    seed: int = 0,
    progress: bool = False,
    cache: bool = True,
    runtime: Runtime | None = None,
) -> Adapted:
    """Adapt a suite's embeddings to feedback, and use that from now on if it is shown to help.

    Parameters
    ----------
    path : str or pathlib.Path
        A folder of pytest tests, or one file.
    model : str, pathlib.Path or SentenceEncoder, optional
        As for `SuiteIndex.build`.
    log : FeedbackLog, optional
        The feedback; the user's own when None.
    store : AdaptationStore, optional
        Where versions are kept; the user's own for this suite when None.
    seed : int, default 0
        What decides about folds, training and resampling.
    progress, cache, runtime
        As for `SuiteIndex.build`.

    Returns
    -------
    Adapted

    Raises
    ------
    CapabilityError
        If the model is not installed.
    ShapeError
        If there is no such path, or there is no feedback on this suite.
    CorruptFileError
        If the log or the store is damaged.

    Notes
    -----
    What is judged is the order that `SuiteIndex.similar` has, with all scorers that are installed:
    see `adaptation_gate.judge`.
    """
    rt = default_runtime() if runtime is None else runtime
    embedder = Embedder(model, cache=cache, runtime=rt)
    options: dict[str, Any] = {"progress": progress, "cache": cache, "runtime": rt}
    index = SuiteIndex.build(path, model=model, adapted=False, **options)
    judgements = (FeedbackLog() if log is None else log).judgements(index.root)
    if not judgements:
        raise ShapeError(
            f"there is no feedback on the suite {index.root}; "
            "flashwasm feedback accept|reject A B writes some down"
        )
    positions = {
        nodeid: i for i, test in enumerate(index.tests) for nodeid in (test.nodeid, *test.also)
    }
    pairs = Pairs.of(judgements, positions.get)
    unknown = len(judgements) - len(pairs)
    if not len(pairs):
        reason = "no test of the feedback is in the suite"
        return Adapted(None, Verdict(False, reason, 0, 0), len(judgements), unknown)  # noqa: FBT003
    vectors = embedder.embed([test.source for test in index.tests])
    whitening, prepared = prior(vectors, rt)
    suite = EmbeddedSuite(prepared, _files(index), _others(index))
    with progress_report("holding out files", show=progress) as advance:
        verdict = judge(suite, pairs, seed=seed, runtime=rt, progress=advance)
    if not verdict.passed:
        return Adapted(None, verdict, len(judgements), unknown)
    adaptation = Adaptation(whitening, train(prepared, pairs, seed=seed, runtime=rt))
    versions = AdaptationStore(index.root) if store is None else store
    version = versions.add(adaptation, embedder.identity, verdict.as_dict())
    versions.activate(version)
    return Adapted(version, verdict, len(judgements), unknown)


def _files(index: SuiteIndex) -> Array:
    """Return the number of each test's file."""
    paths = [str(test.path) for test in index.tests]
    return np.unique(paths, return_inverse=True)[1]


def _others(index: SuiteIndex) -> Callable[[int], Mapping[str, Array]]:
    """Return what gives the scores of all scorers but the embeddings'."""

    def others(query: int) -> Mapping[str, Array]:
        scored = index.components(query)
        return {name: scores for name, scores in scored.items() if name != "meaning"}

    return others
