"""How a release runs: model, compose reader, plan, lifecycle, one-off runs and the engines under them."""
