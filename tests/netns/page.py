#!/usr/bin/python3
"""The page, in a browser: real traffic runs, the numbers follow, a backend dies and turns red. PAGE_SCREENSHOT keeps a picture of it."""

import contextlib
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from lab import case, config, servers
from lab.lab import HOSTS, VIP, Lab

HTTP = "127.0.0.1:9860"
HOST2, HOST3 = HOSTS["host2"], HOSTS["host3"]
PATIENCE = 20  # seconds until the page must show what is so
DRIVER = "http://127.0.0.1:9515"
LOUD = ("SEVERE", "WARNING")  # of the browser's log


def settings():
    health = {"type": "tcp", "interval": "200ms", "fall": 2}
    web = config.service("web", 80, HOST2, 8080, health=health, balance="round_robin")
    web["backends"].append({"address": HOST3, "port": 8080})
    return {**config.configuration(workers=2, offered=[web]), "control": {"http": HTTP}}


@contextlib.contextmanager
def browser(lab):
    """Chromium in the gateway's namespace."""
    from selenium import webdriver  # pylint: disable=import-outside-toplevel

    options = webdriver.ChromeOptions()
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,1400",
                 f"--user-data-dir={lab.path('chromium')}"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = lab.gateway.start("chromedriver", "--port=9515", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with lab.gateway.entered():
        deadline = time.monotonic() + PATIENCE
        while lab.gateway.run("curl", "-sS", f"{DRIVER}/status", check=False).returncode != 0:
            if time.monotonic() > deadline or driver.poll() is not None:
                raise AssertionError("chromedriver does not answer")
            time.sleep(0.1)
        page = webdriver.Remote(DRIVER, options=options)
        try:
            yield page
        finally:
            page.quit()


class Page(case.Case):
    def wait_for(self, what, look):
        deadline = time.monotonic() + PATIENCE
        while not (found := look()):
            if time.monotonic() > deadline:
                self.fail(f"the page does not show {what}")
            time.sleep(0.1)
        return found

    @case.vipgate_only
    def test_it_shows_what_happens(self):
        with Lab() as lab:
            for address in (HOST2, HOST3):
                servers.web(lab, address)
            with self.gateway(lab, settings()) as gateway, browser(lab) as page:
                page.get(f"http://{HTTP}/")

                def text(name):
                    return page.find_element("id", name).text

                # In one call: between two, the page may draw itself anew.
                def rows():
                    return page.execute_script("return Object.fromEntries(Array.from(document.querySelectorAll('tr[data-backend]'),"
                                               " row => [row.dataset.backend, row.dataset.state]))")

                def colour(name):
                    return page.execute_script("return getComputedStyle(document.querySelector(`tr[data-backend='${arguments[0]}']"
                                               " .state`)).color", name)

                names = [f"web/{HOST2}:8080", f"web/{HOST3}:8080"]
                self.wait_for("both backends up", lambda: rows() == dict.fromkeys(names, "up"))
                self.wait_for("no traffic", lambda: text("opened") == "0")
                traffic = lab.client.start(
                    "sh", "-c", f"while :; do curl -sS -m 3 -o /dev/null http://{VIP}/; curl -sS -m 1 http://{VIP}:81/; done",
                    stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
                self.wait_for("new flows", lambda: text("opened") not in ("0", "–"))
                self.wait_for("the reason of refusals", lambda: "no_service" in text("refusals"))
                self.wait_for("the client", lambda: "198.51.100.7" in text("clients"))

                gateway.command("drain", HOST3)
                self.wait_for("the drained backend", lambda: rows()[names[1]] == "drained")
                gateway.command("undrain", HOST3)
                lab.hosts[HOST2].ip("link set eth0 down")
                self.wait_for("the dead backend", lambda: rows()[names[0]] == "down")
                self.assertEqual(colour(names[0]), "rgb(179, 38, 30)")
                self.assertIn(f"web/{HOST2}:8080 is down, was up", text("news"))

                page.find_element("name", "service").send_keys("web")
                page.find_element("name", "address").send_keys(f"{HOST3}\n")
                self.wait_for("flows that were looked for", lambda: "flow" in text("found") and text("found") != "no such flow")
                self.assertIn(f"{HOST3}:8080", text("found-rows"))
                if "PAGE_SCREENSHOT" in os.environ:
                    page.save_screenshot(os.environ["PAGE_SCREENSHOT"])
                said = [entry for entry in page.get_log("browser") if entry["level"] in LOUD]
                self.assertEqual(said, [], "nothing is refused by the page's policy, nothing fails")
                fetched = page.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
                self.assertEqual({name.split("/v1/")[0] for name in fetched}, {f"http://{HTTP}"}, "no outside request")
                traffic.kill()

    @case.vipgate_only
    def test_it_says_when_nobody_answers(self):
        with Lab() as lab, self.gateway(lab, settings()) as gateway, browser(lab) as page:
            page.get(f"http://{HTTP}/")
            self.wait_for("the VIP", lambda: VIP in page.find_element("id", "vips").text)
            gateway.stop()
            self.wait_for("trouble", lambda: "no answer" in page.find_element("id", "trouble").text)
            gateway.start()
            self.wait_for("no more trouble", lambda: page.find_element("id", "trouble").text == "")


if __name__ == "__main__":
    case.main("chromium", "chromedriver")
