"""An example of each key of a service, and a change of it: fragments of Compose files, by the key's full name.

`test_keys.py` requires an entry for every key that the Compose reader accepts (`service_keys.TABLES`).
"""

from __future__ import annotations

SEEN: dict[str, tuple[str, str]] = {
    "annotations": ("annotations: {a: b}", "annotations: {a: c}"),
    "blkio_config": (
        "blkio_config: {device_read_bps: [{path: /dev/null, rate: 12mb}]}",
        "blkio_config: {device_read_bps: [{path: /dev/null, rate: 13mb}]}",
    ),
    "cap_add": ("cap_add: [net_admin]", "cap_add: [NET_ADMIN, SYS_TIME]"),
    "cap_drop": ("cap_drop: [net_raw]", "cap_drop: [ALL]"),
    "cgroup": ("cgroup: private", "cgroup: host"),
    "cgroup_parent": ("cgroup_parent: /one", "cgroup_parent: /two"),
    "command": ("command: sleep 600", "command: sleep 601"),
    "configs": ("configs: [{source: text, target: /text}]", "configs: [{source: other, target: /text}]"),
    "configs.gid": ("configs: [{source: text, gid: '1'}]", "configs: [{source: text, gid: '2'}]"),
    "configs.mode": ("configs: [{source: text, mode: 0440}]", "configs: [{source: text, mode: 0400}]"),
    "configs.source": ("configs: [{source: text, target: /t}]", "configs: [{source: file, target: /t}]"),
    "configs.target": ("configs: [{source: text, target: /t}]", "configs: [{source: text, target: /u}]"),
    "configs.uid": ("configs: [{source: text, uid: '1'}]", "configs: [{source: text, uid: '2'}]"),
    "container_name": ("container_name: NAME-one", "container_name: NAME-two"),
    "cpu_count": ("cpu_count: 1", "cpu_count: 2"),
    "cpu_percent": ("cpu_percent: 50", "cpu_percent: 60"),
    "cpu_period": ("cpu_period: 50000", "cpu_period: 60000"),
    "cpu_quota": ("cpu_quota: 25000", "cpu_quota: 26000"),
    "cpu_rt_period": ("cpu_rt_period: 1000", "cpu_rt_period: 1001"),
    "cpu_rt_runtime": ("cpu_rt_runtime: 900", "cpu_rt_runtime: 901"),
    "cpu_shares": ("cpu_shares: 512", "cpu_shares: 513"),
    "cpus": ("cpus: 0.5", "cpus: 0.6"),
    "cpuset": ("cpuset: '0'", "cpuset: '0,1'"),
    "deploy": ("deploy: {resources: {limits: {pids: 9}}}", "deploy: {resources: {limits: {pids: 8}}}"),
    "deploy.resources": ("deploy: {resources: {limits: {pids: 9}}}", "deploy: {resources: {limits: {cpus: '1'}}}"),
    "deploy.resources.limits.cpus": (
        "deploy: {resources: {limits: {cpus: '0.5'}}}",
        "deploy: {resources: {limits: {cpus: '0.6'}}}",
    ),
    "deploy.resources.limits.memory": (
        "deploy: {resources: {limits: {memory: 64m}}}",
        "deploy: {resources: {limits: {memory: 65m}}}",
    ),
    "deploy.resources.limits.pids": (
        "deploy: {resources: {limits: {pids: 9}}}",
        "deploy: {resources: {limits: {pids: 8}}}",
    ),
    "deploy.resources.reservations.devices": (
        "deploy: {resources: {reservations: {devices: [{capabilities: [gpu], count: 1}]}}}",
        "deploy: {resources: {reservations: {devices: [{capabilities: [gpu], count: 2}]}}}",
    ),
    "deploy.resources.reservations.memory": (
        "deploy: {resources: {reservations: {memory: 16m}}}",
        "deploy: {resources: {reservations: {memory: 17m}}}",
    ),
    "deploy.restart_policy": ("deploy: {restart_policy: {condition: any}}", "restart: 'no'"),
    "deploy.restart_policy.condition": (
        "deploy: {restart_policy: {condition: any}}",
        "deploy: {restart_policy: {condition: on-failure}}",
    ),
    "deploy.restart_policy.max_attempts": (
        "deploy: {restart_policy: {condition: on-failure, max_attempts: 3}}",
        "deploy: {restart_policy: {condition: on-failure, max_attempts: 4}}",
    ),
    "device_cgroup_rules": ("device_cgroup_rules: ['c 1:3 mr']", "device_cgroup_rules: ['c 1:3 m']"),
    "devices": ("devices: ['/dev/null:/dev/none:r']", "devices: ['/dev/null:/dev/none:rw']"),
    "dns": ("dns: 1.1.1.1", "dns: [1.1.1.1, 1.1.1.2]"),
    "dns_opt": ("dns_opt: ['ndots:1']", "dns_opt: ['ndots:2']"),
    "dns_search": ("dns_search: a.example", "dns_search: b.example"),
    "domainname": ("domainname: a.example", "domainname: b.example"),
    "entrypoint": ("entrypoint: [sleep]\ncommand: ['600']", "entrypoint: [sleep, '1']\ncommand: ['600']"),
    "environment": ("environment: {A: b}", "environment: {A: c}"),
    "expose": ("expose: [80, 90/udp]", "expose: [80, 91/udp]"),
    "extra_hosts": ("extra_hosts: ['a:1.2.3.4', 'b=::1']", "extra_hosts: ['a:1.2.3.5', 'b=::1']"),
    "gpus": ("gpus: [{count: 1}]", "gpus: [{count: 2}]"),
    "group_add": ("group_add: ['1']", "group_add: ['2']"),
    "healthcheck": ("healthcheck: {test: exit 0}", "healthcheck: {test: exit 1}"),
    "healthcheck.disable": ("healthcheck: {disable: true}", "healthcheck: {test: exit 0}"),
    "healthcheck.interval": (
        "healthcheck: {test: exit 0, interval: 61s}",
        "healthcheck: {test: exit 0, interval: 62s}",
    ),
    "healthcheck.retries": ("healthcheck: {test: exit 0, retries: 5}", "healthcheck: {test: exit 0, retries: 6}"),
    "healthcheck.start_interval": (
        "healthcheck: {test: exit 0, start_period: 9s, start_interval: 2s}",
        "healthcheck: {test: exit 0, start_period: 9s, start_interval: 3s}",
    ),
    "healthcheck.start_period": (
        "healthcheck: {test: exit 0, start_period: 3s}",
        "healthcheck: {test: exit 0, start_period: 4s}",
    ),
    "healthcheck.test": ("healthcheck: {test: [CMD, 'true']}", "healthcheck: {test: [CMD-SHELL, 'true']}"),
    "healthcheck.timeout": ("healthcheck: {test: exit 0, timeout: 2s}", "healthcheck: {test: exit 0, timeout: 3s}"),
    "hostname": ("hostname: one", "hostname: two"),
    "image": ("command: sleep 600", "image: other\ncommand: sleep 600"),
    "init": ("init: true", "init: false"),
    "ipc": ("ipc: host", "ipc: shareable"),
    "isolation": ("isolation: process", "isolation: hyperv"),
    "labels": ("labels: {a: b, c: ''}", "labels: {a: c, c: ''}"),
    "links": ("links: ['linked:one']", "links: ['linked:two']"),
    "logging": ("logging: {driver: json-file}", "logging: {driver: local}"),
    "logging.driver": ("logging: {driver: json-file}", "logging: {driver: none}"),
    "logging.options": ("logging: {options: {max-size: 1m}}", "logging: {options: {max-size: 2m}}"),
    "mac_address": ("mac_address: '02:42:ac:11:65:43'", "mac_address: '02:42:ac:11:65:44'"),
    "mem_limit": ("mem_limit: 64m", "mem_limit: 65m"),
    "mem_reservation": ("mem_reservation: 32m", "mem_reservation: 33m"),
    "mem_swappiness": ("mem_swappiness: 0", "mem_swappiness: 10"),
    "memswap_limit": ("mem_limit: 64m\nmemswap_limit: 100m", "mem_limit: 64m\nmemswap_limit: 101m"),
    "network_mode": ("network_mode: host", "network_mode: none"),
    "networks": ("networks: [one]", "networks: [one, two]"),
    "networks.aliases": ("networks: {one: {aliases: [x]}}", "networks: {one: {aliases: [x, y]}}"),
    "networks.driver_opts": (
        "networks: {one: {driver_opts: {com.docker.network.endpoint.exposeport: '1'}}}",
        "networks: {one: {driver_opts: {com.docker.network.endpoint.exposeport: '2'}}}",
    ),
    "networks.gw_priority": ("networks: {one: {gw_priority: 1}}", "networks: {one: {gw_priority: 2}}"),
    "networks.ipv4_address": (
        "networks: {two: {ipv4_address: SUBNET.10}}",
        "networks: {two: {ipv4_address: SUBNET.11}}",
    ),
    "networks.ipv6_address": (
        "networks: {one: {ipv6_address: 'fd00::1'}}",
        "networks: {one: {ipv6_address: 'fd00::2'}}",
    ),
    "networks.link_local_ips": (
        "networks: {one: {link_local_ips: [169.254.1.1]}}",
        "networks: {one: {link_local_ips: [169.254.1.2]}}",
    ),
    "networks.mac_address": (
        "networks: {one: {mac_address: '02:42:ac:11:65:43'}}",
        "networks: {one: {mac_address: '02:42:ac:11:65:44'}}",
    ),
    "networks.priority": ("networks: {one: {priority: 1}}", "networks: {one: {priority: 2}}"),
    "oom_kill_disable": ("mem_limit: 64m\noom_kill_disable: true", "mem_limit: 64m\noom_kill_disable: false"),
    "oom_score_adj": ("oom_score_adj: 500", "oom_score_adj: 501"),
    "pid": ("pid: host", "privileged: true"),
    "pids_limit": ("pids_limit: 20", "pids_limit: 21"),
    "platform": ("platform: linux/amd64", "command: sleep 600"),
    "ports": ("ports: ['0.0.0.0:18110:80', '[::1]:18110:80']", "ports: ['127.0.0.1:18110:80', '[::1]:18110:80']"),
    "ports.host_ip": ("ports: ['127.0.0.1:18110:80']", "ports: ['127.0.0.2:18110:80']"),
    "ports.protocol": ("ports: ['18110:80/udp']", "ports: ['18110:80/tcp']"),
    "ports.published": ("ports: ['18110-18112:80']", "ports: ['18110-18113:80']"),
    "ports.target": ("ports: ['18110:80', '18110:80/udp']", "ports: ['18110:81', '18110:80/udp']"),
    "privileged": ("privileged: true", "privileged: true\nsecurity_opt: ['label:type:x']"),
    "read_only": ("read_only: true", "read_only: false"),
    "restart": ("restart: on-failure:5", "restart: unless-stopped"),
    "runtime": ("runtime: runc", "runtime: io.containerd.runc.v2"),
    "secrets": ("secrets: [hidden]", "secrets: [{source: hidden, target: /elsewhere}]"),
    "security_opt": ("security_opt: ['no-new-privileges:true']", "security_opt: ['seccomp:unconfined']"),
    "shm_size": ("shm_size: 32m", "shm_size: 33m"),
    "stdin_open": ("stdin_open: true", "stdin_open: false"),
    "stop_grace_period": ("stop_grace_period: 0s", "stop_grace_period: 10s"),
    "stop_signal": ("stop_signal: SIGINT", "stop_signal: SIGQUIT"),
    "storage_opt": ("storage_opt: {size: 1G}", "storage_opt: {size: 2G}"),
    "sysctls": ("sysctls: {net.core.somaxconn: 1024}", "sysctls: {net.core.somaxconn: 1025}"),
    "tmpfs": ("tmpfs: [/a, '/b:size=1m,mode=700']", "tmpfs: [/a, '/b:size=2m,mode=700']"),
    "tty": ("tty: true", "tty: false"),
    "ulimits": ("ulimits: {nofile: 100, nproc: {soft: 10, hard: 20}}", "ulimits: {nofile: 100}"),
    "user": ("user: '1000'", "user: '1001'"),
    "userns_mode": ("userns_mode: host", "userns_mode: private"),
    "uts": ("uts: host", "command: sleep 600"),
    "volumes": ("volumes: ['data:/a', /anonymous]", "volumes: ['data:/a:ro', /anonymous]"),
    "volumes.bind": (
        "volumes: [{type: bind, source: ./here, target: /a, bind: {selinux: z}}]",
        "volumes: [{type: bind, source: ./here, target: /a}]",
    ),
    "volumes.bind.create_host_path": (
        "volumes: [{type: bind, source: ./here, target: /a, bind: {create_host_path: false}}]",
        "volumes: [{type: bind, source: ./there, target: /a, bind: {create_host_path: false}}]",
    ),
    "volumes.bind.propagation": (
        "volumes: [{type: bind, source: ./here, target: /a, bind: {propagation: rshared}}]",
        "volumes: [{type: bind, source: ./here, target: /a, bind: {propagation: rslave}}]",
    ),
    "volumes.bind.recursive": (
        "volumes: [{type: bind, source: ./here, target: /a, bind: {recursive: disabled}}]",
        "volumes: [{type: bind, source: ./here, target: /a, bind: {recursive: enabled}}]",
    ),
    "volumes.bind.selinux": (
        "volumes: [{type: bind, source: ./here, target: /a, bind: {selinux: z}}]",
        "volumes: [{type: bind, source: ./here, target: /a, bind: {selinux: Z}}]",
    ),
    "volumes.read_only": ("volumes: ['./here:/a:ro']", "volumes: ['./here:/a']"),
    "volumes.source": ("volumes: ['./here:/a']", "volumes: ['./there:/a']"),
    "volumes.target": ("volumes: ['data:/a']", "volumes: ['data:/b']"),
    "volumes.tmpfs": (
        "volumes: [{type: tmpfs, target: /a, tmpfs: {size: 1m}}]",
        "volumes: [{type: tmpfs, target: /a}]",
    ),
    "volumes.tmpfs.mode": (
        "volumes: [{type: tmpfs, target: /a, tmpfs: {mode: 0700}}]",
        "volumes: [{type: tmpfs, target: /a, tmpfs: {mode: 0755}}]",
    ),
    "volumes.tmpfs.size": (
        "volumes: [{type: tmpfs, target: /a, tmpfs: {size: 1m}}]",
        "volumes: [{type: tmpfs, target: /a, tmpfs: {size: 2m}}]",
    ),
    "volumes.type": ("volumes: [{type: tmpfs, target: /a}]", "volumes: [{type: volume, source: data, target: /a}]"),
    "volumes.volume": (
        "volumes: [{type: volume, source: data, target: /a, volume: {nocopy: true}}]",
        "volumes: ['data:/a']",
    ),
    "volumes.volume.labels": (
        "volumes: [{type: volume, source: data, target: /a, volume: {labels: {a: b}}}]",
        "volumes: [{type: volume, source: data, target: /a, volume: {labels: {a: c}}}]",
    ),
    "volumes.volume.nocopy": (
        "volumes: [{type: volume, source: data, target: /a, volume: {nocopy: true}}]",
        "volumes: [{type: volume, source: data, target: /a, volume: {nocopy: false}}]",
    ),
    "volumes.volume.subpath": (
        "volumes: [{type: volume, source: data, target: /a, volume: {subpath: b}}]",
        "volumes: [{type: volume, source: data, target: /a, volume: {subpath: c}}]",
    ),
    "post_start": ("post_start: [{command: [a]}]", "post_start: [{command: [a], user: root}]"),
    "pre_stop": ("pre_stop: [{command: [a]}]", "pre_stop: [{command: [a], environment: {A: b}}]"),
    "working_dir": ("working_dir: /tmp", "working_dir: /"),
}
"""Keys whose change a container shows."""

NOT_IN_THE_SCHEMA = {"volume_driver"}
"""A key of the specification that the schema of Compose 5.6 does not have."""

ELSEWHERE: dict[str, tuple[str, str]] = {
    "attach": ("attach: true", "attach: false"),
    "build": ("build: .", "build: {context: ., labels: {a: b}}"),
    "depends_on": ("depends_on: [linked]", "depends_on: []"),
    "depends_on.condition": (
        "depends_on: {linked: {condition: service_started}}",
        "depends_on: {linked: {condition: service_healthy}}",
    ),
    "depends_on.required": ("depends_on: {linked: {condition: service_started, required: false}}", "depends_on: []"),
    "depends_on.restart": ("depends_on: {linked: {condition: service_started, restart: true}}", "depends_on: []"),
    "deploy.endpoint_mode": ("deploy: {endpoint_mode: vip}", "deploy: {endpoint_mode: dnsrr}"),
    "deploy.labels": ("deploy: {labels: {a: b}}", "deploy: {labels: {a: c}}"),
    "deploy.mode": ("deploy: {mode: replicated}", "deploy: {}"),
    "deploy.placement": (
        "deploy: {placement: {constraints: [node.role == manager]}}",
        "deploy: {placement: {constraints: [node.role == worker]}}",
    ),
    "deploy.placement.constraints": (
        "deploy: {placement: {constraints: [node.role == manager]}}",
        "deploy: {placement: {constraints: [node.role == worker]}}",
    ),
    "deploy.placement.max_replicas_per_node": (
        "deploy: {placement: {max_replicas_per_node: 1}}",
        "deploy: {placement: {max_replicas_per_node: 2}}",
    ),
    "deploy.placement.preferences": (
        "deploy: {placement: {preferences: [{spread: node.labels.a}]}}",
        "deploy: {placement: {preferences: [{spread: node.labels.b}]}}",
    ),
    "deploy.replicas": ("deploy: {replicas: 1}", "deploy: {replicas: 2}"),
    "deploy.resources.reservations.cpus": (
        "deploy: {resources: {reservations: {cpus: '0.1'}}}",
        "deploy: {resources: {reservations: {cpus: '0.2'}}}",
    ),
    "deploy.resources.reservations.generic_resources": (
        "deploy: {resources: {reservations: {generic_resources: [{discrete_resource_spec: {kind: a, value: 1}}]}}}",
        "deploy: {}",
    ),
    "deploy.restart_policy.delay": (
        "deploy: {restart_policy: {condition: any, delay: 1s}}",
        "deploy: {restart_policy: {condition: any, delay: 2s}}",
    ),
    "deploy.restart_policy.window": (
        "deploy: {restart_policy: {condition: any, window: 1s}}",
        "deploy: {restart_policy: {condition: any, window: 2s}}",
    ),
    "deploy.rollback_config": ("deploy: {rollback_config: {parallelism: 1}}", "deploy: {}"),
    "deploy.update_config": ("deploy: {update_config: {parallelism: 1}}", "deploy: {}"),
    "deploy.update_config.delay": ("deploy: {update_config: {delay: 1s}}", "deploy: {update_config: {delay: 2s}}"),
    "deploy.update_config.failure_action": (
        "deploy: {update_config: {failure_action: pause}}",
        "deploy: {update_config: {failure_action: continue}}",
    ),
    "deploy.update_config.max_failure_ratio": (
        "deploy: {update_config: {max_failure_ratio: 0.1}}",
        "deploy: {update_config: {max_failure_ratio: 0.2}}",
    ),
    "deploy.update_config.monitor": (
        "deploy: {update_config: {monitor: 1s}}",
        "deploy: {update_config: {monitor: 2s}}",
    ),
    "deploy.update_config.order": (
        "deploy: {update_config: {order: stop-first}}",
        "deploy: {update_config: {order: start-first}}",
    ),
    "deploy.update_config.parallelism": (
        "deploy: {update_config: {parallelism: 1}}",
        "deploy: {update_config: {parallelism: 2}}",
    ),
    "develop": ("develop: {watch: [{action: sync, path: ., target: /a}]}", "develop: {}"),
    "ports.app_protocol": (
        "ports: [{target: 80, published: '18110', app_protocol: http}]",
        "ports: [{target: 80, published: '18110', app_protocol: https}]",
    ),
    "ports.mode": (
        "ports: [{target: 80, published: '18110', mode: host}]",
        "ports: [{target: 80, published: '18110', mode: ingress}]",
    ),
    "ports.name": (
        "ports: [{target: 80, published: '18110', name: a}]",
        "ports: [{target: 80, published: '18110', name: b}]",
    ),
    "pre_start": ("pre_start: [{command: [a]}]", "pre_start: [{command: [b]}]"),
    "profiles": ("profiles: []", "command:"),
    "pull_policy": ("pull_policy: never", "pull_policy: missing"),
    "scale": ("scale: 1", "scale: 2"),
    "volumes.consistency": (
        "volumes: [{type: bind, source: ./here, target: /a, consistency: cached}]",
        "volumes: [{type: bind, source: ./here, target: /a, consistency: delegated}]",
    ),
    "x-local": ("x-local: {command: [a]}", "x-local: {command: [b]}"),
    "x-release": ("x-release: [a]", "x-release: [b]"),
    "x-reload": ("x-reload: {signal: SIGHUP}", "x-reload: {signal: SIGUSR1}"),
}
"""Keys that do not change the container: of its image, of the order and number of containers, of other engines."""
