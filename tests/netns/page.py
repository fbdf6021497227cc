#!/usr/bin/python3
"""The page, in a browser: real traffic runs, the numbers follow, a backend dies and turns red; everybody can read and use it.
PAGE_SCREENSHOT keeps a picture of it."""

import contextlib
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from lab import case, config, servers
from lab.lab import HOSTS, VIP, Lab
from lab.waiting import until

HTTP = "127.0.0.1:9860"
HOST2, HOST3 = HOSTS["host2"], HOSTS["host3"]
DRIVER = "http://127.0.0.1:9515"
LOUD = ("SEVERE", "WARNING")  # of the browser's log
MANY = 50
AA = 4.5  # WCAG 2.1, 1.4.3: the contrast of text

# What a text has a worse contrast than it should, as "text: contrast", where one sees it: over the first ground that is not transparent.
FAINT = """
const luminance = rgb => {
  const [r, g, b] = rgb.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const numbers = colour => colour.match(/[0-9.]+/g).map(Number);
const groundOf = node => {
  for (; node; node = node.parentElement) {
    const [r, g, b, alpha = 1] = numbers(getComputedStyle(node).backgroundColor);
    if (alpha === 1) return [r, g, b];
  }
  return [255, 255, 255];
};
const faint = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let count = 0; walker.nextNode();) {
  const node = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !node.checkVisibility() || ["SCRIPT", "OPTION"].includes(node.tagName)) continue;
  const [one, other] = [numbers(getComputedStyle(node).color).slice(0, 3), groundOf(node)].map(luminance).sort((a, b) => b - a);
  const contrast = (one + 0.05) / (other + 0.05);
  if (contrast < arguments[0]) faint.push(walker.currentNode.data.trim() + ": " + contrast.toFixed(2));
}
return faint;
"""

# What can be used: those that Tab must reach, by a number that is noted at each.
USABLE = """
const all = [...document.querySelectorAll("a[href], button, input, select, [tabindex='0']")].filter(node => node.checkVisibility());
all.forEach((node, i) => { node.noted = i; });
return all.map(node => node.outerHTML.slice(0, 80));
"""

# What a screen reader could not name.
NAMELESS = """
const named = node => (node.labels && node.labels.length) || node.getAttribute("aria-label") || node.getAttribute("aria-labelledby") ||
  node.textContent.trim();
return [...document.querySelectorAll("button, input, select, section, form, nav, table, [role=region]")]
  .filter(node => node.checkVisibility() && !named(node)).map(node => node.outerHTML.slice(0, 80));
"""


def settings():
    health = {"type": "tcp", "interval": "200ms", "fall": 2}
    web = config.service("web", 80, HOST2, 8080, health=health, balance="round_robin")
    web["backends"].append({"address": HOST3, "port": 8080})
    return {**config.configuration(workers=2, offered=[web]), "control": {"http": HTTP}}


@contextlib.contextmanager
def browser(lab):
    """Chromium in the gateway's namespace."""
    from selenium import webdriver  # pylint: disable=import-outside-toplevel
    from selenium.webdriver.chromium.remote_connection import ChromiumRemoteConnection  # pylint: disable=import-outside-toplevel

    options = webdriver.ChromeOptions()
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,1400",
                 f"--user-data-dir={lab.path('chromium')}"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = lab.gateway.start("chromedriver", "--port=9515", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with lab.gateway.entered():
        until("chromedriver", lambda: driver.poll() is not None or
              lab.gateway.run("curl", "-sS", f"{DRIVER}/status", check=False).returncode == 0)
        page = webdriver.Remote(ChromiumRemoteConnection(DRIVER, "goog", "chrome"), options=options)
        try:
            yield page
        finally:
            page.quit()


def devtools(page, command, **parameters):
    """Asks the browser for what a web page cannot."""
    page.execute("executeCdpCommand", {"cmd": command, "params": parameters})


def prefer(page, **features):
    """The user's wishes, such as prefers_color_scheme="dark"."""
    devtools(page, "Emulation.setEmulatedMedia",
             features=[{"name": name.replace("_", "-"), "value": value} for name, value in features.items()])


def widen(page, width):
    devtools(page, "Emulation.setDeviceMetricsOverride", width=width, height=1400, deviceScaleFactor=1, mobile=False)


# In one call: between two, the page may draw itself anew.
def rows(page):
    """{"SERVICE/BACKEND": state}"""
    return page.execute_script("return Object.fromEntries(Array.from(document.querySelectorAll('tr[data-backend]'),"
                               " row => [row.dataset.backend, row.dataset.state]))")


def of_row(page, name, expression):
    """What a script finds in a backend's row, which it calls `row`."""
    return page.execute_script(f"const row = document.querySelector(`tr[data-backend='${{arguments[0]}}']`); return {expression}", name)


def many_services():
    offered = [config.service(f"service{i}", 8000 + i, HOST2, 8080) for i in range(MANY)]
    for one in offered:
        one["backends"].append({"address": HOST3, "port": 8080})
    return {**config.configuration(offered=offered), "control": {"http": HTTP}}


class Page(case.Case):
    @case.vipgate_only
    def test_it_shows_what_happens(self):
        with Lab() as lab:
            for address in (HOST2, HOST3):
                servers.web(lab, address)
            with self.gateway(lab, settings()) as gateway, browser(lab) as page:
                page.get(f"http://{HTTP}/")

                def text(name):
                    return page.find_element("id", name).text

                names = [f"web/{HOST2}:8080", f"web/{HOST3}:8080"]
                until("both backends up", lambda: rows(page) == dict.fromkeys(names, "up"))
                until("no traffic", lambda: text("opened") == "0")
                traffic = lab.client.start(
                    "sh", "-c", f"while :; do curl -sS -m 3 -o /dev/null http://{VIP}/; curl -sS -m 1 http://{VIP}:81/; done",
                    stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
                until("new flows", lambda: text("opened") not in ("0", "–"))
                until("the reason of refusals", lambda: "no_service" in text("refusals"))
                self.assertIn("no service on this port of the VIP", text("refusals"))
                until("the client", lambda: "198.51.100.7" in text("clients"))
                until("the backend's traffic", lambda: of_row(page, names[1], "row.querySelector('.bits').textContent") != "0")
                until("a line with traffic", lambda: page.execute_script("return document.querySelectorAll('.links .busy').length") >= 3)
                curve = "row.querySelector('polyline').getAttribute('points')"
                before = of_row(page, names[1], curve)
                until("a sparkline that moves", lambda: of_row(page, names[1], curve) != before)

                gateway.command("drain", HOST3)
                until("the drained backend", lambda: rows(page)[names[1]] == "drained")
                gateway.command("undrain", HOST3)
                lab.hosts[HOST2].ip("link set eth0 down")
                until("the dead backend", lambda: rows(page)[names[0]] == "down")
                self.assertEqual(of_row(page, names[0], "getComputedStyle(row.querySelector('.state')).color"), "rgb(179, 38, 30)")
                self.assertIn("1 down: " + names[0], text("sum"))
                self.assertIn("1 not up", page.title)
                self.assertIn(f"web/{HOST2}:8080 is down, was up", text("news"))

                page.find_element("name", "service").send_keys("web")
                page.find_element("name", "address").send_keys(f"{HOST3}\n")
                until("flows that were looked for", lambda: "flow" in text("found") and text("found") != "no such flow")
                self.assertIn(f"{HOST3}:8080", text("found-rows"))
                if "PAGE_SCREENSHOT" in os.environ:
                    page.save_screenshot(os.environ["PAGE_SCREENSHOT"])
                said = [entry for entry in page.get_log("browser") if entry["level"] in LOUD]
                self.assertEqual(said, [], "nothing is refused by the page's policy, nothing fails")
                fetched = page.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
                self.assertEqual({name.split("/v1/")[0] for name in fetched}, {f"http://{HTTP}"}, "no outside request")
                traffic.kill()

    @case.vipgate_only
    def test_everybody_can_read_and_use_it(self):
        with Lab() as lab:
            servers.web(lab, HOST3)
            with self.gateway(lab, settings()), browser(lab) as page:
                page.get(f"http://{HTTP}/")
                until("a backend that is down", lambda: rows(page).get(f"web/{HOST2}:8080") == "down")
                lab.client.run("curl", "-sS", "-m", 20, f"http://{VIP}/")
                lab.client.run("curl", "-sS", "-m", 20, f"http://{VIP}:81/", check=False)
                until("the client", lambda: "198.51.100.7" in page.find_element("id", "clients").text)
                for scheme in ("light", "dark"):
                    prefer(page, prefers_color_scheme=scheme)
                    self.assertEqual(page.execute_script(FAINT, AA), [], scheme)
                    for width in (1280, 1190, 1000, 700, 360):
                        widen(page, width)
                        self.assertLessEqual(page.execute_script("return document.documentElement.scrollWidth"), width)
                        cut = "return [...document.querySelectorAll('td.name')].filter(one => one.scrollWidth > one.clientWidth).length"
                        self.assertEqual(page.execute_script(cut), 0, f"names of backends at {width}")
                self.assertEqual(page.execute_script(NAMELESS), [])
                widen(page, 1280)
                self.tab_reaches_everything(page)
                self.focus_stays(page)
                prefer(page, prefers_reduced_motion="reduce")
                moving = "return document.getAnimations().filter(one => one.effect.target.checkVisibility()).length"
                self.assertEqual(page.execute_script(moving), 0)

    def tab_reaches_everything(self, page):
        from selenium.webdriver.common.keys import Keys  # pylint: disable=import-outside-toplevel

        page.execute_script("document.activeElement.blur()")
        usable = page.execute_script(USABLE)
        reached = set()
        for _ in range(2 * len(usable)):
            page.switch_to.active_element.send_keys(Keys.TAB)
            reached.add(page.execute_script("return document.activeElement.noted ?? -1"))
            ring = page.execute_script("return document.activeElement === document.body || getComputedStyle(document.activeElement).outlineWidth")
            self.assertIn(ring, (True, "3px"), "what has the focus shows it")
        self.assertEqual([usable[i] for i in range(len(usable)) if i not in reached], [])

    def focus_stays(self, page):
        """While the page draws itself anew; and the button under it works."""
        from selenium.webdriver.common.keys import Keys  # pylint: disable=import-outside-toplevel

        name = f"web/{HOST3}:8080"
        of_row(page, name, "row.querySelector('button').focus()")
        curve = "row.querySelector('polyline').getAttribute('points')"
        before = of_row(page, name, curve)
        until("a later look", lambda: of_row(page, name, curve) != before)
        self.assertTrue(of_row(page, name, "document.activeElement === row.querySelector('button')"))
        page.switch_to.active_element.send_keys(Keys.ENTER)
        until("the backend's flows", lambda: "flow" in page.find_element("id", "found").text)
        self.assertEqual(page.find_element("name", "backend").get_attribute("value"), f"{HOST3}:8080")

    @case.vipgate_only
    def test_fifty_services_fit_and_can_be_filtered(self):
        with Lab() as lab, self.gateway(lab, many_services()), browser(lab) as page:
            page.get(f"http://{HTTP}/")
            shown = "return Array.from(document.querySelectorAll('.service h4'), name => name.textContent)"
            until("all services", lambda: len(page.execute_script(shown)) == MANY)
            self.assertEqual(rows(page), {}, "backends are folded")
            for width in (1280, 360):
                widen(page, width)
                self.assertLessEqual(page.execute_script("return document.documentElement.scrollWidth"), width)
            page.find_element("id", "filter").send_keys("8007")
            until("the one that is looked for", lambda: page.execute_script(shown) == ["service7"])
            self.assertEqual(page.find_element("id", "shown").text, f"1 of {MANY} services")
            page.find_element("css selector", ".fold").click()
            until("its backends", lambda: list(rows(page)) == [f"service7/{HOST2}:8080", f"service7/{HOST3}:8080"])
            page.find_element("id", "troubled").click()
            until("none, as all are well", lambda: page.execute_script(shown) == [])

    @case.vipgate_only
    def test_it_says_when_nobody_answers(self):
        with Lab() as lab, self.gateway(lab, settings()) as gateway, browser(lab) as page:
            page.get(f"http://{HTTP}/")
            until("the VIP", lambda: VIP in page.find_element("id", "vips").text)
            gateway.stop()
            until("trouble", lambda: "no answer" in page.find_element("id", "trouble").text)
            gateway.start()
            until("no more trouble", lambda: page.find_element("id", "trouble").text == "")


if __name__ == "__main__":
    case.main("chromium", "chromedriver")
