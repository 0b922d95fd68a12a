"""Sends a mail by aiosmtplib, logged in."""

import aiosmtplib

import given

HOW = {
    "offered": {},  # its default: upgrades where the server offers to
    "upgrade": {"start_tls": True},
    "implicit": {"use_tls": True},
    "none": {"start_tls": False},
}


async def work():
    mail = given.file("MAIL")
    errors, answer = await aiosmtplib.send(
        mail, sender=given.value("FROM"), recipients=[given.value("TO")], hostname=given.HOST,
        port=given.port(), username=given.value("USER"), password=given.value("PASSWORD"),
        tls_context=given.tls(), **HOW[given.value("TLS")])
    if errors:
        raise ValueError(errors)
    print("sent a mail of {} octets: {}".format(len(mail), answer))


given.run(work)
