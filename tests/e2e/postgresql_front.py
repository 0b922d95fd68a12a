"""What tests of PostgreSQL share: a gateway before a real server, and libpq's clients of it.

Not for: the server's settings (database.py)."""

import contextlib
import time

import psycopg2

import harness
from database import Database

LISTENERS = {"postgresql": {"protocol": "postgresql", "tls": "starttls", "backend": "one"}}
CANCELED = "canceling statement due to user request"


class Front:
    """A context manager: the server, and the gateway before it."""

    def __init__(self):
        self.env = harness.Environment(servers=False)
        self.server = Database()
        self.gateway = None
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.server)
            self.gateway = stack.enter_context(self.running(self.server))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    def running(self, *servers, **more):
        """A gateway before servers."""
        keys = {"servers": [s.address for s in servers], "proxy_protocol": "none"}
        return self.env.gateway(LISTENERS, {"one": keys}, ready="/readyz", **more)

    def settings(self, before=None, **more):
        """libpq's, for the gateway, or for another one."""
        return {"host": "mail.example.org", "hostaddr": "127.0.0.1",
                "port": (before or self.gateway).ports["postgresql"], "user": self.server.user,
                "dbname": self.server.user, "password": self.server.password,
                "connect_timeout": "30", "sslmode": "verify-full", "sslrootcert": self.env.ca,
                "gssencmode": "disable", **more}

    def conninfo(self, **more):
        return " ".join("{}={}".format(*row) for row in self.settings(**more).items())

    def psql(self, query="select 'answer=' || 6 * 7", **more):
        return harness.run(["psql", "-X", "-A", "-t", "-c", query, self.conninfo(**more)])

    @contextlib.contextmanager
    def connect(self, before=None, **more):
        """psycopg2's connection, with autocommit."""
        client = psycopg2.connect(**self.settings(before, **more))
        client.autocommit = True
        try:
            yield client
        finally:
            client.close()


def ask(client, query):
    """The first value of its answer."""
    with client.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()[0]


@contextlib.contextmanager
def watching(database):
    """A connection to the server itself, to see what it does."""
    client = psycopg2.connect(host="127.0.0.1", port=database.port, user=database.user,
                              dbname=database.user, password=database.password, sslmode="disable")
    client.autocommit = True
    try:
        yield client
    finally:
        client.close()


def wait_for_sleeper(database, name, seconds=30):
    """Until the session of that name sleeps there."""
    query = ("select count(*) from pg_stat_activity where application_name = '{}' and "
             "wait_event = 'PgSleep'".format(name))
    end = time.monotonic() + seconds
    with watching(database) as client:
        while ask(client, query) != 1:
            if time.monotonic() > end:
                raise AssertionError("{} does not sleep".format(name))
            time.sleep(0.02)
