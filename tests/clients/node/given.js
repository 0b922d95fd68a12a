// What the driver gives each program in its environment; the client's own words when something
// fails.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

export const host = "localhost";

export function value(name) {
  const found = process.env["CLIENT_" + name];
  if (found === undefined) throw new Error(`CLIENT_${name} is not set`);
  return found;
}

export const file = (name) => readFileSync(value(name));
export const did = (words) => console.log(words);
export const hash = (octets) => createHash("sha256").update(octets).digest("hex");

export function same(sent, got) {
  if (!sent.equals(got)) throw new Error(`${sent.length} octets came back as ${got.length} others`);
  did(`${got.length} octets came back unchanged, SHA-256 ${hash(got)}`);
}

// Runs the program and ends it; what the client's errors carry beside their message is said too.
export async function run(program) {
  try {
    await program();
    process.exit(0);
  } catch (error) {
    const more = ["code", "response", "responseText"].map((key) => error[key]).filter(Boolean);
    console.log("error:", error.message, ...more);
    process.exit(1);
  }
}
