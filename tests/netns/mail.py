#!/usr/bin/python3
"""SMTP through a VIP: a mail with a large attachment arrives as it was sent."""

import email
import email.message
import email.policy
import glob
import hashlib
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools"))

from lab import case, servers
from lab.lab import VIP

ATTACHED = 10 << 20


def write_mail(path, attachment):
    message = email.message.EmailMessage()
    message["From"], message["To"], message["Subject"] = "client@example.org", "host3@vip.example", "through the VIP"
    message.set_content("See the attachment.\n")
    message.add_attachment(attachment, maintype="application", subtype="octet-stream", filename="random")
    with open(path, "wb") as file:
        file.write(message.as_bytes(policy=email.policy.SMTP))


def received(lab):
    """The attachments of all mail that arrived."""
    for path in glob.glob(lab.path("mail/new/*")):
        with open(path, "rb") as file:
            message = email.message_from_binary_file(file, policy=email.policy.default)
        yield from (part.get_content() for part in message.iter_attachments())


class Mail(case.Case):
    def send(self, **options):
        with self.network(servers.mail, **options) as lab:
            attachment = os.urandom(case.scaled(ATTACHED))
            write_mail(lab.path("letter"), attachment)
            addresses = ["--mail-from", "client@example.org", "--mail-rcpt", "host3@vip.example"]
            lab.client.run("curl", "-sS", f"smtp://{VIP}", *addresses, "--upload-file", lab.path("letter"))
            hashes = [hashlib.sha256(data).hexdigest() for data in received(lab)]
            self.assertEqual(hashes, [hashlib.sha256(attachment).hexdigest()])

    def test_masquerade(self):
        self.send()

    def test_preserve_without_offload(self):
        self.send(source="preserve", offload=False, workers=2)


if __name__ == "__main__":
    case.main()
