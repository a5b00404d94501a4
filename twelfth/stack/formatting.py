"""Text that a terminal can bear."""


def printable(text: str) -> str:
    """Return the text with what would move or colour a terminal spelled out."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
