"""The peers, in the order in which reports show them, and which of them are here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.peers.in_process import NumPy, NumPyByHeads, PyTorch
from bench.peers.node import OnnxRuntimeWeb, RuVector, TensorFlowJs
from bench.peers.onnx_runtime import OnnxRuntime
from flashwasm.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.peers.peer import Peer

PEERS: tuple[Peer, ...] = (
    *(NumPy(), NumPyByHeads(), PyTorch(), OnnxRuntime()),
    *(OnnxRuntimeWeb(), TensorFlowJs(), RuVector()),
)


@dataclass(frozen=True)
class Presence:
    """Whether a peer is here.

    Attributes
    ----------
    name, about : str
        As `Peer` has them.
    version : str
        Its version; empty where it is absent.
    threads : int
        How many it uses.
    missing : str
        Why it is absent; empty where it is not.
    """

    name: str
    about: str
    version: str
    threads: int
    missing: str


def presences(peers: Sequence[Peer], threads: int) -> list[Presence]:
    """Say of each peer whether it is here."""
    found = []
    for peer in peers:
        version = missing = ""
        try:
            version = peer.version()
        except CapabilityError as error:
            missing = str(error)
        found.append(Presence(peer.name, peer.about, version, peer.threads(threads), missing))
    return found
