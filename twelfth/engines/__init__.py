"""Where a stack runs: the contract of an engine, and the engines."""
