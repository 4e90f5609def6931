"""Adapting embeddings: a low-rank adapter learns from feedback, and whitening needs no feedback."""

from __future__ import annotations

from flashwasm.adapt.lora_adapter import LoRAAdapter as LoRAAdapter
from flashwasm.adapt.whitening import Whitening as Whitening

__all__ = ["LoRAAdapter", "Whitening"]
