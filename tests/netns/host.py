#!/usr/bin/python3
"""Programs on the gateway host itself use a VIP like everybody."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from lab import case, clients, files, servers
from lab.lab import HOSTS, VIP

SIZE = 64 << 20


class Host(case.Case):
    def use_the_vip(self, **options):
        with self.network(servers.web, servers.names, servers.echo, **options) as lab:
            self.assertIn("greets", lab.gateway.run("curl", "-sS", f"http://{VIP}/").stdout)
            digest = files.write_random(f"{lab.path('www')}/file", case.scaled(SIZE))
            self.assertEqual(clients.download(lab.gateway, f"http://{VIP}/file"), digest)
            clients.upload(lab.gateway, f"{lab.path('www')}/file", f"http://{VIP}/sent")
            self.assertEqual(files.sha256_at(f"{lab.path('www')}/sent"), digest)
            answer = lab.gateway.run("dig", "+short", f"@{VIP}", "who.vip.example", "TXT").stdout
            self.assertEqual(answer.strip(), f'"dnsmasq on {HOSTS["host4"]}"')
            clients.echo(lab.gateway, VIP, 7, range(1, 1473, 7))
            lab.gateway.run("ping", "-c", 3, "-i", 0.2, VIP)

    def test_masquerade(self):
        self.use_the_vip()

    def test_preserve_masquerades_the_host(self):
        self.use_the_vip(source="preserve", workers=2)

    def test_without_offload(self):
        self.use_the_vip(offload=False)

    def test_closed_port_is_refused(self):
        with self.network() as lab:
            self.assertEqual(lab.gateway.run("curl", "-m", 20, f"http://{VIP}:81/", check=False).returncode, 7)


if __name__ == "__main__":
    case.main()
