// Sends folders of files to an FTP server and fetches them again by basic-ftp.
import { Client } from "basic-ftp";
import { did, file, host, run, value } from "./given.js";

const how = { upgrade: true, implicit: "implicit", none: false };

await run(async () => {
  const client = new Client();
  const secure = how[value("TLS")];
  await client.access({
    host,
    port: Number(value("PORT")),
    user: value("USER"),
    password: value("PASSWORD"),
    secure,
    secureOptions: secure ? { ca: file("CA") } : undefined,
  });
  const home = await client.pwd();
  await client.ensureDir(value("NAME"));
  await client.uploadFromDir(value("FOLDER"));
  const deepest = await deep(client);
  did(`the deepest folder has a path of ${Buffer.byteLength(deepest)} octets`);
  const listed = await client.list(deepest);
  did(`listed ${listed.map((entry) => entry.name).join(" ")}`);
  await client.cd(home);
  await client.downloadToDir(value("OUT"), value("NAME"));
  await client.rename(value("NAME"), value("NAME") + " renamed");
  client.close();
  did("files went up and came down");
});

// The path of the folder that is reached by going down as long as there is one.
async function deep(client) {
  for (;;) {
    const below = (await client.list()).find((entry) => entry.isDirectory);
    if (!below) return client.pwd();
    await client.cd(below.name);
  }
}
