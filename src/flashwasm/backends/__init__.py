"""Backends, which compute attention, products and row operations in place of the sandbox."""
