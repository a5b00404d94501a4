"""Count the Compose files that twelfth accepts: `python -m bench.survey DIRECTORY…`, each a checked-out collection.

Compose and twelfth read every Compose file below the directories, like `twelfth config`. An example of an `.env` in the
same directory is copied to `.env`. Nothing is built, pulled or started.
"""

import os
import re
import shutil
import sys
from collections import Counter
from pathlib import Path

from twelfth.compose import cli, services
from twelfth.errors import MisuseError

_NAMES = re.compile(r"(docker-)?compose([.-][\w.-]+)?\.ya?ml")
_EXAMPLES = (".env.example", ".env.sample", "example.env", "env.example", ".env-example", ".env.dist")
_INDEX = re.compile(r"\[\d+\]")


def main(directories: list[str]) -> None:
    """Print the number of files that Compose and twelfth accept, and the refused keys."""
    refused: Counter[str] = Counter()
    for directory in directories:
        taken, accepted = 0, 0
        for file in sorted(path for path in Path(directory).rglob("*.y*ml") if _NAMES.fullmatch(path.name)):
            outcome = _refusals(file)
            if outcome is None:
                continue
            taken, accepted = taken + 1, accepted + (not outcome)
            refused.update(set(map(_key, outcome)))
            for refusal in outcome:
                print(f"  {file}: {refusal}")
        print(f"{directory}: {accepted} of {taken} that Compose accepts")
    for key, number in refused.most_common():
        print(f"{number:5} {key}")


def _refusals(file: Path) -> list[str] | None:
    # None: Compose refuses the file as well.
    for name in _EXAMPLES:
        if (file.parent / name).is_file() and not (file.parent / ".env").exists():
            shutil.copy(file.parent / name, file.parent / ".env")
    environment = {**os.environ, "COMPOSE_FILE": file.name}
    try:
        config = cli.read(file.parent.resolve(), environment)
    except MisuseError:
        return None
    try:
        services.stack(config.model, config.files)
    except MisuseError as error:
        return [line.partition(": ")[2] for line in str(error).splitlines()]
    return []


def _key(refusal: str) -> str:
    """Return the refused key, without the name of the service."""
    path, _, why = refusal.partition(" ")
    parts = _INDEX.sub("", path).split(".")
    return f"{'.'.join([parts[0], *parts[2:]])} {'' if 'unsupported' in why else why[:60]}".strip()


if __name__ == "__main__":
    main(sys.argv[1:])
