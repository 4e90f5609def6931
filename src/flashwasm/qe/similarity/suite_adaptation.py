"""Adaptation of a suite to the feedback on its matches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flashwasm.errors import ShapeError
from flashwasm.object_checks import instance_of
from flashwasm.progress_bar import progress_report
from flashwasm.qe.adaptation.adaptation_store import AdaptationStore, Version
from flashwasm.qe.adaptation.adapter_training import train
from flashwasm.qe.adaptation.cross_validation import EmbeddedSuite, Verdict, judge
from flashwasm.qe.adaptation.embedding_adaptation import Adaptation, prior
from flashwasm.qe.adaptation.feedback_log import FeedbackLog
from flashwasm.qe.adaptation.judged_pairs import Pairs
from flashwasm.qe.scoring.embedder import Embedder
from flashwasm.qe.similarity.suite_index import SuiteIndex
from flashwasm.qe.suites.node_id_lookup import NodeIdLookup
from flashwasm.qe.suites.pytest_rootdir import pytest_rootdir
from flashwasm.qe.suites.source_files import absolute_path
from flashwasm.runtime.default_runtime import checked_runtime
from flashwasm.storage.file_paths import checked_path
from flashwasm.validation import flag

if TYPE_CHECKING:
    from flashwasm.encoder import SentenceEncoder
    from flashwasm.runtime.runtime import Runtime

__all__ = ["Adapted", "adapt_suite"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Adapted:
    """Result of `adapt_suite`.

    Parameters
    ----------
    version : Version or None
        New active version; None if nothing changed.
    verdict : Verdict
        Result of the cross-validation.
    judged : int
        Number of judged pairs of this suite in the log.
    unknown : int
        Number of those pairs with a test that is no longer in the suite.
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
    """Adapt a suite's embeddings to feedback; activate the adaptation if it ranks tests better.

    Cross-validation ranks the tests of held-out files as `SuiteIndex.similar` does, with all
    available scorers. The adaptation is activated only if it ranks these tests better.

    Parameters
    ----------
    path : str or pathlib.Path
        A folder of pytest tests, or one file.
    model : str, pathlib.Path or SentenceEncoder, optional
        Name of an installed model, folder of a model, or an encoder; None is the default model.
    log : FeedbackLog, optional
        Feedback; None uses the user's log.
    store : AdaptationStore, optional
        Store of the versions; None uses the user's store for this suite.
    seed : int, default 0
        Seed of the folds, the training and the resampling.
    progress : bool, default False
        True to show progress on stderr.
    cache : bool, default True
        True to keep embeddings, terms and outlines in the user's cache folder.
    runtime : Runtime, optional
        Runtime to use. None means the default runtime.

    Returns
    -------
    Adapted
        The result of the cross-validation, and the new version if there is one.

    Raises
    ------
    DTypeError
        If an argument is of the wrong type.
    CapabilityError
        If the model is not installed.
    ShapeError
        If the path does not exist or has no tests, or if there is no feedback on this suite.
    CorruptFileError
        If the log or the store is damaged.
    OSError
        If the store cannot be written; this is checked before the work.
    """
    rt = checked_runtime(runtime)
    checked_path(path)
    instance_of(log, (FeedbackLog, NoneType), "log")
    instance_of(store, (AdaptationStore, NoneType), "store")
    instance_of(seed, int, "seed")
    flag(progress, "progress")
    flag(cache, "cache")
    embedder = Embedder(model, cache=cache, runtime=rt)
    # The first embedding of a suite may take minutes, so the feedback is read before it.
    root = pytest_rootdir(absolute_path(path))
    judgements = (FeedbackLog() if log is None else log).judgements(root)
    if not judgements and Path(path).exists():
        raise ShapeError(
            f"there is no feedback on the suite {root}; "
            "give some with: flashwasm feedback accept|reject A B"
        )
    versions = AdaptationStore(root) if store is None else store
    versions.check_writable()
    index = SuiteIndex.build(
        path, model=model, adapted=False, progress=progress, cache=cache, runtime=rt
    )
    if not index.tests:
        raise ShapeError(f"no tests in {path}; expected a folder or a file with tests")
    pairs = Pairs.of(judgements, NodeIdLookup(index.tests).position)
    unknown = len(judgements) - len(pairs)
    if not len(pairs):
        reason = "no test of the feedback is in the suite"
        verdict = Verdict(passed=False, reason=reason, accepted=0, rejected=0)
        return Adapted(None, verdict, len(judgements), unknown)
    vectors = embedder.embed([test.source for test in index.tests])
    whitening, prepared = prior(vectors, rt)
    suite = EmbeddedSuite(prepared, _files(index), _others(index))
    with progress_report("holding out files", show=progress) as advance:
        verdict = judge(suite, pairs, seed=seed, runtime=rt, progress=advance)
    if not verdict.passed:
        return Adapted(None, verdict, len(judgements), unknown)
    adaptation = Adaptation(whitening, train(prepared, pairs, seed=seed, runtime=rt))
    version = versions.add(adaptation, embedder.identity, verdict.as_dict())
    versions.activate(version)
    return Adapted(version, verdict, len(judgements), unknown)


def _files(index: SuiteIndex) -> Array:
    """Return the number of the file of each test."""
    paths = [str(test.path) for test in index.tests]
    return np.unique(paths, return_inverse=True)[1]


def _others(index: SuiteIndex) -> Callable[[int], Mapping[str, Array]]:
    """Return a function that scores all tests by every scorer except the one of embeddings."""

    def others(query: int) -> Mapping[str, Array]:
        scored = index.components(query)
        return {name: scores for name, scores in scored.items() if name != "meaning"}

    return others
