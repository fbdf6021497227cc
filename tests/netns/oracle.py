#!/usr/bin/python3
"""The kernel as the judge: the same packets through vipgate and through nftables DNAT and masquerade must look the same beyond."""

import os
import pprint
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from conversation import ends_of, play
from lab import case, config
from lab.kernel_nat import KernelNat
from lab.lab import MASQUERADE, VIP, Lab
from lab.raw_pair import RawPair
from lab.vipgate import Vipgate
from oracle_scripts import SCRIPTS

# Where vipgate means to differ: (source, script): (numbers of the steps, from 0, and why)
ANSWERS = "a segment of no flow is answered with RST, so that its sender does not wait in vain; the kernel drops it silently"
JOINS = "with the client's address preserved, a conversation can be joined in the middle; the judge has tcp_loose off"
LINGERS = "a flow outlives its RST (RFC 7857, section 2.2), so a SYN/ACK that crossed it still arrives"
DEVIATIONS = {
    ("masquerade", "syn_given_up_by_the_client"): ([2], LINGERS),
    ("masquerade", "acknowledgement_of_nothing"): ([0, 1], ANSWERS),
    ("masquerade", "data_of_nothing"): ([0], ANSWERS),
    ("masquerade", "end_of_nothing"): ([0], ANSWERS),
    ("masquerade", "answer_to_nothing"): ([0], ANSWERS),
    ("preserve", "syn_given_up_by_the_client"): ([2], LINGERS),
    ("preserve", "acknowledgement_of_nothing"): ([0, 1], JOINS),
    ("preserve", "data_of_nothing"): ([0], JOINS),
    ("preserve", "end_of_nothing"): ([0], ANSWERS),
    ("preserve", "answer_to_nothing"): ([0], ANSWERS),
}


class Oracle(case.Case):
    def records(self, kind, source):
        """What each side gets in every script, through one kind of gateway."""
        masquerade = MASQUERADE if source == "masquerade" else None
        with Lab() as lab, self.gateway(lab, config.configuration(source=source), kind):
            with RawPair(lab, VIP) as pair:
                return {
                    name: play(pair, ends_of(index, VIP, masquerade), steps)
                    for index, (name, steps) in enumerate(SCRIPTS.items())
                }

    def compare(self, source):
        deviations = DEVIATIONS if self.gateway_kind is Vipgate else {}
        judged, judge = self.records(self.gateway_kind, source), self.records(KernelNat, source)
        for name in SCRIPTS:
            with self.subTest(script=name):
                expected, reason = deviations.get((source, name), ([], "the kernel is right"))
                differing = {
                    number: {"vipgate": ours, "kernel": kernels}
                    for number, (ours, kernels) in enumerate(zip(judged[name], judge[name])) if ours != kernels
                }
                self.assertEqual(list(differing), expected, f"{reason}, but at these steps:\n{pprint.pformat(differing, width=140)}")

    def test_masquerade(self):
        self.compare("masquerade")

    def test_preserve(self):
        self.compare("preserve")


if __name__ == "__main__":
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])  # one processor keeps the packets in order
    case.main()
