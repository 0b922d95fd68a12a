// Stores a mail and reads it again by go-imap, version 2.
package main

import (
	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"starling.example/clients/given"
)

func main() {
	c := connect()
	given.Check(c.Login(given.Value("USER"), given.Value("PASSWORD")).Wait())
	mailbox, mail := given.Value("MAILBOX"), given.File("MAIL")
	given.Check(c.Create(mailbox, nil).Wait())
	store(c, mailbox, mail)
	_, err := c.Select(mailbox, &imap.SelectOptions{ReadOnly: true}).Wait()
	given.Check(err)

	found, err := c.UIDSearch(&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{
		{Key: "Subject", Value: given.Value("SUBJECT")}}}, nil).Wait()
	given.Check(err)
	given.Did("found %d", len(found.AllUIDs()))
	section := &imap.FetchItemBodySection{Peek: true}
	messages, err := c.Fetch(imap.UIDSetNum(found.AllUIDs()...), &imap.FetchOptions{
		BodySection: []*imap.FetchItemBodySection{section}}).Collect()
	given.Check(err)
	var octets []byte
	for _, message := range messages {
		octets = append(octets, message.FindBodySection(section)...)
	}
	given.Same(mail, octets)
	given.Check(c.Logout().Wait())
}

func connect() *imapclient.Client {
	options := &imapclient.Options{TLSConfig: given.TLS()}
	dial := map[string]func(string, *imapclient.Options) (*imapclient.Client, error){
		"upgrade":  imapclient.DialStartTLS,
		"implicit": imapclient.DialTLS,
		"none":     imapclient.DialInsecure,
	}[given.Value("TLS")]
	c, err := dial(given.Address(), options)
	given.Check(err)
	return c
}

func store(c *imapclient.Client, mailbox string, mail []byte) {
	command := c.Append(mailbox, int64(len(mail)), nil)
	_, err := command.Write(mail)
	given.Check(err)
	given.Check(command.Close())
	_, err = command.Wait()
	given.Check(err)
}
