"""Drain replicas at the generated proxy (`x-twelfth.proxy`) before they are stopped, so that no request is lost."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING

from twelfth.compose.proxy import BACKEND, RUNTIME
from twelfth.errors import BusyError, EngineError
from twelfth.model.hook import Hook
from twelfth.model.stack import PROXY

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from twelfth.engines.contract import ReplicaEngine, Say
    from twelfth.model.snapshot import Replica
    from twelfth.model.stack import Proxy

# The official images have nc (Alpine) or bash (Debian), and not both. HAProxy closes the connection after one command.
_ASK = f"""\
ask() {{
    if command -v nc >/dev/null; then echo "$1" | nc 127.0.0.1 {RUNTIME}
    else bash -c 'exec 3<>/dev/tcp/127.0.0.1/{RUNTIME} && echo "$1" >&3 && cat <&3' ask "$1"
    fi
}}
"""

# Fields of `show servers state`: be_id, be_name, srv_id, srv_name, srv_addr, srv_op_state (0: stopped),
# srv_admin_state (8: drained by a command). Fields of `show stat`: pxname, svname, qcur, qmax, scur.
_DRAIN = """\
state=$(ask 'show servers state {backend}') && [ -n "$state" ] || {{ echo "the proxy's runtime API failed"; exit 1; }}
names=$(echo $(echo "$state" | while read -r _ _ _ name address _; do
    case ' {addresses} ' in *" $address "*) echo "$name" ;; esac
done))
for name in $names; do ask "set server {backend}/$name state drain" >/dev/null; done
busy() {{
    ask 'show stat {backend} 4 -1' | while IFS=, read -r _ name queued _ current _; do
        case " $names " in *" $name "*) [ "$queued$current" = 00 ] || echo "$name" ;; esac
    done
}}
end=$(($(date +%s) + {seconds}))
while [ -n "$(busy)" ]; do
    [ "$(date +%s)" -lt "$end" ] || {{ echo "requests are still open after {seconds} s"; exit 1; }}
    sleep 0.1
done
"""

# The resolver or the check finds within a second that a removed replica has stopped.
_READMIT = """\
drained() {{
    ask 'show servers state {backend}' | while read -r _ _ _ name _ state admin _; do
        [ "$((${{admin:-0}} & 8))" = 8 ] && echo "$name $state"
    done 2>/dev/null
}}
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
    drained | grep -qv ' 0$' || break
    sleep 0.2
done
drained | while read -r name _; do ask "set server {backend}/$name state ready" >/dev/null; done
"""


@contextlib.contextmanager
def drained(engine: ReplicaEngine, replicas: Collection[Replica], say: Say) -> Iterator[None]:
    """Drain replicas of the proxied service while the block removes them, if other replicas of it serve.

    A replica that cannot be drained is only reported: a deploy must not depend on the proxy.
    """
    declared = engine.stack.proxy
    proxies = _proxies(engine, replicas, declared) if declared else []
    addresses = [address for replica in replicas for address in engine.addresses(replica)] if proxies else []
    if not (declared and addresses):
        yield
        return
    names = ", ".join(replica.name for replica in replicas)
    _execute(engine, proxies, drain_script(addresses, declared.drain), f"drain {names}", say)
    try:
        yield
    finally:
        _execute(engine, proxies, readmit_script(), f"reuse the place of {names}", say)


def drain_script(addresses: Collection[str], seconds: float) -> str:
    """Return a script that drains the servers with these addresses, and waits for their requests."""
    return _ASK + _DRAIN.format(backend=BACKEND, addresses=" ".join(addresses), seconds=math.ceil(seconds))


def readmit_script() -> str:
    """Return a script that makes the places of all drained servers usable for new replicas.

    It includes those that a killed command has drained.
    """
    return _ASK + _READMIT.format(backend=BACKEND)


def _proxies(engine: ReplicaEngine, replicas: Collection[Replica], declared: Proxy) -> list[Replica]:
    ids = {replica.id for replica in replicas}
    if not any(replica.service == declared.service and replica.is_running for replica in replicas):
        return []
    if not any(replica.serves and replica.id not in ids for replica in engine.replicas(declared.service)):
        return []
    return [proxy for proxy in engine.replicas(PROXY) if proxy.is_running]


def _execute(engine: ReplicaEngine, proxies: Collection[Replica], script: str, what: str, say: Say) -> None:
    for proxy in proxies:
        try:
            code, output = engine.execute_hook(proxy, Hook(("sh", "-c", script)))
        except (EngineError, BusyError) as error:
            code, output = 1, str(error)
        if code:
            say(f"{proxy.name} did not {what}: {output.strip() or f'exit code {code}'}")
