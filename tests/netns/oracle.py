#!/usr/bin/python3
"""The kernel as the judge: the same packets through vipgate and through nftables DNAT and masquerade must look the same beyond."""

import os
import pprint
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

import conversation
import ftp_conversation
from lab import case, config
from lab.kernel_nat import KernelNat
from lab.lab import MASQUERADE, VIP, Lab
from lab.raw_pair import RAW_PORT, RawPair
from lab.vipgate import Vipgate
import oracle_deviations
import oracle_fragments
import oracle_ftp
import oracle_icmp
import oracle_scripts

OFFERED = [
    config.service("raw", RAW_PORT, config.RAW_SERVER, protocol=["tcp", "udp"]),
    config.service("ftp", ftp_conversation.FTP_PORT, config.RAW_SERVER, helper="ftp"),
]


class Oracle(case.Case):
    def records(self, scripts, kind, source, talk):
        """What each side gets in every script, through one kind of gateway."""
        masquerade = MASQUERADE if source == "masquerade" else None
        with Lab() as lab, self.gateway(lab, config.configuration(source=source, offered=OFFERED), kind):
            with RawPair(lab, VIP) as pair:
                return {
                    name: talk.play(pair, talk.ends_of(index, VIP, masquerade), steps)
                    for index, (name, steps) in enumerate(scripts.items())
                }

    def compare(self, subject, source, talk=conversation):
        scripts = subject.SCRIPTS
        judged, judge = (self.records(scripts, kind, source, talk) for kind in (self.gateway_kind, KernelNat))
        for name in scripts:
            with self.subTest(script=name):
                expected, reason = oracle_deviations.expected(source, name)
                if self.gateway_kind is not Vipgate:
                    expected, reason = [], "the kernel differs from itself"
                differing = {
                    number: {"vipgate": ours, "kernel": kernels}
                    for number, (ours, kernels) in enumerate(zip(judged[name], judge[name])) if ours != kernels
                }
                if reason in oracle_deviations.BY_CHANCE_ALIKE and not differing:
                    continue
                shown = f"{reason}, but at these steps:\n{pprint.pformat(differing, width=140)}"
                self.assertEqual(list(differing), expected, shown)
                if reason in oracle_deviations.DROPS:
                    self.assertEqual([step["vipgate"] for step in differing.values() if step["vipgate"]], [], shown)

    def test_deviations_are_of_scripts(self):
        known = {name for subject in (oracle_scripts, oracle_icmp, oracle_fragments, oracle_ftp) for name in subject.SCRIPTS}
        named = {key if isinstance(key, str) else key[1] for key in oracle_deviations.DEVIATIONS}
        self.assertEqual(named - known, set())

    def test_masquerade(self):
        self.compare(oracle_scripts, "masquerade")

    def test_preserve(self):
        self.compare(oracle_scripts, "preserve")

    def test_icmp_errors_masquerade(self):
        self.compare(oracle_icmp, "masquerade")

    def test_icmp_errors_preserve(self):
        self.compare(oracle_icmp, "preserve")

    def test_fragments_masquerade(self):
        self.compare(oracle_fragments, "masquerade")

    def test_fragments_preserve(self):
        self.compare(oracle_fragments, "preserve")

    def test_ftp_masquerade(self):
        self.compare(oracle_ftp, "masquerade", ftp_conversation)

    def test_ftp_preserve(self):
        self.compare(oracle_ftp, "preserve", ftp_conversation)


if __name__ == "__main__":
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])  # one processor keeps the packets in order
    case.main()
