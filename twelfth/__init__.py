"""Runs a service's admin processes from the identical release that serves the traffic."""
