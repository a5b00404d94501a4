#!/usr/bin/env python
"""Administrative tasks."""
