"""The sharded index: several indexes, each in a sandbox of its own, are searched as one."""
