"""The immutable store of facts: its name, its writing, its checks."""
