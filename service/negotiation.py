"""Which of two representations a client would rather have (RFC 9110, section 12.5.1)."""

import functools


@functools.lru_cache(maxsize=16)  # clients are of few kinds
def prefers_json(accept: str) -> bool:
    """Tell whether the Accept header puts application/json before text/plain.

    The higher quality wins, then the range that names the type more closely, then the one named first; plain text
    where all of that is equal.
    """
    ranges = [_read(item) for item in accept.split(",") if item.strip()]
    wanted = _rank("application/json", ranges)
    return wanted[0] > 0 and wanted > _rank("text/plain", ranges)


def _read(item: str) -> tuple[str, float]:
    """Return media range and quality of one item of the header; a garbled quality counts as none."""
    name, *parameters = (part.strip().lower() for part in item.split(";"))
    quality = next((text[2:] for text in parameters if text.startswith("q=")), "1")
    try:
        return name, min(max(float(quality), 0.0), 1.0)
    except ValueError:
        return name, 0.0


def _rank(media_type: str, ranges: list[tuple[str, float]]) -> tuple[float, int, int]:
    """Return quality, closeness and (negated) place of the closest range that covers `media_type`."""
    closeness = {media_type: 3, f"{media_type.partition('/')[0]}/*": 2, "*/*": 1}
    found = ((closeness[name], -place, quality) for place, (name, quality) in enumerate(ranges) if name in closeness)
    close, place, quality = max(found, default=(0, 0, 0.0))
    return quality, close, place
