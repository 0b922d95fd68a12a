// Stores a mail and reads it again by go-imap, version 1.
package main

import (
	"bytes"
	"io"
	"time"

	"github.com/emersion/go-imap"
	"github.com/emersion/go-imap/client"

	"starling.example/clients/given"
)

func main() {
	c := connect()
	given.Check(c.Login(given.Value("USER"), given.Value("PASSWORD")))
	mailbox, mail := given.Value("MAILBOX"), given.File("MAIL")
	given.Check(c.Create(mailbox))
	given.Check(c.Append(mailbox, []string{imap.SeenFlag}, time.Time{}, bytes.NewBuffer(mail)))
	_, err := c.Select(mailbox, true)
	given.Check(err)

	criteria := imap.NewSearchCriteria()
	criteria.Header.Add("Subject", given.Value("SUBJECT"))
	found, err := c.Search(criteria)
	given.Check(err)
	given.Did("found %d", len(found))
	given.Same(mail, fetch(c, found))
	given.Check(c.Logout())
}

func connect() *client.Client {
	if given.Value("TLS") == "implicit" {
		c, err := client.DialTLS(given.Address(), given.TLS())
		given.Check(err)
		return c
	}
	c, err := client.Dial(given.Address())
	given.Check(err)
	if given.Value("TLS") == "upgrade" {
		given.Check(c.StartTLS(given.TLS()))
	}
	return c
}

func fetch(c *client.Client, numbers []uint32) []byte {
	set := new(imap.SeqSet)
	set.AddNum(numbers...)
	section := &imap.BodySectionName{Peek: true}
	messages := make(chan *imap.Message, len(numbers))
	given.Check(c.Fetch(set, []imap.FetchItem{section.FetchItem()}, messages))
	var octets []byte
	for message := range messages {
		part, err := io.ReadAll(message.GetBody(section))
		given.Check(err)
		octets = append(octets, part...)
	}
	return octets
}
