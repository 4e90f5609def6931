"""Adapting embeddings: from feedback by a low-rank adapter, and without any by whitening."""

from __future__ import annotations

from flashwasm.adapt.lora_adapter import LoRAAdapter as LoRAAdapter
from flashwasm.adapt.whitening import Whitening as Whitening

__all__ = ["LoRAAdapter", "Whitening"]
