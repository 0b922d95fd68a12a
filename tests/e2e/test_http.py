"""Tests HTTP and IPP with a real CUPS and a real Apache: their settings, clients that ask for TLS by
Upgrade, clients that begin with TLS, and clients without TLS under both policies.

The tests run in a private network (webservers.py says why)."""

import contextlib
import os
import unittest

import harness
import proxy_v2
import webservers
import wire
from webservers import OUTSIDE, PrintServer, WebServer, request, response
from wire import Wire

env = None
cups = None
apache = None
gateway = None
HOSTS = {"hosts": ["mail.example.org"]}
UPGRADE = {"protocol": "http", "tls": "starttls", "http": HOSTS}
LISTENERS = {
    "web": {**UPGRADE, "backend": "apache"},
    "webs": {"protocol": "http", "tls": "implicit", "backend": "apache"},
    "openweb": {**UPGRADE, "backend": "apache", "policy": "opportunistic"},
    "ipp": {**UPGRADE, "backend": "cups"},
    "ipps": {"protocol": "http", "tls": "implicit", "backend": "cups"},
    "openipp": {**UPGRADE, "backend": "cups", "policy": "opportunistic"},
}
# What ipptool asks; its exit code says whether the answer was good.
GET_PRINTERS = """{
  OPERATION CUPS-Get-Printers
  GROUP operation-attributes-tag
  ATTR charset attributes-charset utf-8
  ATTR language attributes-natural-language en
  STATUS successful-ok
  EXPECT printer-name WITH-VALUE "paper"
}
"""
# What only a local client may: no password is asked for.
CREATE_PRINTER = """{
  OPERATION CUPS-Create-Local-Printer
  GROUP operation-attributes-tag
  ATTR charset attributes-charset utf-8
  ATTR language attributes-natural-language en
  ATTR uri printer-uri $uri
  GROUP printer-attributes-tag
  ATTR uri device-uri ipp://192.0.2.9/ipp/print
  ATTR name printer-name taken
  STATUS successful-ok
}
"""


def setUpModule():
    global env, cups, apache, gateway
    webservers.private_network()
    env = harness.Environment(servers=False)
    cups = unittest.enterModuleContext(PrintServer())
    apache = unittest.enterModuleContext(WebServer())
    gateway = unittest.enterModuleContext(
        env.gateway(LISTENERS, {"apache": apache.address, "cups": no_proxy(cups)}, ready="/readyz"))


def no_proxy(server):
    """The address is the machine's own, so nothing crosses a network."""
    return {"servers": [server.address], "proxy_protocol": "none", "allow_plaintext_network": True}


def inside(listener, source="127.0.0.1", running=None, answer=200):
    """A connection inside TLS, by Upgrade: the answer to that request has been read."""
    client = Wire((running or gateway).ports[listener], source)
    said = client.send(webservers.UPGRADE).exactly(len(webservers.GO_AHEAD))
    if said != webservers.GO_AHEAD:
        raise AssertionError("no go-ahead: {!r}".format(said))
    client.start_tls(wire.context(env.ca))
    status = response(client)[0]
    if status != answer:
        raise AssertionError("answer {} to the request that asked for TLS".format(status))
    return client


def handshakes(listener):
    return gateway.metrics().sum("starling_tls_handshakes_total", listener=listener)


def ipptool(test, uri, *options):
    """Whether the answer was good, and all that it printed. It keeps certificates at home."""
    code, output = harness.run(
        ["env", "HOME=" + env.dir, "ipptool", *options, "-tv", uri, env.write("ipp.test", test)])
    return code == 0, output


class Recipe(unittest.TestCase):
    """The servers without the gateway, and why other settings do not work."""

    def test_apache_takes_the_client_from_the_header(self):
        with apache.call(proxy_v2.header(("198.51.100.23", 4711))) as client:
            self.assertEqual(response(client.send(request("/file")))[2], WebServer.content)
            self.assertEqual(response(client.send(request("/local/file")))[0], 403)
        self.assertTrue(apache.wait_for("access", "198.51.100.23 GET /file 200"))
        with Wire(apache.port) as client:  # without one
            self.assertNotIn(b" 200 ", client.send(request("/file")).rest())

    def test_apache_without_the_header_trusts_everybody(self):
        with inside("web", OUTSIDE) as client:
            self.assertEqual(response(client.send(request("/local/file")))[0], 403)
        with WebServer(proxy=False) as trusting, env.gateway(
                {"web": LISTENERS["web"]}, {"apache": no_proxy(trusting)}, ready="/readyz") as unsafe:
            with inside("web", OUTSIDE, unsafe) as client:
                self.assertEqual(response(client.send(request("/local/file")))[0], 200)

    def test_cups_on_loopback_takes_clients_for_local_ones(self):
        good, output = ipptool(CREATE_PRINTER, self.uri(gateway), "-E")
        self.assertFalse(good, output)
        self.assertIn("client-error-forbidden", output)
        # It knows no name there but the host's own, whatever its aliases.
        listeners = {"ipp": {**LISTENERS["ipp"], "http": {"hosts": ["localhost", "mail.example.org"]}}}
        with PrintServer("127.0.0.1") as trusting, env.gateway(
                listeners, {"cups": no_proxy(trusting)}, ready="/readyz") as unsafe:
            good, output = ipptool(CREATE_PRINTER, self.uri(unsafe), "-E")
            self.assertTrue(good, output)
            inside("ipp", running=unsafe, answer=400).close()

    @staticmethod
    def uri(running):
        return "ipp://localhost:{}/".format(running.ports["ipp"])

    def test_cups_needs_the_name(self):
        """The answer to Upgrade comes from it, for a host of the list."""
        foreign = {**LISTENERS["ipp"], "http": {"hosts": ["print.example.net"]}}
        with env.gateway({"ipp": foreign}, {"cups": no_proxy(cups)}, ready="/readyz") as wrong:
            inside("ipp", running=wrong, answer=400).close()

    def test_cups_with_encryption_required_does_not_work(self):
        settings = "<Location /printers>\n  Encryption Required\n</Location>\n"
        with PrintServer(settings=settings) as strict, env.gateway(
                {"ipps": LISTENERS["ipps"]}, {"cups": no_proxy(strict)}, ready="/readyz") as useless:
            with Wire(useless.ports["ipps"]) as client:
                client.start_tls(wire.context(env.ca)).send(request("/printers/paper", "POST"))
                self.assertEqual(response(client)[0], 426)

    def test_upgrade_inside_tls(self):
        """Apache knows none; CUPS agrees, whatever is set: its client would speak TLS in TLS."""
        for listener, status in (("web", 200), ("ipp", 101)):
            with self.subTest(listener), inside(listener) as client:
                self.assertEqual(response(client.send(webservers.UPGRADE))[0], status)


class Cups(unittest.TestCase):
    """CUPS's own clients. By -E they ask for TLS; without it they are told to (426), when
    what they wanted has crossed the network."""

    def test_ipptool(self):
        for listener, scheme, options, told in (
                ("ipp", "ipp", ["-E"], 0), ("ipp", "ipp", [], 1), ("ipp", "ipps", [], 0),
                ("ipps", "ipps", [], 0), ("openipp", "ipp", ["-E"], 0)):
            with self.subTest(listener, scheme=scheme, options=options), self.tells(told, listener):
                before = handshakes(listener)
                good, output = ipptool(
                    GET_PRINTERS, "{}://localhost:{}/".format(scheme, gateway.ports[listener]), *options)
                self.assertTrue(good, output)
                self.assertGreater(handshakes(listener), before)

    @contextlib.contextmanager
    def tells(self, count, listener="ipp"):
        """So many get 426."""
        name, labels = "starling_sessions_ended_total", {"reason": "tls_required", "listener": listener}
        wanted = gateway.metrics().sum(name, **labels) + count
        yield
        self.assertEqual(gateway.wait_for_metric(0, "starling_sessions", listener=listener), 0)
        self.assertEqual(gateway.metrics().sum(name, **labels), wanted)

    def test_ipptool_without_tls(self):
        before = handshakes("openipp")
        good, output = ipptool(GET_PRINTERS, "ipp://localhost:{}/".format(gateway.ports["openipp"]))
        self.assertTrue(good, output)
        self.assertEqual(handshakes("openipp"), before)

    def test_lp(self):
        page = bytes(range(256)) * 2048  # 512 KiB
        path = os.path.join(env.dir, "page")
        with open(path, "wb") as f:
            f.write(page)
        careful = os.path.join(env.dir, "careful")
        os.makedirs(careful + "/.cups")
        with open(careful + "/.cups/client.conf", "w", encoding="ascii") as f:
            f.write("Encryption Required\n")
        for home, options, told in ((env.dir, ["-E"], 0), (env.dir, [], 1), (careful, [], 0)):
            with self.subTest(options, home=home), self.tells(told):
                before = handshakes("ipp")
                code, output = harness.run(
                    ["env", "HOME=" + home, "lp", *options, "-h",
                     "localhost:{}".format(gateway.ports["ipp"]), "-d", "paper", "-o", "raw", path])
                self.assertEqual(code, 0, output)
                self.assertRegex(output, r"^request id is paper-\d+ ")
                self.assertGreater(handshakes("ipp"), before)
                self.assertEqual(cups.printed(int(output.split("-")[1].split()[0])), page)


class Curl(unittest.TestCase):
    def get(self, url, *options):
        return harness.run(["curl", "-sS", "--cacert", env.ca, "--resolve", "mail.example.org:{}:127.0.0.1".format(
            url.split(":")[2].split("/")[0]), *options, url])

    def test_tls_from_the_first_octet(self):
        path = os.path.join(env.dir, "got")
        for listener in ("web", "webs", "openweb"):
            with self.subTest(listener):
                code, output = self.get("https://mail.example.org:{}/file".format(
                    gateway.ports[listener]), "--http1.1", "-o", path, "-w", "%{http_code}")
                self.assertEqual((code, output), (0, "200"))
                with open(path, "rb") as f:
                    self.assertEqual(f.read(), WebServer.content)

    def test_without_tls(self):
        for listener, status in (("web", "426"), ("openweb", "200")):
            with self.subTest(listener):
                code, output = self.get("http://mail.example.org:{}/file".format(
                    gateway.ports[listener]), "-o", "/dev/null", "-D", "-", "-w", "%{http_code}")
                self.assertEqual(code, 0, output)
                self.assertTrue(output.endswith(status), output)
                if status == "426":
                    for line in ("Upgrade: TLS/1.0, HTTP/1.1", "Connection: Upgrade, close",
                                 "Content-Length: 0"):
                        self.assertIn(line + "\r\n", output)

    def test_without_tls_with_a_large_body(self):
        """It is told all the same, while it still sends."""
        path = os.path.join(env.dir, "large")
        with open(path, "wb") as f:
            f.truncate(4 << 20)
        code, output = self.get("http://mail.example.org:{}/".format(gateway.ports["web"]),
                                "--data-binary", "@" + path, "-H", "Expect:", "-w", "%{http_code}")
        self.assertTrue(output.endswith("426"), output)

    def test_password_without_tls(self):
        before = gateway.metrics()
        for listener in ("web", "openweb"):
            with self.subTest(listener):
                url = "http://mail.example.org:{}/file".format(gateway.ports[listener])
                self.assertEqual(self.get(url, "-u", "demo:secret", "-w", "%{http_code}"), (0, "426"))
                labels = {"kind": "plaintext_auth", "listener": listener}
                value = before.sum("starling_attacks_refused_total", **labels) + 1
                self.assertEqual(gateway.wait_for_metric(
                    value, "starling_attacks_refused_total", **labels), value)
        self.assertFalse(any("demo:secret" in line or "ZGVtbzpzZWNyZXQ=" in line for line in gateway.lines))


class ByHand(unittest.TestCase):
    """Python, with an Upgrade of its own."""

    def test_answer_inside_and_a_hundred_requests(self):
        for listener, source in (("web", "127.2.0.9"), ("openweb", "127.2.0.10")):
            with self.subTest(listener):
                with inside(listener, source) as client:
                    for _ in range(100):
                        self.assertEqual(
                            response(client.send(request("/file")))[2], WebServer.content)
                for asked in ("OPTIONS * 200", "GET /file 200"):
                    self.assertTrue(apache.wait_for("access", source + " " + asked), asked)

    def test_pipelined_requests_inside(self):
        with inside("web") as client:
            client.send(request("/file") * 20)
            for _ in range(20):
                self.assertEqual(response(client)[2], WebServer.content)

    def test_nothing_of_the_request_is_carried_over(self):
        with Wire(gateway.ports["web"]) as client:
            client.send(b"OPTIONS * HTTP/1.1\r\nHost: other.example\r\nConnection: close, Upgrade\r\n"
                        b"Upgrade: TLS/1.0\r\nRange: bytes=0-0\r\n\r\n")
            client.exactly(len(webservers.GO_AHEAD))
            client.start_tls(wire.context(env.ca))
            status, fields, _ = response(client)
            self.assertEqual((status, fields.get("connection")), (200, None))
            self.assertEqual(response(client.send(request("/file")))[0], 200)

    def test_without_tls_both_ways_and_more_requests(self):
        """Under opportunistic all is opaque from the first request on."""
        with Wire(gateway.ports["openweb"]) as client:
            for _ in range(3):
                self.assertEqual(response(client.send(request("/file")))[2], WebServer.content)
            self.assertEqual(response(client.send(webservers.UPGRADE))[0], 200)

    def test_browser_under_require(self):
        """It asks for more than one thing on its connection, and gets one answer."""
        with Wire(gateway.ports["web"]) as client:
            fields = ("User-Agent: Mozilla/5.0\r\nAccept: text/html\r\nAccept-Encoding: gzip, br\r\n"
                      "Connection: keep-alive\r\nCookie: a=b\r\nUpgrade-Insecure-Requests: 1\r\n")
            client.send(request("/", fields=fields) + request("/favicon.ico", fields=fields))
            self.assertEqual(client.rest(), webservers.REQUIRED)


if __name__ == "__main__":
    unittest.main()
