"""The proxies: programs that end the client's connection and have one of their own to the backend."""

import textwrap

from lab import servers
from lab.lab import GATEWAY_PRIVATE, VIP
from lab.namespace import stop

from .proof import BACKEND, IPERF, WEB, WORKERS, Proxied

# Each of a proxy's connections to the backend takes one of the gateway's own ports.
_SYSCTLS = {"net/ipv4/ip_local_port_range": "1024 65535", "net/ipv4/tcp_tw_reuse": 1}


class Proxy(Proxied):
    """A program with a configuration file, on the VIP as an address of the gateway's own."""

    address = VIP
    seen = GATEWAY_PRIVATE

    def __init__(self, lab):
        self._lab = lab
        self._path = lab.path("proxy.conf")

    def settings(self):
        sysctls = [f"sysctl {name}={value}" for name, value in _SYSCTLS.items()]
        return "\n".join([f"ip addr add {VIP}/32 dev lo", *sysctls, self.file()])

    def start(self):
        with open(self._path, "w") as file:
            file.write(self.file())
        self._lab.gateway.ip(f"addr add {VIP}/32 dev lo")
        for name, value in _SYSCTLS.items():
            self._lab.gateway.sysctl(name, value)
        self._process = servers.start(self._lab, self._lab.gateway, "proxy", *self.command(), port=WEB)

    def stop(self):
        stop(self._process)


class HaProxy(Proxy):
    programs = {"haproxy"}

    def command(self):
        return "haproxy", "-db", "-f", self._path

    def file(self):
        return textwrap.dedent(f"""\
            global
                nbthread {WORKERS}
                maxconn 4000
                tune.bufsize 65536
            defaults
                mode tcp
                option splice-auto
                option tcp-smart-accept
                option tcp-smart-connect
                timeout connect 5s
                timeout client 60s
                timeout server 60s
            listen web
                bind {VIP}:{WEB} shards by-thread
                server host3 {BACKEND}:{WEB}
            listen iperf
                bind {VIP}:{IPERF} shards by-thread
                server host3 {BACKEND}:{IPERF}
            """)


class Nginx(Proxy):
    programs = {"nginx"}

    def command(self):
        return "nginx", "-p", self._lab.scratch, "-e", "stderr", "-c", self._path

    def file(self):
        listeners = "".join(f"""
                server {{
                    listen {VIP}:{port}{protocol} reuseport{backlog};
                    proxy_pass {BACKEND}:{port};
                }}""" for port, protocol, backlog in ((WEB, "", " backlog=4096"), (IPERF, "", ""), (IPERF, " udp", "")))
        return textwrap.dedent(f"""\
            load_module /usr/lib/nginx/modules/ngx_stream_module.so;
            user root;
            worker_processes {WORKERS};
            worker_rlimit_nofile 65536;
            daemon off;
            pid proxy.pid;
            error_log stderr error;
            events {{ worker_connections 8000; }}
            stream {{
                proxy_buffer_size 64k;{listeners}
            }}
            """)
