#!/usr/bin/python3
"""`vipgate doctor`: each thing is made wrong on purpose, is found, and is gone when it is put right, by what doctor says itself where that
is a command."""

import json
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from lab import case, config, kernel, servers
from lab.lab import CLIENT, GATEWAY_PUBLIC, HOSTS, SUBNET, VIP, Lab
from lab.namespace import run
from lab.vipgate import binary
from lab.waiting import until

DONE, FAILED, WRONG_INPUT = 0, 1, 2
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs")
BACKEND = HOSTS["host2"]
FETCH = ("curl", "-sS", "-o", "/dev/null", f"http://{VIP}/")


def behind(script):
    """Words that have a program see other files: `script` mounts them first."""
    return ("unshare", "--mount", "sh", "-ec", script + '; exec "$@"', "sh")


def ruleset(table, chain, properties, *rules):
    """A table of nftables with one chain."""
    return "\n".join([f"table {table} {{", f"chain {chain} {{", f"type {properties};", *rules, "}", "}", ""])


class Doctor(case.Case):
    def lab(self, **options):
        """A lab, its configuration written to a file; `options` are keys of the configuration."""
        lab = self.enterContext(Lab())
        servers.web(lab)
        web = config.service("web", 80, BACKEND, 8080, health="tcp")
        self.settings = {**config.configuration(offered=[web]), **options}
        self.path = lab.path("vipgate.json")
        with open(self.path, "w") as file:
            json.dump(config.placed(lab, self.settings), file)
        return lab

    def doctor(self, lab, *words, before=(), program=None):
        """The exit code and the findings, as lines "severity subject: what @ where"."""
        done = lab.gateway.run(*before, program or binary(), "doctor", "--json", "--config", self.path, *words, check=False)
        self.assertIn(done.returncode, (DONE, FAILED), done.stderr)
        self.said = json.loads(done.stdout)
        found = ["{severity} {subject}: {what} @ {where}".format(**one) for one in self.said["findings"]]
        self.assertEqual(done.returncode, FAILED if any(line.startswith("stops") for line in found) else DONE, found)
        return found

    def matching(self, pattern, *arguments, **options):
        """What doctor finds that matches."""
        return [line for line in self.doctor(*arguments, **options) if re.search(pattern, line)]

    def assert_found(self, lab, pattern, **options):
        self.assertTrue(self.matching(pattern, lab, **options), json.dumps(self.said, indent=1))
        return next(one["remedies"] for one in self.said["findings"]
                    if re.search(pattern, "{severity} {subject}: {what} @ {where}".format(**one)))

    def assert_gone(self, lab, pattern, **options):
        until("the end of it", lambda: self.matching(pattern, lab, **options), [])  # carrier comes back a moment later

    def assert_well(self, lab, **options):
        found = self.doctor(lab, **options)
        self.assertEqual([line for line in found if not line.startswith("note")], [])

    def assert_fetches(self, lab, well):
        patience = 20 if well else 2
        self.assertEqual(lab.client.run(*FETCH, "-m", patience, check=False).returncode == 0, well)

    def follow(self, lab, remedies):
        for remedy in remedies:
            lab.gateway.run("sh", "-c", remedy)

    def wrong_and_right(self, lab, pattern, harm, cure):
        """Lines of `ip` that make something wrong, and right again."""
        lab.gateway.ip(*harm)
        remedies = self.assert_found(lab, pattern)
        lab.gateway.ip(*cure)
        self.assert_gone(lab, pattern)
        return remedies

    # A host on which all is well

    @case.vipgate_only
    def test_nothing_is_found_where_all_is_well_and_nothing_is_changed(self):
        for source in ("masquerade", "preserve"):
            with self.subTest(source=source):
                lab = self.lab()
                settings = config.configuration(workers=2, source=source, offered=[config.service("web", 80, BACKEND, 8080)])
                with open(self.path, "w") as file:
                    json.dump(config.placed(lab, settings), file)
                lab.gateway.run("iptables", "-A", "FORWARD", "-j", "ACCEPT")  # which iptables-save is asked about
                self.unchanged(lab)
                with self.gateway(lab, settings) as gateway:
                    self.assert_fetches(lab, True)
                    log = gateway.log()
                    self.unchanged(lab)
                    self.assertEqual(gateway.log(), log)
                    self.assert_fetches(lab, True)
                gateway.start()
                gateway.kill()
                self.assert_well(lab)  # what it left is no fault
                self.assertTrue(self.matching("note device: .*tun0", lab))
                lab.gateway.run(binary(), "clean", "--config", self.path)

    def unchanged(self, lab):
        def state():
            files = sorted(os.listdir(lab.path("state"))) if os.path.exists(lab.path("state")) else []
            rules = lab.gateway.run("nft", "list", "ruleset").stdout
            programs = run("ip", "netns", "pids", lab.gateway.name).stdout
            sockets = lab.gateway.run("ss", "-xlnH").stdout
            return kernel.snapshot(lab.gateway), files, re.sub(r"packets \d+ bytes \d+", "", rules), programs, sockets

        before = state()
        self.assert_well(lab)
        self.assertEqual(self.matching("backends", lab, "--probe"), self.matching("cannot be seen", lab))
        self.assertEqual(state(), before)

    @case.vipgate_only
    def test_words_and_exit_codes(self):
        lab = self.lab()
        plain = lab.gateway.run(binary(), "doctor", "--config", self.path)
        self.assertIn("well    firewall: there is none", plain.stdout)
        self.assertNotIn("\x1b", plain.stdout)
        quiet = lab.gateway.run(binary(), "doctor", "--quiet", "--config", self.path)
        self.assertNotIn("well  ", quiet.stdout)
        lab.gateway.ip("link add tun0 type bridge")
        wrong = lab.gateway.run(binary(), "doctor", "--config", self.path, check=False)
        self.assertEqual(wrong.returncode, FAILED)
        self.assertRegex(wrong.stdout, r"stops   device: tun0 is there already.*\n        at  tun0\n        do  ip link delete tun0\n")

        def on_terminal(**wishes):
            environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
            return lab.gateway.at_terminal(binary(), "doctor", "--config", self.path, check=False,
                                           env={**environment, "TERM": "xterm", **wishes}).stdout

        self.assertIn("\x1b[31mstops", on_terminal())
        self.assertNotIn("\x1b", on_terminal(NO_COLOR="1"))
        with open(self.path, "w") as file:
            file.write("{")
        self.assertEqual(lab.gateway.run(binary(), "doctor", "--config", self.path, check=False).returncode, WRONG_INPUT)

    # The firewall

    @case.vipgate_only
    def test_forward_chain_of_nftables_that_drops(self):
        lab = self.lab()
        with self.gateway(lab, self.settings):
            self.assert_fetches(lab, True)
            lab.gateway.run("nft", "-f", "-", input=ruleset("inet filter", "forward", "filter hook forward priority 0; policy drop",
                                                            "ct state established,related accept"))
            self.assert_fetches(lab, False)
            remedies = self.assert_found(lab, "stops firewall: dropped: .*public → tun0.*@ nft table inet filter, chain forward: policy drop")
            self.follow(lab, remedies)
            self.assert_fetches(lab, True)
            self.assert_gone(lab, "firewall")

    @case.vipgate_only
    def test_forward_chain_of_docker(self):
        lab = self.lab()
        with self.gateway(lab, self.settings):
            lab.gateway.run("sh", "-ec", "iptables -P FORWARD DROP; iptables -N DOCKER-USER; iptables -A FORWARD -j DOCKER-USER; "
                            "iptables -A DOCKER-USER -j RETURN")
            self.assert_fetches(lab, False)
            remedies = self.assert_found(lab, "stops firewall: .*@ iptables table filter, chain FORWARD: policy drop")
            self.assertIn("iptables -I DOCKER-USER -i tun0 -j ACCEPT", remedies)
            self.follow(lab, remedies)
            self.assert_fetches(lab, True)
            self.assert_gone(lab, "firewall")

    @case.vipgate_only
    def test_checks_that_are_dropped(self):
        lab = self.lab()
        with self.gateway(lab, self.settings) as gateway:
            lab.gateway.run("nft", "-f", "-", input=ruleset("ip own", "output", "filter hook output priority 0; policy drop"))
            gateway.wait_for_log(" is down")
            remedies = self.assert_found(lab, f"stops firewall: dropped: health checks of {BACKEND}.*chain output")
            self.follow(lab, remedies)
            self.assert_gone(lab, "firewall")
            gateway.wait_for_log(" is up again")

    @case.vipgate_only
    def test_connection_tracking(self):
        lab = self.lab()
        self.settings["vips"][0]["services"][0]["health"] = "none"  # checks are tracked as well
        with self.gateway(lab, self.settings):
            lab.gateway.run("nft", "-f", "-", input=ruleset("inet filter", "forward", "filter hook forward priority 0", "ct state invalid drop"))
            self.assert_fetches(lab, True)
            tracked = int(lab.gateway.sysctl("net/netfilter/nf_conntrack_count"))
            self.assertGreater(tracked, 0)
            remedies = self.assert_found(lab, "slows tracking: the kernel tracks each flow twice")
            self.follow(lab, remedies)
            self.assert_gone(lab, "tracking")
            for _ in range(10):
                self.assert_fetches(lab, True)
            self.assertLessEqual(int(lab.gateway.sysctl("net/netfilter/nf_conntrack_count")), tracked + 2)

    @case.vipgate_only
    def test_translation_by_others(self):
        lab = self.lab()
        with self.gateway(lab, self.settings):
            lab.gateway.run("nft", "-f", "-", input=ruleset("ip nat", "arriving", "nat hook prerouting priority dstnat",
                                                            f"ip daddr {VIP} tcp dport 80 dnat to {HOSTS['host3']}:9"))
            self.assert_fetches(lab, False)
            self.follow(lab, self.assert_found(lab, f"stops translation: clients' packets to {VIP}:80 .*chain arriving: rule with handle"))
            self.assert_fetches(lab, True)
            self.assert_gone(lab, "translation")
            lab.gateway.run("nft", "flush", "ruleset")
            lab.gateway.run("iptables", "-t", "nat", "-A", "PREROUTING", "-i", "public", "-p", "tcp", "--dport", "80", "-j", "REDIRECT",
                            "--to-ports", "9")
            self.assert_fetches(lab, False)
            self.follow(lab, self.assert_found(lab, "stops translation: .*iptables table nat, chain PREROUTING"))
            self.assert_fetches(lab, True)
            self.assert_gone(lab, "translation")

    @case.vipgate_only
    def test_firewall_that_cannot_be_read(self):
        lab = self.lab()
        lab.gateway.run("nft", "add", "table", "inet", "filter")
        hidden = behind(f"mount --bind /dev/null {shutil.which('nft')}")
        self.assert_found(lab, r"note firewall: there are rules of nftables \(table inet filter\).*nft is not installed", before=hidden)
        self.assert_gone(lab, "note firewall")

    # Programs that manage the network

    @case.vipgate_only
    def test_managers(self):
        lab = self.lab()
        for program, pattern in (("systemd-networkd", "slows managers: systemd-networkd"), ("NetworkManager", "note managers: NetworkManager")):
            with self.subTest(program=program):
                self.assert_gone(lab, pattern)
                shutil.copy(shutil.which("sleep"), lab.path(program))
                lab.gateway.start(lab.path(program), "1000")
                other = "mount -t tmpfs none /etc; mkdir -p /etc/NetworkManager/conf.d"
                remedies = [line for line in self.assert_found(lab, pattern, before=behind(other)) if not line.startswith("systemctl")]
                cured = "; ".join([other, *remedies])
                self.assert_gone(lab, pattern, before=behind(cured))

    # Sysctls

    @case.vipgate_only
    def test_forwarding_of_an_interface(self):
        lab = self.lab()
        lab.gateway.sysctl("net/ipv4/ip_forward", 1)
        lab.gateway.sysctl("net/ipv4/conf/public/forwarding", 0)
        with self.gateway(lab, self.settings):
            self.assert_fetches(lab, False)
            self.follow(lab, self.assert_found(lab, "stops sysctls: what comes in by public is not forwarded"))
            self.assert_fetches(lab, True)
            self.assert_gone(lab, "sysctls")
            lab.gateway.sysctl("net/ipv4/conf/public/forwarding", 0)
        lab.gateway.sysctl("net/ipv4/ip_forward", 0)

    @case.vipgate_only
    def test_strict_filter_on_a_second_uplink(self):
        """A client is reached by `public`, and sends by `second`."""
        lab = self.lab()
        lab.gateway.ip("link add second type veth peer name eth1 netns " + lab.client.name, "addr add 192.0.2.1/24 dev second",
                       "link set second up", f"route add default via {CLIENT} dev public", "route add default via 192.0.2.7 dev second metric 9")
        lab.client.ip("addr add 192.0.2.7/24 dev eth1", "link set eth1 up", f"route add {VIP} via 192.0.2.1 src {CLIENT}")
        with self.gateway(lab, self.settings):
            self.assert_fetches(lab, True)
            lab.gateway.sysctl("net/ipv4/conf/second/rp_filter", 1)
            self.assert_fetches(lab, False)
            self.follow(lab, self.assert_found(lab, "stops sysctls: packets of clients that come by second are dropped"))
            self.assert_fetches(lab, True)
            self.assert_gone(lab, "sysctls")
            lab.gateway.sysctl("net/ipv4/conf/second/rp_filter", 0)

    # Rights and devices

    @case.vipgate_only
    def test_rights(self):
        lab = self.lab()
        program = lab.path("vipgate")  # that anybody may run
        shutil.copy(binary(), program)
        os.chmod(self.path, 0o644)
        self.assert_found(lab, "stops rights: as this user.*CAP_NET_ADMIN", before=NOBODY, program=program)
        ordinary = ("prlimit", "--rtprio=0:0", "setpriv", "--bounding-set=-sys_nice,-bpf,-sys_admin")
        self.assert_found(lab, "slows rights: workers wait their turn.*CAP_SYS_NICE", before=ordinary)
        self.assert_gone(lab, "^stops", before=ordinary)
        self.settings["tun"]["workers"] = 2
        with open(self.path, "w") as file:
            json.dump(config.placed(lab, self.settings), file)
        self.assert_found(lab, "slows rights: packets reach the wrong worker first.*CAP_BPF", before=ordinary)
        self.assert_found(lab, "stops rights: a TUN cannot be made: No such file", before=behind("mount -t tmpfs none /dev/net"))
        self.assert_found(lab, "stops rights: .*another kind", before=behind("mount --bind /dev/null /dev/net/tun"))
        self.assert_found(lab, "stops rights: .*read-only", before=behind("mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys"))
        self.assert_gone(lab, "rights")

    @case.vipgate_only
    def test_devices(self):
        lab = self.lab()
        self.wrong_and_right(lab, "stops device: tun0 is there already, a bridge and no TUN", ["link add tun0 type bridge"], ["link delete tun0"])
        self.wrong_and_right(lab, "stops device: tun0 is a TUN with a single queue", ["tuntap add dev tun0 mode tun"], ["link delete tun0"])
        self.wrong_and_right(lab, "slows device: tun0 keeps 500 packets", ["tuntap add dev tun0 mode tun multi_queue"], ["link delete tun0"])

    # Routes and addresses

    @case.vipgate_only
    def test_routes(self):
        lab = self.lab()
        self.wrong_and_right(lab, f"stops routes: VIP {VIP} is an address of this host", [f"addr add {VIP}/32 dev public"], [f"addr del {VIP}/32 dev public"])
        self.wrong_and_right(lab, f"stops routes: VIP subnet {SUBNET} is already routed to private", [f"route add {SUBNET} via {HOSTS['host4']}"],
                             [f"route del {SUBNET}"])
        self.wrong_and_right(lab, "stops routes: a policy rule ahead of vipgate's sends packets to the backend",
                             ["route add default dev public table 77", "rule add pref 50 lookup 77"], ["rule del pref 50", "route flush table 77"])
        self.wrong_and_right(lab, "stops routes: a policy rule ahead of vipgate's refuses", [f"rule add pref 50 to {BACKEND} iif tun0 prohibit"],
                             ["rule del pref 50"])
        self.settings["vips"][0]["services"][0]["source"] = "preserve"
        with open(self.path, "w") as file:
            json.dump(config.placed(lab, self.settings), file)
        self.wrong_and_right(lab, "stops routes: table 187 is used by another program", ["route add 192.0.2.0/24 dev public table 187"],
                             ["route flush table 187"])

    @case.vipgate_only
    def test_backends(self):
        lab = self.lab()
        with self.gateway(lab, self.settings):
            for kind, reason in (("unreachable", "No route to host"), ("blackhole", "blackhole"), ("prohibit", "prohibits")):
                self.wrong_and_right(lab, f"stops backends: backend {BACKEND} cannot be reached: .*{reason}", [f"route add {kind} {BACKEND}"],
                                     [f"route del {BACKEND}"])
            self.wrong_and_right(lab, f"stops backends: backend {BACKEND} is this host itself", [f"addr add {BACKEND}/32 dev lo"],
                                 [f"addr del {BACKEND}/32 dev lo"])
            self.wrong_and_right(lab, "stops backends: private, which leads to the backend", [f"link set {name} down" for name in ("host2", "host3", "host4")],
                                 [f"link set {name} up" for name in ("host2", "host3", "host4")])
        lab.gateway.ip("addr flush dev private")
        self.assert_found(lab, f"stops backends: backend {BACKEND} cannot be reached: .*unreachable")
        lab.gateway.ip(f"route add default via {CLIENT}")
        self.assert_found(lab, f"note backends: nothing but the default route leads to the backend {BACKEND}")

    @case.vipgate_only
    def test_probe(self):
        lab = self.lab()
        self.assertEqual(self.matching("no connection", lab, "--probe"), [])
        self.settings["vips"][0]["services"] += [config.service("closed", 81, HOSTS["host3"], 9), config.service("nobody", 82, "10.0.0.77", 9)]
        with open(self.path, "w") as file:
            json.dump(config.placed(lab, self.settings), file)
        found = self.matching("stops backends: no connection", lab, "--probe")
        self.assertEqual(len(found), 2, found)
        self.assertRegex("\n".join(found), f"{HOSTS['host3']}:9 .service closed.: Connection refused")
        self.assertRegex("\n".join(found), "10.0.0.77:9 .service nobody.: (No route to host|Connection timed out)")
        self.assert_gone(lab, "no connection")

    # Files and ports

    @case.vipgate_only
    def test_places(self):
        lab = self.lab(control={"http": "127.0.0.1:9860"})
        state = lab.path("state")
        with open(state, "w"):
            self.assert_found(lab, "stops files: the state folder cannot be used: .*is no folder")
        os.remove(state)
        os.mkdir(state)
        with open(f"{state}/control.sock", "w"):
            self.assert_found(lab, "stops files: the control socket cannot be made: .*no socket")
        os.remove(f"{state}/control.sock")
        self.assert_gone(lab, "^stops")
        full = f"mount -t tmpfs -o size=1m none {state}"
        self.assert_found(lab, r"stops files: there is no room for the flows: they take .* MiB, and \d MiB are free", before=behind(full))
        self.assert_found(lab, "stops files: the state folder cannot be used: .*Read-only", before=behind(f"mount -t tmpfs -o ro none {state}"))
        server = lab.gateway.start(sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "9860", stdout=-3, stderr=-3)
        lab.gateway.run("sh", "-c", "until ss -ltnH sport = :9860 | grep -q .; do sleep 0.05; done")
        self.assert_found(lab, r"note ports: python3.* \(process \d+\) listens there.*127.0.0.1:9860")
        server.terminate()
        server.wait()
        self.assert_gone(lab, "^stops")
        with self.gateway(lab, self.settings):
            lab.gateway.run("sh", "-c", "until ss -ltnH sport = :9860 | grep -q .; do sleep 0.05; done")
            self.assert_gone(lab, "ports")  # it is the gateway that listens

    @case.vipgate_only
    def test_shared_vip(self):
        """Of a shared VIP, Docker's rules for this host's own addresses take packets, which of another they do not."""
        redirect = ("iptables", "-t", "nat", "-A", "PREROUTING", "-m", "addrtype", "--dst-type", "LOCAL", "-p", "tcp", "--dport", "80",
                    "-j", "DNAT", "--to-destination", f"{HOSTS['host3']}:9")
        lab = self.lab()
        lab.gateway.run(*redirect)
        self.assert_gone(lab, "translation")
        vip = {"address": GATEWAY_PUBLIC, "shared": True, "services": self.settings["vips"][0]["services"]}
        masquerade = {"address": "10.0.0.250", "announce": {"arp": ["private"]}}
        settings = {"vips": [vip], "masquerade": [masquerade]}
        with open(self.path, "w") as file:
            json.dump(config.placed(lab, settings), file)
        self.follow(lab, self.assert_found(lab, f"stops translation: clients' packets to {GATEWAY_PUBLIC}:80"))
        self.assert_well(lab)


if __name__ == "__main__":
    case.main("iptables", "script", "ss", "prlimit")
