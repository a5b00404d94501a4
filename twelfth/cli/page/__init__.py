"""A page of runs: one HTML file that needs nothing else, from records and outputs.

Its Content-Security-Policy allows no request, and only the style and script whose checksums it contains. Text from
outside is escaped twice: control characters (`stack/formatting.py`), then HTML.
"""
