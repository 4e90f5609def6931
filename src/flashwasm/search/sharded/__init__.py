"""The sharded index: several indexes, each in a sandbox of its own, searched as one."""
