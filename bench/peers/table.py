"""The table of peers, in the order of the reports, and a check of which are installed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.peers.in_process import NumPy, NumPyByHeads, PyTorch
from bench.peers.node import OnnxRuntimeWeb, RuVector, TensorFlowJs
from bench.peers.onnx_runtime import OnnxRuntime
from bench.peers.openvino import OpenVino
from flashwasm.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.peers.peer import Peer

PEERS: tuple[Peer, ...] = (
    NumPy(),
    NumPyByHeads(),
    PyTorch(),
    OnnxRuntime(),
    OpenVino(),
    OnnxRuntimeWeb(),
    TensorFlowJs(),
    RuVector(),
)


@dataclass(frozen=True)
class Presence:
    """A peer with its version, or with the reason why it is absent.

    Attributes
    ----------
    name, about : str
        Name, and a few words on how the library is used, as in `Peer`.
    version : str
        Version; empty if the peer is absent.
    threads : int
        Number of threads that it uses.
    missing : str
        Reason why it is absent; empty if it is not.
    """

    name: str
    about: str
    version: str
    threads: int
    missing: str


def presences(peers: Sequence[Peer], threads: int) -> list[Presence]:
    """Find out which peers are installed.

    Parameters
    ----------
    peers : sequence of Peer
        Peers to look for.
    threads : int
        Requested number of threads.
    """
    found = []
    for peer in peers:
        version = missing = ""
        try:
            version = peer.version()
        except CapabilityError as error:
            missing = str(error)
        found.append(Presence(peer.name, peer.about, version, peer.threads(threads), missing))
    return found
