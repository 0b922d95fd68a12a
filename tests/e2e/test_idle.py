"""Tests 5,000 idle sessions while another echoes; afterwards the gateway has released everything."""

import concurrent.futures
import resource
import unittest

import fakes
import harness
import wire
from wire import Wire

env = None
SESSIONS = 5000


def setUpModule():
    global env
    env = harness.Environment(servers=False)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Idle(unittest.TestCase):
    def test_five_thousand(self):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        self.assertGreater(hard, 2 * SESSIONS + 500, "RLIMIT_NOFILE is too low for this test")
        context = wire.context()
        with fakes.Backend(fakes.echo) as backend, env.tcp(
                backend.address, workers=1, limits={"sessions": SESSIONS + 10}) as gateway:

            def connect(number):
                # 28,000 ports of one address would do; two are a little more.
                client = Wire(gateway.ports["tcp"], "127.6.0.{}".format(1 + number % 2))
                return client.start_tls(context).send(b"x")

            with concurrent.futures.ThreadPoolExecutor(16) as pool:
                idle = list(pool.map(connect, range(SESSIONS)))
            for client in idle:
                self.assertEqual(client.exactly(1), b"x")
            self.assertEqual(gateway.wait_for_metric(
                SESSIONS, "starling_sessions", phase="relay"), SESSIONS)
            self.assertEqual(gateway.wait_for_metric(0, "starling_worker_buffers_out"), 0)
            with Wire(gateway.ports["tcp"]) as echo:
                echo.start_tls()
                for number in range(500):
                    data = b"%08d" % number * 64
                    self.assertEqual(echo.send(data).exactly(len(data)), data)
            # They are all still there, and alive.
            for client in idle[::50]:
                self.assertEqual(client.send(b"y").exactly(1), b"y")
            for client in idle:
                client.close()
            self.assertEqual(gateway.wait_for_metric(
                SESSIONS + 1, "starling_sessions_ended_total", seconds=60), SESSIONS + 1)
            gateway.assert_idle(self)


if __name__ == "__main__":
    unittest.main()
