"""Runs programs that read, send and filter mail once: fetchmail, mbsync (isync), msmtp and
sieve-connect. Each function returns (exit code, everything that the program printed).

`tls` is "starttls" (required), "implicit" or "none". The configuration is in a new folder of
the environment, which is also the program's home."""

import os
import shlex
import tempfile

import harness


def _write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, 0o600)
    return path


def _folder(env):
    return tempfile.mkdtemp(dir=env.dir)


def _as_home(folder, command):
    return ["env", "HOME=" + folder, "LC_ALL=C", *command]


def fetchmail(env, protocol, port, tls):
    """All mail of the mailbox; (exit code, what was printed, the mail)."""
    folder = _folder(env)
    mail = os.path.join(folder, "mail")
    how = {"starttls": "sslproto 'tls1.2+' sslcertck sslcertfile '{}'",
           "implicit": "ssl sslcertck sslcertfile '{}'",
           "none": "sslproto ''"}[tls].format(env.ca)
    rc = _write(folder, "rc", (
        "poll localhost protocol {} port {} auth password:\n"
        "  user '{}' password '{}' {} keep fetchall mda \"/bin/sh -c 'cat >>{}'\"\n").format(
            protocol.upper(), port, env.servers.user, env.servers.password, how, mail))
    code, output = harness.run(_as_home(folder, [
        "fetchmail", "-v", "--nodetach", "--nosyslog", "-f", rc,
        "--pidfile", os.path.join(folder, "pid"), "--idfile", os.path.join(folder, "ids")]))
    text = ""
    if os.path.exists(mail):
        with open(mail, encoding="utf-8", errors="replace") as f:
            text = f.read()
    return code, output, text


def mbsync(env, port, tls):
    """INBOX into a maildir; (exit code, what was printed, the mails)."""
    folder = _folder(env)
    how = {"starttls": "STARTTLS", "implicit": "IMAPS", "none": "None"}[tls]
    rc = _write(folder, "rc", (
        "IMAPAccount gateway\nHost localhost\nPort {port}\nUser {user}\nPass {password}\n"
        "AuthMechs LOGIN\nSSLType {how}\nCertificateFile {ca}\n\n"
        "IMAPStore far\nAccount gateway\n\n"
        "MaildirStore near\nInbox {folder}/inbox\n\n"
        "Channel inbox\nFar :far:\nNear :near:\nCreate Near\nSync Pull\nSyncState *\n").format(
            port=port, user=env.servers.user, password=env.servers.password, how=how, ca=env.ca,
            folder=folder))
    code, output = harness.run(_as_home(folder, ["mbsync", "-D", "-c", rc, "inbox"]))
    mails = []
    for place in ("new", "cur"):
        path = os.path.join(folder, "inbox", place)
        for name in os.listdir(path) if os.path.isdir(path) else []:
            with open(os.path.join(path, name), encoding="utf-8", errors="replace") as f:
                mails.append(f.read())
    return code, output, mails


def msmtp(env, port, tls, log_in, protocol="smtp"):
    """One mail to the servers' user."""
    folder = _folder(env)
    how = {"starttls": "tls on\ntls_starttls on\n", "implicit": "tls on\ntls_starttls off\n",
           "none": "tls off\n"}[tls]
    who = "auth plain\nuser {}\npassword {}\n".format(
        env.servers.user, env.servers.password) if log_in else "auth off\n"
    trust = "" if tls == "none" else "tls_trust_file {}\n".format(env.ca)
    rc = _write(folder, "rc", "account default\nhost localhost\nport {}\nprotocol {}\n{}{}{}"
                "from sender@example.net\ndomain client.example.net\n".format(
                    port, protocol, how, trust, who))
    return harness.run(_as_home(folder, ["msmtp", "-d", "-C", rc, env.servers.user]),
                       b"Subject: by msmtp\n\nhello\n")


def sieve_connect(env, port, *action):
    """By STARTTLS, which is all that it can do; `action` as on its command line."""
    folder = _folder(env)
    command = ["sieve-connect", "--server", "localhost", "--port", str(port), "--4",
               "--tlscafile", env.ca, "--user", env.servers.user, "--authmech", "PLAIN",
               "--passwordfd", "3", *action]
    password = _write(folder, "password", env.servers.password + "\n")
    return harness.run(_as_home(folder, [  # runs: sieve-connect
        "/bin/sh", "-c", "exec {} 3<{}".format(shlex.join(command), shlex.quote(password))]))
