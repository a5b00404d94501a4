"""Propose what a project needs for its admin processes: `survey`, then `proposal`, both pure."""
