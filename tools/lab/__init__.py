"""A network in namespaces, for the demo, the tests and the benchmarks.

    client                 gateway                                private hosts
    198.51.100.7 ───────── public 198.51.100.1
                           tun0   203.0.113.8/29, VIP .10
                           private 10.0.0.1 (a bridge) ────┬───── host2 10.0.0.2   web
                                                           ├───── host3 10.0.0.3   mail
                                                           └───── host4 10.0.0.4   names, echo

Every namespace is called vg-PID-NAME after the process that made it, so that runs do not meet and what a killed run left is found
and removed by the next. The gateway is vipgate, or the kernel's own NAT (nftables) as a stand-in to compare with.
"""

import os

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
