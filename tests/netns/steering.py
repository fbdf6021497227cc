#!/usr/bin/python3
"""Packets come to the worker that owns their flow, by themselves: by way of another one they would cost twice."""

import os
import random
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from lab import REPOSITORY, case, config, servers
from lab.lab import CLIENT, HOSTS, VIP, Lab
from lab.vipgate import Vipgate
from lab.waiting import until

REQUESTS = 200  # a service and round, a connection each
PORTS = {"masquerade": 80, "preserve": 81}
DATAGRAMS = 20_000  # over the flows that there are
PER_ADDRESS = 50_000  # of those that fill_flows makes, from port 1024 on
FEW = 0.001  # of all packets: those on their way while a program or a rule changes


def offered(**ports):
    return [config.service(source, port, HOSTS["host2"], 8000 + port, source=source) for source, port in ports.items()]


class Steering(case.Case):
    def ask(self, lab, *ports):
        for port in ports:
            urls = lab.path("urls")
            with open(urls, "w") as file:
                file.write(f'url = "http://{VIP}:{port}/"\n' * REQUESTS)
            said = lab.client.run("curl", "-sS", "-m", 60, "-H", "Connection: close", "-K", urls).stdout
            self.assertEqual(said.count("greets"), REQUESTS)

    def handed_over(self, gateway):
        """Of the packets that came: how many, and how many a worker handed to another one."""
        counters = gateway.status()["counters"]
        return counters["packets_read"], counters["actions"].get("hand_off", 0)

    def assert_steered(self, lab, gateway, *ports):
        read_before, handed_before = self.handed_over(gateway)
        self.ask(lab, *ports)
        until("all packets to be counted", lambda: self.handed_over(gateway)[0] - read_before > REQUESTS * len(ports) * 8)
        read, handed = self.handed_over(gateway)
        print(f"\n  {read - read_before} packets, {handed - handed_before} by way of another worker", file=sys.stderr)
        self.assertLess((handed - handed_before) / (read - read_before), FEW)

    @case.vipgate_only
    def test_flows_reach_their_worker(self):
        for workers in (2, 4):
            with self.subTest(workers=workers), Lab() as lab:
                for port in PORTS.values():
                    servers.web(lab, HOSTS["host2"], 8000 + port)
                settings = config.configuration(workers=workers, offered=offered(masquerade=80))
                with self.gateway(lab, settings) as gateway:
                    self.assert_steered(lab, gateway, 80)
                    more = config.configuration(workers=workers, offered=offered(**PORTS))
                    gateway.reload(more, "reloaded")
                    self.assert_steered(lab, gateway, *PORTS.values())
                    busy = [worker for worker in gateway.status()["workers"] if worker["packets_read"] > REQUESTS]
                    self.assertEqual(len(busy), workers)
                    gateway.take_over()
                    self.assert_steered(lab, gateway, *PORTS.values())
                    gateway.kill()
                    gateway.start()
                    self.assert_steered(lab, gateway, *PORTS.values())

    @case.vipgate_only
    def test_few_and_many_flows(self):
        fill = os.environ.get("FILL_FLOWS", os.path.join(REPOSITORY, "build/release/tests/netns/fill_flows"))
        echo = [config.service("echo", 7, HOSTS["host4"], protocol="udp", source="preserve")]
        for workers in (2, 4):
            for flows in (10, case.scaled(1_000_000)):
                with self.subTest(workers=workers, flows=flows), Lab() as lab:
                    servers.echo(lab)
                    lab.gateway.ip(f"route add 11.0.0.0/8 via {CLIENT}")
                    wanted = {**config.configuration(workers=workers, offered=echo), "flows": {"max": 1 << 20}}
                    with self.gateway(lab, wanted) as gateway:
                        gateway.kill()
                        lab.gateway.run(fill, gateway.config_path, flows)
                        gateway.start()
                        self.use(lab, flows)
                        opened = gateway.status()["counters"]["flows_opened"]
                        read, handed = self.handed_over(gateway)
                    print(f"\n  {workers} workers, {flows} flows: {read} packets, {handed} by way of another worker", file=sys.stderr)
                    self.assertEqual(opened, 0)
                    self.assertGreaterEqual(read, 2 * DATAGRAMS)
                    self.assertLess(handed / read, FEW)

    def use(self, lab, flows):
        """Sends datagrams on some of the flows that fill_flows has made; each must come back."""
        addresses = [f"11.0.0.{number}" for number in range(-(-flows // PER_ADDRESS))]
        lab.client.ip(*(f"addr add {address}/32 dev eth0" for address in addresses))
        chosen = range(flows) if flows <= 10 else random.sample(range(flows), 2000)
        for index in chosen:
            with lab.client.entered():
                end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            with end:
                end.settimeout(5)
                end.bind((addresses[index // PER_ADDRESS], 1024 + index % PER_ADDRESS))
                end.connect((VIP, 7))
                for number in range(DATAGRAMS // len(chosen)):
                    end.send(number.to_bytes(4, "big"))
                    self.assertEqual(int.from_bytes(end.recv(64), "big"), number)

    @case.vipgate_only
    def test_without_the_right_to(self):
        """Slower, and told; nothing else."""
        def may_not(lab, settings):
            return Vipgate(lab, settings, before=("setpriv", "--bounding-set=-bpf,-sys_admin"))

        with Lab() as lab:
            servers.web(lab, HOSTS["host2"], 8080)
            with self.gateway(lab, config.configuration(workers=2, offered=offered(masquerade=80)), may_not) as gateway:
                self.assertRegex(gateway.log(), "warning: packets go from worker to worker: .*CAP_BPF")
                self.ask(lab, 80)
                self.assertGreater(self.handed_over(gateway)[1], REQUESTS)


if __name__ == "__main__":
    case.main()
