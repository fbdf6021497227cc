#!/usr/bin/python3
"""The demo behind tools/demo.sh: a network in namespaces, a gateway, real requests with their answers."""

import argparse
import re
import shlex
import sys
import time

from failover import failover
from lab import config, screen, servers
from lab.kernel_nat import KernelNat
from lab.lab import HOSTS, VIP, Lab, end_on_signals
from lab.namespace import LabError, run
from lab.vipgate import Vipgate, binary

WEB, MAIL, NAMES = HOSTS.values()

PICTURE = f"""\
    client ──────────── gateway ─────────┬── {WEB}  nginx    behind {VIP}:80
    198.51.100.7        tun0 owns        ├── {MAIL}  SMTP     behind {VIP}:25
                        {VIP}     └── {NAMES}  dnsmasq  behind {VIP}:53 (UDP)"""

LETTER = "From: you@example.org\nTo: host3@vip.example\nSubject: through the VIP\n\nHello from the client.\n"

SAMPLE = """\
{
  "tun": { "subnet": "203.0.113.8/29" },      // addresses that are routed to this machine and that no card has
  "vips": [ {
    "address": "203.0.113.10",
    "services": [
      { "protocol": "tcp", "port": 80, "backends": [ { "address": "10.0.0.2", "port": 8080 } ] },
      { "protocol": "tcp", "port": 25, "backends": [ { "address": "10.0.0.3" } ] },
      { "protocol": "udp", "port": 53, "backends": [ { "address": "10.0.0.4" } ] }
    ]
  } ]
}
"""


class Request:
    """A command of the client, what of its output is worth showing, and what must be in it."""

    def __init__(self, title, command, expected, exit_code=0, show=".+", because=""):
        self.title = title
        self.command = command
        self.expected = expected
        self.exit_code = exit_code
        self.show = show
        self.because = because

    def perform(self, lab):
        """Runs the command, shows it with its answer, and says whether the answer is right."""
        screen.heading(self.title)
        screen.command(self.command)
        done = lab.client.run(*shlex.split(self.command), check=False, cwd=lab.scratch, timeout=30)
        output = done.stdout + done.stderr
        for line in output.replace("\r", "").splitlines():
            if re.search(self.show, line):
                screen.answer(line)
        right = done.returncode == self.exit_code and re.search(self.expected, output)
        wrong = f"exit code {done.returncode}; expected {self.exit_code} and {self.expected!r}"
        screen.verdict(right, self.because if right else wrong)
        return bool(right)


REQUESTS = (
    Request("The web", f"curl -sS http://{VIP}/", f"nginx on {WEB}:8080", because=f"port 80 of the VIP is port 8080 of {WEB}"),
    Request(
        "A mail", f"curl -sSv smtp://{VIP} --mail-from you@example.org --mail-rcpt host3@vip.example --upload-file letter",
        "250 OK", show=r"^[<>] (220|250 OK|354|MAIL|RCPT|DATA)", because=f"port 25 of the same address is {MAIL}"),
    Request("A name", f"dig +noall +answer @{VIP} who.vip.example TXT", f"dnsmasq on {NAMES}", because=f"UDP 53 is {NAMES}"),
    Request("A ping", f"ping -c 1 {VIP}", "1 received", show="bytes from", because="the gateway answers for the VIP itself"),
    Request("A port that nobody serves", f"curl -sS http://{VIP}:8081/", "refused|Couldn't connect|Failed to connect", 7,
            because="refused at once, as by any host"),
    Request("Around the VIP, straight to the web server", f"curl -sS --max-time 5 http://{WEB}:8080/", "Failed to connect", 7,
            because="nothing but what is served can be reached"),
)


def mail_arrived(lab):
    """Shows the mail that the server has kept."""
    inbox = run("sh", "-c", f"cat {lab.path('mail')}/new/*", check=False).stdout
    right = "Hello from the client." in inbox
    screen.verdict(right, f"the mail lies in the inbox on {MAIL}" if right else "no mail has arrived")
    return right


def sample_is_valid(lab):
    """The configuration that is recommended must be one."""
    screen.heading("A configuration, checked before it runs")
    with open(lab.path("sample.json"), "w") as file:
        file.write(SAMPLE)
    screen.command("vipgate check sample.json")
    done = run(binary(), "check", lab.path("sample.json"), check=False)
    for line in (done.stdout + done.stderr).splitlines():
        screen.answer(line)
    screen.verdict(done.returncode == 0, "the sample that the demo ends with" if done.returncode == 0 else "refused")
    return done.returncode == 0


def show(lab, gateway):
    """Performs all requests; returns whether every answer was right."""
    with open(lab.path("letter"), "w") as file:
        file.write(LETTER)
    answers = []
    for request in REQUESTS:
        answers.append(request.perform(lab))
        if request.title == "A mail":
            answers.append(mail_arrived(lab))
    if isinstance(gateway, Vipgate):
        answers.append(sample_is_valid(lab))
    screen.summary(all(answers), f"{sum(answers)} of {len(answers)} answers are as they should be.")
    return all(answers)


def stay(lab, gateway):
    """Says what to try, then waits for Ctrl-C."""
    client = f"ip netns exec {lab.client.name}"
    screen.heading("It stays up. Try, in another terminal")
    screen.command(f"{client} curl http://{VIP}/")
    screen.command(f"{client} dig @{VIP} www.vip.example")
    screen.command(f"{client} bash", "look around as the client")
    screen.command(f"ip netns exec {lab.gateway.name} tcpdump -ni tun0", "watch the gateway's two sides")
    screen.command(f"ip netns exec {lab.gateway.name} ip rule", "see how packets find the TUN")
    screen.command(f"cat {gateway.config_path}", "the configuration that runs")
    screen.heading("A configuration for a VIP of your own")
    screen.text(SAMPLE)
    screen.command(f"{binary()} check vipgate.json")
    screen.command(f"{binary()} run --config vipgate.json")
    screen.text("\nCtrl-C ends the demo and removes all of it.")
    try:
        while gateway.process.poll() is None:
            time.sleep(0.2)
    except KeyboardInterrupt:
        screen.text("\nRemoving it.")
        return
    raise LabError(f"the gateway ended:\n{gateway.log()[-2000:]}")


def served():
    """The three services of the picture."""
    return [one for one in config.services() if one["name"] in ("web", "mail", "names")]


def demo(options):
    with Lab() as lab:
        screen.title("vipgate: one virtual IP, three private hosts")
        screen.text(PICTURE)
        for server in (servers.web, servers.mail, servers.names):
            server(lab)
        kind = Vipgate if options.gateway == "vipgate" else KernelNat
        gateway = kind(lab, config.configuration(offered=served()))
        gateway.start()
        try:
            if gateway.log():
                screen.heading("What the gateway set up")
                screen.quiet(gateway.log())
            right = show(lab, gateway)
            if not options.once and kind is Vipgate:
                stay(lab, gateway)
        finally:
            gateway.stop()
    return right


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--once", action="store_true", help="check the answers and end")
    parser.add_argument("--gateway", choices=("vipgate", "nft"), default="vipgate",
                        help="nft: the same with the kernel's NAT, once")
    parser.add_argument("--failover", action="store_true", help="show that a connection goes on when a card fails")
    options = parser.parse_args()
    end_on_signals()
    try:
        return 0 if (failover() if options.failover else demo(options)) else 1
    except LabError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
