"""The local engine: a stack as processes of this machine."""
