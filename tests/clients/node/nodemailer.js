// Sends a mail by nodemailer, logged in.
import nodemailer from "nodemailer";
import { did, file, host, run, value } from "./given.js";

const how = {
  offered: {}, // its default: upgrades where the server offers to
  upgrade: { requireTLS: true },
  implicit: { secure: true },
  none: { ignoreTLS: true },
};

await run(async () => {
  const raw = file("MAIL");
  const transport = nodemailer.createTransport({
    host,
    port: Number(value("PORT")),
    auth: { user: value("USER"), pass: value("PASSWORD") },
    tls: { ca: file("CA") },
    ...how[value("TLS")],
  });
  const envelope = { from: value("FROM"), to: [value("TO")] };
  const info = await transport.sendMail({ envelope, raw });
  did(`sent a mail of ${raw.length} octets: ${info.response}`);
  transport.close();
});
