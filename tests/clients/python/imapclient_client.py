"""Stores a mail and reads it again by imapclient, and is told of another one while it waits."""

import imapclient

import given


def connect():
    how = given.value("TLS")
    context = given.tls()
    client = imapclient.IMAPClient(
        given.HOST, given.port(), ssl=how == "implicit",
        ssl_context=context if how == "implicit" else None, timeout=30)
    if how == "upgrade":
        client.starttls(context)
    client.login(given.value("USER"), given.value("PASSWORD"))
    return client


def work():
    mail, mailbox = given.file("MAIL"), given.value("MAILBOX")
    with connect() as client, connect() as other:
        client.create_folder(mailbox)
        client.append(mailbox, mail, [imapclient.SEEN])
        client.select_folder(mailbox)
        found = client.search(["SUBJECT", given.value("SUBJECT")])
        print("found {}".format(len(found)))
        given.same(mail, client.fetch(found, ["BODY.PEEK[]"])[found[0]][b"BODY[]"])
        client.idle()
        other.append(mailbox, mail)
        told = []
        while (2, b"EXISTS") not in told:
            told += client.idle_check(timeout=30)
        client.idle_done()
        print("told of mail number 2 while it waited")


given.run(work)
