#!/usr/bin/python3
"""What monitoring gets to see: Prometheus itself scrapes the gateway."""

import contextlib
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from lab import REPOSITORY, case, config, servers
from lab.lab import HOSTS, VIP, Lab
from lab.namespace import stop
from lab.waiting import until

HTTP, PROMETHEUS = "127.0.0.1:9860", "127.0.0.1:9090"
REQUESTS = 30
DASHBOARD = os.path.join(REPOSITORY, "tools/grafana/vipgate.json")
VARIABLES = {"$__rate_interval": "10s", "$instance": ".*", "$vip": ".*", "$service": ".*"}  # of the dashboard, as Grafana replaces them


def settings():
    web = config.service("web", 80, HOSTS["host2"], 8080, health={"type": "tcp", "interval": "200ms"})
    return {**config.configuration(workers=2, offered=[web]), "control": {"http": HTTP}}


class Prometheus:
    """The server, in the gateway's namespace, where it scrapes the gateway each second."""

    def __init__(self, lab):
        self._lab = lab

    def __enter__(self):
        with open(self._lab.path("prometheus.yml"), "w") as file:
            json.dump({"global": {"scrape_interval": "1s"},
                       "scrape_configs": [{"job_name": "vipgate", "static_configs": [{"targets": [HTTP]}]}]}, file)
        self._process = self._lab.gateway.start(
            "prometheus", f"--config.file={self._lab.path('prometheus.yml')}", f"--web.listen-address={PROMETHEUS}",
            f"--storage.tsdb.path={self._lab.path('prometheus')}", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self

    def __exit__(self, *_):
        stop(self._process)

    def results(self, query):
        """[{"metric": labels, "value": [time, text]}]; none while it does not answer."""
        said = self._lab.gateway.run("curl", "-sS", "-G", f"http://{PROMETHEUS}/api/v1/query", "--data-urlencode", f"query={query}",
                                     check=False).stdout
        answer = json.loads(said) if said.startswith("{") else {"status": "success", "data": {"result": []}}
        if answer["status"] != "success":
            raise AssertionError(f"{query}: {answer['error']}")
        return answer["data"]["result"]

    def wait_for(self, query, value):
        """Until the query's first result is that value."""

        def first():
            results = self.results(query)
            return float(results[0]["value"][1]) if results else None

        until(query, first, value)


def queries():
    """[(panel, expression, legend)] of the dashboard, variables replaced."""
    with open(DASHBOARD) as file:
        panels = json.load(file)["panels"]
    found = [(panel["title"], target["expr"], target["legendFormat"]) for panel in panels for target in panel.get("targets", [])]
    for variable, value in VARIABLES.items():
        found = [(title, expression.replace(variable, value), legend) for title, expression, legend in found]
    return found


class Metrics(case.Case):
    @contextlib.contextmanager
    def running(self):
        with Lab() as lab:
            servers.web(lab)
            with self.gateway(lab, settings()) as gateway:
                yield lab, gateway

    def get(self, lab, path, *options):
        return lab.gateway.run("curl", "-sS", *options, f"http://{HTTP}{path}").stdout

    @case.vipgate_only
    def test_promtool_finds_nothing_wrong(self):
        with self.running() as (lab, _):
            text = self.get(lab, "/metrics")
            checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
            self.assertEqual((checked.returncode, checked.stdout + checked.stderr), (0, ""))

    @case.vipgate_only
    def test_prometheus_sees_the_traffic(self):
        with self.running() as (lab, gateway), Prometheus(lab) as prometheus:
            for _ in range(REQUESTS):
                lab.client.run("curl", "-sS", "-m", 20, f"http://{VIP}/")
            prometheus.wait_for('vipgate_backend_flows_opened_total{service="web"}', REQUESTS)
            prometheus.wait_for('vipgate_backend_up{service="web"}', 1)
            lab.client.run("curl", "-sS", "-m", 20, f"http://{VIP}:81/", check=False)
            prometheus.wait_for('vipgate_refused_packets_total{reason="no_service"}', 1)
            lab.hosts[HOSTS["host2"]].ip("link set eth0 down")
            prometheus.wait_for('vipgate_backend_up{service="web"}', 0)
            gateway.take_over()
            prometheus.wait_for("up", 1)
            prometheus.wait_for('vipgate_backend_flows_opened_total{service="web"}', REQUESTS)

    @case.vipgate_only
    def test_every_panel_of_the_dashboard_has_data(self):
        with self.running() as (lab, _), Prometheus(lab) as prometheus:
            lab.client.run("curl", "-sS", "-m", 20, f"http://{VIP}/")
            waiting = queries()
            self.assertGreater(len(waiting), 30)

            def without_data():
                waiting[:] = (query for query in waiting if not self.has_data(prometheus, *query))
                return waiting

            until("data in each panel", without_data, [])

    def has_data(self, prometheus, title, expression, legend):
        """Also: what the legend names are labels of it."""
        results = prometheus.results(expression)
        if not any(result["value"][1] != "NaN" for result in results):
            return False
        for label in re.findall(r"\{\{(\w+)\}\}", legend):
            self.assertTrue(all(label in result["metric"] for result in results), f"{title}: {label}")
        return True

    @case.vipgate_only
    def test_the_dashboard_shows_every_metric(self):
        """And none that does not exist; labels, too."""
        with self.running() as (lab, _):
            said = self.get(lab, "/metrics")
        exported = set(re.findall(r"^# TYPE (\w+) ", said, re.M))
        labels = {"instance", *re.findall(r'[{,](\w+)="', said)}
        with open(DASHBOARD) as file:
            text = json.dumps(json.load(file)).replace('\\"', '"')
        self.assertEqual(set(re.findall(r"\bvipgate_\w+", text)) - exported, set(), "unknown")
        self.assertEqual(exported - set(re.findall(r"\bvipgate_\w+", text)) - {"vipgate_backend_weight"}, set(), "not shown")
        used = set(re.findall(r'(\w+)=~?"', text)) | {name for group in re.findall(r"by \(([\w, ]+)\)", text) for name in group.split(", ")}
        self.assertEqual(used - labels, set(), "unknown labels")

    @case.vipgate_only
    def test_over_tcp_one_can_only_look(self):
        with self.running() as (lab, gateway):
            said = self.get(lab, "/v1/reload", "-X", "POST", "-w", "%{http_code}")
            self.assertRegex(said, "one can only look.*\n403$")
            self.assertEqual(json.loads(self.get(lab, "/v1/status"))["pid"], gateway.status()["pid"])
            self.assertIn("421", self.get(lab, "/v1/status", "-H", "Host: evil.example", "-w", "%{http_code}"))


if __name__ == "__main__":
    case.main("prometheus", "promtool")
