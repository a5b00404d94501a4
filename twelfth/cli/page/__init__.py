"""A page of runs: one HTML file that needs nothing else, from records and outputs.

Its policy allows no request, and no style or script but those whose checksums it names. All text from outside is
escaped twice: characters that act (`stack/formatting.py`), then HTML.
"""
