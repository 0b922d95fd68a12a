// Stores a mail and reads it again by imapflow, and is told of another one while it waits.
import { ImapFlow } from "imapflow";
import { did, file, host, run, same, value } from "./given.js";

const how = {
  offered: {}, // its default: upgrades where the server offers to
  upgrade: { doSTARTTLS: true },
  implicit: { secure: true },
  none: { doSTARTTLS: false },
};

const connect = async () => {
  const client = new ImapFlow({
    host,
    port: Number(value("PORT")),
    secure: false,
    auth: { user: value("USER"), pass: value("PASSWORD") },
    tls: { ca: file("CA") },
    logger: false,
    ...how[value("TLS")],
  });
  await client.connect();
  return client;
};

await run(async () => {
  const mail = file("MAIL");
  const mailbox = value("MAILBOX");
  const client = await connect();
  did(`inside TLS: ${client.secureConnection}`);
  await client.mailboxCreate(mailbox);
  await client.append(mailbox, mail, ["\\Seen"]);
  await client.mailboxOpen(mailbox);
  const found = await client.search({ header: { subject: value("SUBJECT") } });
  did(`found ${found.length}`);
  const { source } = await client.fetchOne(found[0], { source: true });
  same(mail, source);
  await waitForAnother(client, mailbox, mail);
  await client.logout();
});

// A mailbox that is open and not asked for anything is waited on by IDLE.
async function waitForAnother(client, mailbox, mail) {
  const told = new Promise((resolve) => client.once("exists", resolve));
  const idle = client.idle();
  const other = await connect();
  await other.append(mailbox, mail);
  const { count } = await told;
  did(`told of mail number ${count} while it waited`);
  await other.logout();
  await client.noop();
  await idle;
}
