"""Real servers in the foreground of a private host, ready when the call returns."""

import os
import socket
import sys
import textwrap

from .lab import HOSTS, VIP
from .namespace import LabError
from .waiting import until

_LISTEN = "0A"  # TCP_LISTEN, as /proc has it


def _listeners(namespace, port):
    """The inodes of the sockets that listen on a port, of whatever address.

    Looked up, not tried with a connection: iperf3 would take that for its client, and reset the next one.
    """
    rows = []
    with namespace.entered():
        for table in filter(os.path.exists, ("/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6")):
            with open(table) as file:
                rows += [row.split() for row in file.readlines()[1:]]
    return {row[9] for row in rows if int(row[1].rpartition(":")[2], 16) == port and row[3] == _LISTEN}


def start(lab, host, name, *command, port):
    """Starts a TCP server in a namespace, its output in a file of the lab, and waits until it listens: the server itself,
    not one before it with the same port at another address."""
    before = _listeners(host, port)
    with open(lab.path(f"{name}.log"), "ab") as log:
        child = host.start(*command, stdin=-3, stdout=log, stderr=log)
    until(f"{name} to listen", lambda: child.poll() is not None or _listeners(host, port) - before)
    if child.poll() is not None:
        with open(lab.path(f"{name}.log"), errors="replace") as log:
            raise LabError(f"{name} ended: {log.read()[-500:]}")
    return child


def _start(lab, address, name, *command, port):
    return start(lab, lab.hosts[address], name, *command, port=port)


def web(lab, address=HOSTS["host2"], port=8080):
    """nginx. Serves and takes (PUT) files below lab.path("www"), with ?rate=N at N bytes a second; /id/ANYTHING says who asked, and for what."""
    name = f"nginx-{address}-{port}"
    root = lab.path("www")
    os.makedirs(root, exist_ok=True)
    with open(lab.path(f"{name}.conf"), "w") as file:
        file.write(textwrap.dedent(f"""\
            user root;
            worker_processes 2;
            daemon off;
            pid {lab.path(name)}.pid;
            error_log stderr error;
            events {{ worker_connections 4096; }}
            http {{
                access_log off;
                sendfile on;
                keepalive_requests 1000000;
                client_body_temp_path {lab.path("upload")};
                proxy_temp_path {lab.path("unused")};
                fastcgi_temp_path {lab.path("unused")};
                uwsgi_temp_path {lab.path("unused")};
                scgi_temp_path {lab.path("unused")};
                server {{
                    listen {address}:{port} backlog=4096;
                    root {root};
                    client_max_body_size 0;
                    limit_rate $arg_rate;
                    dav_methods PUT;
                    location = / {{ return 200 "nginx on {address}:{port} greets $remote_addr\\n"; }}
                    location /id/ {{ return 200 "$uri $remote_addr\\n"; }}
                }}
            }}
            """))
    return _start(lab, address, name, "nginx", "-p", lab.scratch, "-e", "stderr", "-c", lab.path(f"{name}.conf"), port=port)


def mail(lab, address=HOSTS["host3"], port=25):
    """An SMTP server that keeps mail in the Maildir lab.path("mail")."""
    command = [sys.executable, "-m", "aiosmtpd", "-n", "-l", f"{address}:{port}", "-c", "aiosmtpd.handlers.Mailbox"]
    return _start(lab, address, "smtp", *command, lab.path("mail"), port=port)


def names(lab, address=HOSTS["host4"]):
    """dnsmasq with one name, one short text, and one text of 800 bytes."""
    long_text = ",".join(f'"{letter * 200}"' for letter in "abcd")
    with open(lab.path("dnsmasq.conf"), "w") as file:
        file.write(textwrap.dedent(f"""\
            keep-in-foreground
            user=root
            pid-file=
            no-resolv
            no-hosts
            bind-interfaces
            listen-address={address}
            edns-packet-max=1400
            address=/www.vip.example/{VIP}
            txt-record=who.vip.example,"dnsmasq on {address}"
            txt-record=long.vip.example,{long_text}
            """))
    return _start(lab, address, "dnsmasq", "dnsmasq", "-C", lab.path("dnsmasq.conf"), port=53)


def iperf(lab, address=HOSTS["host3"]):
    """iperf3, for TCP and UDP."""
    return _start(lab, address, "iperf3", "iperf3", "-s", port=5201)


def echo(lab, address=HOSTS["host4"], port=7):
    """Sends every UDP datagram back."""
    host = lab.hosts[address]
    child = host.start(sys.executable, os.path.join(os.path.dirname(__file__), "udp_echo.py"), address, port)

    def answers():
        with host.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.settimeout(0.05)
            try:
                probe.sendto(b"?", (address, port))
                return probe.recv(16) == b"?"
            except OSError:
                return False

    until("the UDP echo server", answers)
    return child


def ftp(lab, address=HOSTS["host3"], port=21):
    """vsftpd. Anonymous users read lab.path("ftp") and may write below its folder "incoming". The control connection's two
    ends must be those of the data connection too."""
    root = lab.path("ftp")
    os.makedirs(f"{root}/incoming", exist_ok=True)
    os.chmod(f"{root}/incoming", 0o777)  # the root itself must not be writable
    os.makedirs(lab.path("empty"), exist_ok=True)
    with open(lab.path("vsftpd.conf"), "w") as file:
        file.write(textwrap.dedent(f"""\
            listen=YES
            listen_address={address}
            listen_port={port}
            background=NO
            anonymous_enable=YES
            no_anon_password=YES
            anon_root={root}
            write_enable=YES
            anon_upload_enable=YES
            anon_mkdir_write_enable=YES
            anon_other_write_enable=YES
            anon_umask=022
            connect_from_port_20=YES
            pasv_promiscuous=NO
            port_promiscuous=NO
            secure_chroot_dir={lab.path("empty")}
            xferlog_enable=NO
            isolate_network=NO
            seccomp_sandbox=NO
            """))
    return _start(lab, address, "vsftpd", "vsftpd", lab.path("vsftpd.conf"), port=port)
