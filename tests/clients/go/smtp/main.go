// Sends a mail by net/smtp, logged in.
package main

import (
	"crypto/tls"
	"net/smtp"
	"os"

	"starling.example/clients/given"
)

func main() {
	from, to, mail := given.Value("FROM"), given.Value("TO"), given.File("MAIL")
	auth := smtp.PlainAuth("", given.Value("USER"), given.Value("PASSWORD"), given.Host)
	switch given.Value("TLS") {
	case "upgrade":
		// The convenient way: it upgrades where the server offers to, and believes the
		// authorities of the system.
		given.Check(os.Setenv("SSL_CERT_FILE", given.Value("CA")))
		given.Check(smtp.SendMail(given.Address(), auth, from, []string{to}, mail))
	case "implicit":
		connection, err := tls.Dial("tcp", given.Address(), given.TLS())
		given.Check(err)
		client, err := smtp.NewClient(connection, given.Host)
		given.Check(err)
		send(client, auth, from, to, mail)
	default:
		client, err := smtp.Dial(given.Address())
		given.Check(err)
		send(client, auth, from, to, mail)
	}
	given.Did("sent a mail of %d octets", len(mail))
}

func send(client *smtp.Client, auth smtp.Auth, from, to string, mail []byte) {
	given.Check(client.Auth(auth))
	given.Check(client.Mail(from))
	given.Check(client.Rcpt(to))
	content, err := client.Data()
	given.Check(err)
	_, err = content.Write(mail)
	given.Check(err)
	given.Check(content.Close())
	given.Check(client.Quit())
}
