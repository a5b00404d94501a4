"""Read the contexts of the docker command (`docker context ls`); the SDK cannot without a config.json."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from docker.tls import TLSConfig

from twelfth.engines.docker_api.settings import DEFAULT, directory
from twelfth.errors import EngineError

if TYPE_CHECKING:
    from pathlib import Path


def settings(name: str) -> dict[str, Any]:
    """Return the arguments of the SDK's client for a context; raises `EngineError` if it is missing or invalid."""
    if name == DEFAULT:
        return {}
    identifier = hashlib.sha256(name.encode()).hexdigest()
    try:
        text = (directory() / "contexts/meta" / identifier / "meta.json").read_text("utf-8")
        endpoint = json.loads(text)["Endpoints"]["docker"]
        host = str(endpoint["Host"])
    except FileNotFoundError:
        raise EngineError(f"there is no Docker context {name}. Try: docker context ls") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EngineError(f"cannot read the Docker context {name}: {error}. Try: docker context inspect") from error
    tls = _tls(directory() / "contexts/tls" / identifier / "docker", verify=not endpoint.get("SkipTLSVerify"))
    return {"base_url": host, **({"tls": tls} if tls and host.startswith("tcp://") else {})}


def _tls(files: Path, *, verify: bool) -> TLSConfig | None:
    """Return the TLS settings from the files of a context, None if it has none and the server is to be verified."""
    authority, certificate, key = (files / name for name in ("ca.pem", "cert.pem", "key.pem"))
    pair = (str(certificate), str(key)) if certificate.is_file() and key.is_file() else None
    if not pair and not authority.is_file() and verify:
        return None
    return TLSConfig(client_cert=pair, ca_cert=str(authority) if authority.is_file() else None, verify=verify)
