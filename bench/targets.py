"""Starling's goals, and whether a comparison shows that it reaches them."""

from outcome import number

import workloads

UNKNOWN = "not measured"


def _against(figures, workload, peer, most):
    """Starling's cost to another's."""
    ratio = peer and figures.ratio(workload, "Starling", peer)
    if not ratio:
        return UNKNOWN, ""
    return "{} of {}".format(ratio.text(" x"), peer), _mark(ratio.median <= most)


def _mark(reached):
    return "yes" if reached else "**no**"


def _over_floor(figures, workload, most):
    ratio = figures.over_floor(workload)
    return (ratio.text(" x"), _mark(ratio.median <= most)) if ratio else (UNKNOWN, "")


def _at_most(spread, most, unit):
    return (spread.text(" " + unit), _mark(spread.median <= most)) if spread else (UNKNOWN, "")


def _idle(figures):
    measured, mark = _at_most(figures.spread("idle", "Starling", "pss_session_kib"), 3.5, "KiB")
    kernel = figures.median("idle", "Starling", "kernel_session_kib")
    return measured + ("; kernel {} KiB".format(number(kernel)) if kernel is not None else ""), mark


def _active(figures):
    ratio = figures.ratio("active-9000", "Starling", "Starling", below_workload="active-100")
    return (ratio.text(" x"), _mark(ratio.median <= 1.1)) if ratio else (UNKNOWN, "")


def _flood(figures):
    calm, flood = "latency-echo", "latency-flood"
    own = figures.ratio(flood, "Starling", "Starling", below_workload=calm)
    other = figures.ratio(flood, "Starling", "HAProxy")
    if not own or not other:
        return UNKNOWN, ""
    return ("{} without it; {} of HAProxy's".format(own.text(" x"), other.text(" x")),
            _mark(own.median <= 2 and other.median <= 0.5))


def _workers(figures):
    ratio = figures.ratio(workloads.WORKERS, "2", "1", "per_second")
    return (ratio.text(" x"), _mark(ratio.median >= 1.9)) if ratio else (
        "not measured: not enough cores", "")


def rows(figures):
    """(goal, measured, reached) for a table."""
    nginx, haproxy = "nginx", "HAProxy"
    goals = [("full TLS 1.3 handshake, ECDSA P-256, X25519: at most 0.40 x HAProxy",
              _against(figures, "full", haproxy, 0.40)),
             ("the same: at most 1.9 x its floor (BoringSSL alone in memory)",
              _over_floor(figures, "full", 1.9)),
             ("the same with X25519MLKEM768: at most 2.0 x its floor",
              _over_floor(figures, "mlkem", 2.0)),
             ("the same with RSA-2048: at most 1.10 x its floor", _over_floor(figures, "rsa", 1.10)),
             ("resumed TLS 1.3 handshake: at most 0.40 x HAProxy",
              _against(figures, "resumed", haproxy, 0.40))]
    goals += [("STARTTLS and full handshake, {}: at most 0.48 x nginx mail".format(protocol),
               _against(figures, "starttls-" + protocol.lower(), nginx, 0.48))
              for protocol in ("SMTP", "IMAP")]
    goals.append(("echo of 512 B, 64 connections: at most 0.60 x the best peer",
                  _against(figures, "echo-512", figures.best_peer("echo-512"), 0.60)))
    goals += [("CPU for a GB, {}: at most 0.65 x the best peer".format(direction),
               _against(figures, "bulk-" + direction, figures.best_peer("bulk-" + direction), 0.65))
              for direction in ("up", "down", "both")]
    goals += [("PSS of an idle session with its backend connection: at most 3.5 KiB", _idle(figures)),
              ("CPU of an active session beside {:,} idle ones: at most 1.1 x that beside 100".format(
                  figures.result["sizes"]["idle"]), _active(figures)),
              ("p99 of an echo at half load during a flood of handshakes: at most 2 x without it, and at most "
               "half of HAProxy's", _flood(figures)),
              ("2 workers on cores of their own: at least 1.9 x the throughput of 1", _workers(figures)),
              ("from start to ready with {:,} certificates: at most 1 s".format(
                  figures.result["sizes"]["certificates"]),
               _at_most(figures.spread(workloads.STARTUP, "Starling", "seconds"), 1, "s"))]
    return [(goal, measured, mark) for goal, (measured, mark) in goals]
