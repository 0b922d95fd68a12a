"""Ways to make a running gateway reload, and clients that would notice if it served badly."""

import os
import signal

from wire import Loop, Wire

RELOADS = "starling_config_reloads_total"


def reload(gateway, result="success", trigger="signal"):
    """HUP, and the line it ends with."""
    before = gateway.metrics().sum(RELOADS, trigger=trigger)
    gateway.signal(signal.SIGHUP)
    gateway.wait_for_metric(lambda value: value > before, RELOADS, trigger=trigger)
    done = gateway.metrics()
    assert done.sum("starling_config_last_reload_success") == (result == "success"), gateway.lines[-5:]


def rewrite(gateway, change):
    """Changes the configuration file, as an editor does: a new one over it."""
    with open(gateway.config, encoding="utf-8") as f:
        text = change(f.read())
    with open(gateway.config + ".new", "w", encoding="utf-8") as f:
        f.write(text)
    os.rename(gateway.config + ".new", gateway.config)


def connect_loop(port, clients=8):
    """Clients that connect, exchange a line and leave."""
    def call(_):
        with Wire(port) as client:
            client.start_tls()
            if client.send(b"ping").exactly(4) != b"ping":
                raise AssertionError("another answer")
    return Loop(call, clients)
