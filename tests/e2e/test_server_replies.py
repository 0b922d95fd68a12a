"""Tests scripted servers in plaintext and inside TLS: replies that a command cannot have never reach
the client, and a refusal keeps its code, however long it is."""

import unittest

import fakes
import harness
import wire
from wire import Wire

env = None
gateway = None
servers = {}

LONG = b"x" * 3000
BROKEN = {
    "smtp": b"421 4.3.2 mail.example.org Service not available, try again later\r\n",
    "imap": b"* BYE Server broken, try again later\r\n",
    "pop3": b"-ERR Server broken, try again later\r\n",
    "managesieve": b'BYE "Server broken, try again later"\r\n',
    "nntp": b"400 Server broken, try again later\r\n",
    "acap": b'* BYE "Server broken, try again later"\r\n',
}
BROKEN["lmtp"] = BROKEN["smtp"]
# protocol: the server's greeting
GREETING = {
    "smtp": b"220 backend\r\n", "lmtp": b"220 backend\r\n", "imap": b"* OK backend\r\n",
    "pop3": b"+OK backend\r\n", "managesieve": b'"SIEVE" ""\r\nOK\r\n', "nntp": b"200 backend\r\n",
    "acap": b"* ACAP (X)\r\n"}
LEGS = ("smtp", "lmtp", "imap", "pop3", "managesieve")
NO_REPLIES = (b"hello\r\n", b"\r\n", b"\x16\x03\x01\r\n", b"+OK x\r\n", b"* OK x\r\n")


class Server:
    """Says what a row of a test has: a greeting, and to each line of the client, by what
    it begins with, some octets. All at once, or one octet at a time."""

    def __init__(self, protocol):
        self.protocol = protocol
        self.greeting = GREETING[protocol]
        self.replies = {}
        self.pieces = False

    async def say(self, writer, octets):
        step = 1 if self.pieces else max(1, len(octets))
        for i in range(0, len(octets), step):
            writer.write(octets[i:i + step])
            await writer.drain()

    async def __call__(self, reader, writer):
        await self.say(writer, self.greeting)
        while line := await reader.readline():
            await self.say(writer, self.reply(line))

    def reply(self, line):
        for begin, octets in self.replies.items():
            if line.upper().startswith(begin):
                return octets
        # Lines of a message, without its end.
        return b"" if self.protocol in ("smtp", "lmtp") else GREETING[self.protocol]

    async def checked(self, reader, writer):
        """The gateway's own checks see a server that is well."""
        writer.write(GREETING[self.protocol])
        while line := await reader.readline():
            writer.write(b"250 backend\r\n" if line[:4] in (b"EHLO", b"LHLO") else b"500 what\r\n")


def setUpModule():
    global env, gateway
    env = harness.Environment(servers=False)
    listeners, backends = {}, {}
    for protocol in GREETING:
        servers[protocol] = Server(protocol)
        backend = unittest.enterModuleContext(
            fakes.Backend(servers[protocol], checked=servers[protocol].checked))
        backends[protocol] = backend.address
        listeners[protocol] = {"protocol": protocol, "tls": "starttls", "backend": protocol}
        if protocol in LEGS:
            listeners[protocol].update({"policy": "opportunistic", "plaintext_auth": "allow"})
        else:
            listeners[protocol]["policy"] = "require"
    gateway = unittest.enterModuleContext(env.gateway(listeners, backends))


class Replies(unittest.TestCase):
    def play(self, protocol, talk, replies=None, greeting=None):
        """The client sends each of `talk` and reads what is told: of each but the last as much
        as the second of the pair has, and then all to the end. Yields (told, why it ended)
        for a server that says all at once and for one that says an octet at a time."""
        server = servers[protocol]
        server.greeting = greeting or GREETING[protocol]
        server.replies = replies or {}
        for server.pieces in (False, True):
            before = gateway.metrics()
            with Wire(gateway.ports[protocol]) as client:
                client.greeting(protocol)
                *first, last = talk
                for said, wanted in first:
                    client.send(said)
                    self.assertEqual(client.exactly(len(wanted)), wanted)
                told = client.send(last).rest() if isinstance(last, bytes) else last(client)
            yield told, self.reason(protocol, before)

    def reason(self, protocol, before):
        name = "starling_sessions_ended_total"
        count = before.sum(name, listener=protocol) + 1
        gateway.wait_for_metric(count, name, listener=protocol)
        after = gateway.metrics()
        labels = [dict(labels)["reason"] for n, labels in after
                  if n == name and dict(labels)["listener"] == protocol]
        [ended] = [r for r in labels if after.sum(name, listener=protocol, reason=r) >
                   before.sum(name, listener=protocol, reason=r)]
        return ended

    def refused(self, protocol, talk, replies=None, greeting=None):
        with self.subTest(protocol, replies=replies, greeting=greeting):
            for told, reason in self.play(protocol, talk, replies, greeting):
                self.assertEqual(told, BROKEN[protocol])
                self.assertEqual(reason, "backend_protocol")

    def passed(self, protocol, talk, told, replies=None, greeting=None, reason="client_closed"):
        with self.subTest(protocol, told=told[:40]):
            for seen, ended in self.play(protocol, talk, replies, greeting):
                self.assertEqual(seen, told)
                self.assertEqual(ended, reason)


def lines(text, code, count=3):
    return b"".join(code + b"-" + text + b"\r\n" for _ in range(count)) + code + b" end\r\n"


class Mail(Replies):
    """SMTP and LMTP."""

    OK = {b"EHLO": b"250 b\r\n", b"LHLO": b"250 b\r\n", b"HELO": b"250 b\r\n", b"MAIL": b"250 m\r\n",
          b"RCPT": b"250 r\r\n", b"DATA": b"354 d\r\n", b".": b"250 f\r\n", b"RSET": b"250 s\r\n",
          b"NOOP": b"250 n\r\n", b"VRFY": b"252 v\r\n", b"AUTH": b"334 a\r\n", b"EA==": b"235 in\r\n",
          b"QUIT": b"221 q\r\n"}
    MAIL = (b"MAIL FROM:<a@b>\r\n", b"250 m\r\n")
    RCPT = (b"RCPT TO:<c@d>\r\n", b"250 r\r\n")
    DATA = (b"DATA\r\n", b"354 d\r\n")
    WRONG = (b"150 x\r\n", b"334 x\r\n", b"354 x\r\n", b"399 x\r\n", b"600 x\r\n",
             b"250-x\r\n354 x\r\n") + NO_REPLIES

    def after_hello(self, protocol, *talk):
        """The client's EHLO is answered by the gateway."""
        def first(client):
            client.ask(protocol, wire.HELLO[protocol])
            *before, last = talk
            for said, wanted in before:
                client.send(said)
                self.assertEqual(client.exactly(len(wanted)), wanted)
            return client.send(last).rest() if isinstance(last, bytes) else last(client)
        return [first]

    def test_the_replayed_hello(self):
        for protocol in ("smtp", "lmtp"):
            verb = wire.HELLO[protocol][:4]
            for wrong in self.WRONG + (b"220 x\r\n", b"221 x\r\n", b"235 x\r\n"):
                if wrong.startswith(b"250-"):
                    wrong = b"250-b\r\n250-SIZE\r\n354 x\r\n"
                for command in (b"MAIL FROM:<a@b>\r\n", b"VRFY a\r\n", b"AUTH LOGIN\r\n"):
                    self.refused(protocol, self.after_hello(protocol, command), {verb: wrong})

    def test_the_log_names_the_reply(self):
        for protocol in ("smtp", "lmtp"):
            verb = wire.HELLO[protocol][:4]
            for reply, words in ((b"354 x\r\n", "reason=backend_protocol reply=354"),
                                 (b"421 x\r\n", "reason=backend_refused reply=421")):
                talk = self.after_hello(protocol, b"VRFY a\r\n")
                seen = len(gateway.lines)
                for _ in self.play(protocol, talk, {verb: reply}):
                    self.assertTrue(gateway.wait_for_line(
                        "session ended", "listener=" + protocol, words, after=seen),
                        gateway.lines[-5:])
                    seen = len(gateway.lines)

    def test_each_command(self):
        rows = {
            b"MAIL": [b"MAIL FROM:<a@b>\r\n"],
            b"RCPT": [self.MAIL, b"RCPT TO:<c@d>\r\n"],
            b"RSET": [self.MAIL, b"RSET\r\n"],
            b"NOOP": [self.MAIL, b"NOOP\r\n"],
            b"QUIT": [self.MAIL, b"QUIT\r\n"],
            b"VRFY": [b"VRFY a\r\n"],
            b"DATA": [self.MAIL, self.RCPT, b"DATA\r\n"],
            b".": [self.MAIL, self.RCPT, self.DATA, b"x\r\n.\r\n"],
            b"AUTH": [b"AUTH LOGIN\r\n"],
            b"EA==": [(b"AUTH LOGIN\r\n", b"334 a\r\n"), b"eA==\r\n"],
        }
        for protocol in ("smtp", "lmtp"):
            for verb, talk in rows.items():
                for wrong in self.WRONG:
                    if wrong.startswith(b"250-"):
                        continue  # its first line may pass: see the unit tests
                    if (verb, wrong[:3]) in ((b"DATA", b"354"), (b"AUTH", b"334"), (b"EA==", b"334")):
                        continue
                    self.refused(protocol, self.after_hello(protocol, *talk), {**self.OK, verb: wrong})
            for success in (b"250 x\r\n", b"220 x\r\n"):
                self.refused(protocol, self.after_hello(protocol, *rows[b"DATA"]),
                             {**self.OK, b"DATA": success})

    def test_a_reply_too_many(self):
        for protocol in ("smtp", "lmtp"):
            self.refused(protocol, self.after_hello(protocol, self.MAIL, self.RCPT, self.DATA, b"x\r\n"),
                         {**self.OK, b"X": b"250 early\r\n"})
            final = lambda client: (client.send(b"x\r\n.\r\n").exactly(7), client.rest())[1]
            self.refused(protocol, self.after_hello(protocol, self.MAIL, self.RCPT, self.DATA, final),
                         {**self.OK, b".": b"250 f\r\n250 g\r\n"})

    def test_goodbye_at_any_time(self):
        for protocol in ("smtp", "lmtp"):
            for said in (b"421 4.3.2 going\r\n", b"421-a\r\n421 b\r\n", b"421 4.3.2 " + LONG + b"\r\n"):
                self.passed(protocol, self.after_hello(protocol, self.MAIL, b"NOOP\r\n"), said,
                            {**self.OK, b"NOOP": said}, reason="backend_closed")
                self.passed(protocol, self.after_hello(
                    protocol, self.MAIL, self.RCPT, self.DATA, b"x\r\n"), said,
                            {**self.OK, b"X": said}, reason="backend_closed")

    def test_long_refusals(self):
        for protocol in ("smtp", "lmtp"):
            for code in (b"550", b"451"):
                for said in (code + b" 5.7.1 " + LONG + b"\r\n", lines(LONG, code), lines(b"x", code, 500)):
                    quit = lambda client, said=said: (
                        client.send(b"MAIL FROM:<a@b>\r\n").exactly(len(said)) +
                        client.ask("smtp", b"QUIT\r\n"))
                    self.passed(protocol, self.after_hello(protocol, quit), said + b"221 q\r\n",
                                {**self.OK, b"MAIL": said})
                    # The answer to a hello that the gateway sent without the client's knowledge.
                    verb = wire.HELLO[protocol][:4]
                    self.passed(protocol, self.after_hello(protocol, quit), said + b"221 q\r\n",
                                {**self.OK, verb: said})

    def test_long_lines_of_ehlo(self):
        for protocol in ("smtp", "lmtp"):
            verb = wire.HELLO[protocol][:4]
            said = b"250-b " + LONG + b"\r\n250-SIZE 99\r\n250 X " + LONG + b"\r\n"
            talk = self.after_hello(protocol, self.MAIL, lambda client: client.ask(protocol, b"QUIT\r\n"))
            self.passed(protocol, talk, b"221 q\r\n", {**self.OK, verb: said})


class Tagged(Replies):
    """IMAP, POP3 and ManageSieve."""

    # protocol: what opens the leg, and a reply that refuses
    WORK = {"imap": (b"a X\r\n", b"a NO no\r\n"), "pop3": (b"STAT\r\n", b"-ERR no\r\n"),
            "managesieve": (b"LISTSCRIPTS\r\n", b'NO "no"\r\n')}
    LOG_IN = {"imap": b"a AUTHENTICATE PLAIN\r\n", "pop3": b"AUTH PLAIN\r\n",
              "managesieve": b'AUTHENTICATE "PLAIN"\r\n'}
    WRONG = {
        "imap": (b"* 1 EXISTS\r\n", b"* LIST () \"/\" a\r\n", b"+ go on\r\n", b"b OK\r\n", b"a YES\r\n",
                 b"354 x\r\n", b"+OK\r\n", b"\r\n", b"* X " + LONG + b"\r\n"),
        "pop3": (b"+ go on\r\n", b"* OK\r\n", b"354 x\r\n", b"+ok\r\n", b"\r\n", LONG + b"\r\n"),
        "managesieve": (b'"x"\r\n', b"{3}\r\nabc\r\n", b"+ go on\r\n", b"354 x\r\n", b"\r\n",
                        LONG + b"\r\n"),
    }
    REFUSALS = {
        "imap": (b"a NO [ALERT] " + LONG + b"\r\n", b"a BAD " + LONG + b"\r\n"),
        "pop3": (b"-ERR [SYS/PERM] " + LONG + b"\r\n",),
        "managesieve": (b'NO "' + LONG + b'"\r\n', b"NO {3000}\r\n" + LONG + b"\r\n",
                        b"NO {20000}\r\n" + b"y" * 20000 + b"\r\n"),
    }
    ANSWERED = {"imap": (b"q LOGOUT\r\n", b"* BYE Logging out\r\nq OK Logout completed\r\n"),
                "pop3": (b"QUIT\r\n", b"+OK Goodbye\r\n"),
                "managesieve": (b"LOGOUT\r\n", b'OK "Logout completed."\r\n')}

    def test_wrong_replies(self):
        for protocol, wrong in self.WRONG.items():
            command = self.WORK[protocol][0]
            for said in wrong:
                self.refused(protocol, [command], {command[:-2].upper(): said})
                # ManageSieve's greeting is a list.
                if said != b'"x"\r\n':
                    self.refused(protocol, [command], greeting=said)

    def test_unasked(self):
        for protocol, said in (("imap", b"a OK in\r\n"), ("pop3", b"+OK in\r\n"),
                               ("managesieve", b"OK\r\n")):
            command, no = self.WORK[protocol]
            talk = [lambda client: (client.send(command).exactly(len(no)), client.rest())[1]]
            self.refused(protocol, talk, {command[:-2].upper(): no + said})

    def test_long_refusals(self):
        for protocol, refusals in self.REFUSALS.items():
            command = self.WORK[protocol][0]
            said, answer = self.ANSWERED[protocol]
            for refusal in refusals:
                talk = [(command, refusal), said]
                self.passed(protocol, talk, answer, {command[:-2].upper(): refusal}, reason="goodbye")

    def test_long_challenges(self):
        for protocol, challenge, end in (("imap", b"+ " + LONG + b"\r\n", b"a NO\r\n"),
                                         ("pop3", b"+ " + LONG + b"\r\n", b"-ERR\r\n"),
                                         ("managesieve", b'"' + LONG + b'"\r\n', b"NO\r\n")):
            command = self.LOG_IN[protocol]
            said, answer = self.ANSWERED[protocol]
            told = end if protocol != "imap" else b"a NO \r\n"
            talk = [(command, challenge), (b"eA==\r\n", told), said]
            self.passed(protocol, talk, answer, {command[:-2].upper(): challenge, b"EA==": end},
                        reason="goodbye")


class InsideTls(Replies):
    def inside(self, protocol):
        def talk(client):
            client.ask(protocol, wire.UPGRADE[protocol][1])
            return client.start_tls().rest()
        return [talk]

    def test_refusals(self):
        for protocol, refusals in (
                ("smtp", (b"554 5.3.2 " + LONG + b"\r\n", lines(LONG, b"554"), b"220-a\r\n554 no\r\n",
                          b"450 " + LONG + b"\r\n")),
                ("lmtp", (b"554 5.3.2 " + LONG + b"\r\n",)),
                ("imap", (b"* BYE " + LONG + b"\r\n",)),
                ("pop3", (b"-ERR [SYS/PERM] " + LONG + b"\r\n",)),
                ("managesieve", (b'BYE "no"\r\n', b'NO "no"\r\n')),
                ("nntp", (b"502 " + LONG + b"\r\n", b"400 " + LONG + b"\r\n")),
                ("acap", (b'* BYE "no"\r\n',))):
            for said in refusals:
                told = said.replace(b"220-a\r\n", b"")
                self.passed(protocol, self.inside(protocol), told, greeting=said,
                            reason="backend_refused")

    def test_wrong_greetings(self):
        for protocol, wrong in (
                ("smtp", (b"354 x\r\n", b"334 x\r\n", b"250 x\r\n", b"150 x\r\n") + NO_REPLIES),
                ("lmtp", (b"354 x\r\n", b"250 x\r\n") + NO_REPLIES),
                ("imap", (b"220 x\r\n", b"+ x\r\n", b"* NO x\r\n", b"a OK\r\n", b"* 1 EXISTS\r\n")),
                ("pop3", (b"220 x\r\n", b"+ x\r\n", b"* OK\r\n")),
                ("managesieve", (b"220 x\r\n", b"* OK\r\n", b"+OK\r\n")),
                ("nntp", (b"354 x\r\n", b"381 x\r\n", b"281 x\r\n", b"* OK\r\n")),
                ("acap", (b"* OK\r\n", b"220 x\r\n"))):
            for said in wrong:
                self.refused(protocol, self.inside(protocol), greeting=said)


if __name__ == "__main__":
    unittest.main()
