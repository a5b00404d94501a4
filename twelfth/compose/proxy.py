"""Put a generated proxy in front of a service (`x-twelfth.proxy`); pure.

The proxy takes over the published port of the service, so replicas of the service can exist next to each other.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from twelfth.model.service import Healthcheck, Mount, Port, Service
from twelfth.model.stack import PROXY

if TYPE_CHECKING:
    from twelfth.model.snapshot import Replica
    from twelfth.model.stack import Proxy, Stack

SLOTS = 100
"""Replicas that the proxy has places for, unless `max-replicas` limits the service."""

LISTEN, MONITOR, RUNTIME = 8000, 8404, 9999
"""Ports in the proxy's container: of clients, and, on its loopback, of its healthcheck and its runtime API."""

BACKEND = "replicas"
"""The backend that has the replicas as servers."""

CONFIG = "/usr/local/etc/haproxy/twelfth.cfg"
"""The path of the configuration file, by which a generated proxy is recognized when its key is removed."""

_TEMPLATE = """\
global
    log stdout len 16384 format raw daemon info
    maxconn 1000
    nbthread 1
    hard-stop-after 30s
    stats socket ipv4@127.0.0.1:{runtime} level admin

defaults
    log global
    mode http
    option httplog
    option dontlognull
    option idle-close-on-response
    option http-server-close
    option forwardfor
    option redispatch 1
    retry-on conn-failure
    retries 5
    timeout connect 500ms
    timeout check 2s
    timeout client 60s
    timeout server 60s
    timeout queue 5s
    timeout http-request 5s
    timeout http-keep-alive 30s
    timeout tunnel 1h

resolvers docker
    nameserver embedded 127.0.0.11:53
    accepted_payload_size 8192
    resolve_retries 3
    timeout resolve 500ms
    timeout retry 500ms
    hold valid 500ms
    hold obsolete 0s
    hold nx 1s
    hold other 30s
    hold refused 30s
    hold timeout 30s

frontend monitor
    bind 127.0.0.1:{monitor}
    monitor-uri /
    monitor fail if {{ nbsrv(replicas) lt 1 }}

frontend public
    bind :{listen}
    tcp-request inspect-delay 500ms
    tcp-request content accept if {{ nbsrv(replicas) gt 0 }} || WAIT_END
    default_backend replicas

backend replicas
    balance leastconn
{check}    default-server inter 200ms fastinter 200ms downinter 200ms rise 1 fall 2
    server-template replica 1-{slots} {service}:{port} check resolvers docker resolve-prefer ipv4 init-addr none
"""

_HTTP_CHECK = """\
    option httpchk
    http-check send meth GET uri {health} ver HTTP/1.1 hdr Host {service}
    http-check expect status 200-399
    http-check disable-on-404
"""


def with_proxy(stack: Stack) -> Stack:
    """Return the stack with the proxy that it declares as a service, which has the published port."""
    if not (declared := stack.proxy) or not (service := stack.service(declared.service)):
        return stack
    port = next(port for port in service.ports if port.target == declared.port)
    ports = tuple(published for published in service.ports if published != port)
    limits = {declared.service: SLOTS} | dict(stack.max_replicas)
    proxy = _proxy(declared, service, port, limits[declared.service])
    return replace(
        stack,
        services=(*stack.with_service(replace(service, ports=ports)).services, proxy),
        runs_from=stack.runs_from or stack.run_service,
        max_replicas=tuple(sorted(limits.items())),
    )


def why_refused(stack: Stack) -> str:
    """Return why the declared proxy cannot be made, and what to write, "" if it can."""
    declared = stack.proxy
    if not declared or not (service := stack.service(declared.service)):
        return ""
    ports = [port for port in service.ports if port.target == declared.port and port.protocol == "tcp"]
    unpublished = replace(service, ports=tuple(port for port in service.ports if port not in ports))
    if stack.service(PROXY):
        return f"needs the name {PROXY}, which a service has. Try: rename that service"
    if len(ports) != 1:
        many = "is published more than once" if ports else "is not published"
        return f"port {declared.port} of {service.name} {many}. Try: write ports: ['8000:{declared.port}'] in it"
    if not service.networks:
        return f"{service.name} has no network that a proxy could be on. Try: remove its network_mode"
    if unpublished.is_replaced_in_place:
        why = unpublished.why_single or "mounts a directory that it can write, or has fixed addresses"
        return f"{service.name} {why}, so two replicas cannot exist at the same time. Try: remove proxy"
    return ""


def is_former_proxy(stack: Stack, replica: Replica) -> bool:
    """Return whether a replica is of the proxy that the stack declared before: it still has the port of its service."""
    is_generated = replica.service == PROXY and f"config.{CONFIG}" in replica.recipe
    return is_generated and stack.service(PROXY) is None


def configuration(declared: Proxy, slots: int) -> str:
    """Return the proxy's configuration file."""
    names = {"service": declared.service, "port": declared.port, "slots": slots}
    check = _HTTP_CHECK.format(health=declared.health, **names) if declared.health else ""
    return _TEMPLATE.format(check=check, listen=LISTEN, monitor=MONITOR, runtime=RUNTIME, **names)


def _proxy(declared: Proxy, service: Service, port: Port, slots: int) -> Service:
    # The official images have wget (Alpine) or bash (Debian), and not both.
    url = f"http://127.0.0.1:{MONITOR}/"
    debian = f"exec 3<>/dev/tcp/127.0.0.1/{MONITOR}; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; grep -q ' 200 ' <&3"
    check = f"if command -v wget >/dev/null; then wget -q -O /dev/null {url}; else bash -c {json.dumps(debian)}; fi"
    return Service(
        PROXY,
        declared.image,
        command=("haproxy", "-W", "-db", "-f", CONFIG),
        networks=service.networks,
        mounts=(Mount("config", CONFIG, read_only=True, content=configuration(declared, slots)),),
        ports=(replace(port, target=LISTEN),),
        depends_on=(service.name,),
        healthcheck=Healthcheck(("CMD-SHELL", check), interval=5.0, timeout=3.0, retries=3),
        stop_grace=35.0,
        restart="unless-stopped",
        user="haproxy",
        read_only=True,
        cap_drop=("ALL",),
        security_opt=("no-new-privileges:true",),
    )
