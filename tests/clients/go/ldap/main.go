// Writes to a directory and searches it by go-ldap.
package main

import (
	"fmt"

	"github.com/go-ldap/ldap/v3"

	"starling.example/clients/given"
)

const entries = 300

func main() {
	c := connect()
	given.Check(c.Bind(given.Value("USER"), given.Value("PASSWORD")))
	me, err := c.WhoAmI(nil)
	given.Check(err)
	given.Did("I am %s", me.AuthzID)

	unit := "ou=go-ldap-" + given.Value("TLS") + "," + given.Value("BASE")
	photo := given.File("MAIL")
	add(c, unit, "organizationalUnit", nil)
	for number := range entries {
		add(c, fmt.Sprintf("uid=%d,%s", number, unit), "inetOrgPerson", map[string]string{
			"cn": "One of many", "sn": "Many", "description": fmt.Sprint("number ", number)})
	}
	add(c, "uid=photo,"+unit, "inetOrgPerson", map[string]string{
		"cn": "Photo", "sn": "Photo", "jpegPhoto": string(photo)})

	found, err := c.SearchWithPaging(search(unit, "(cn=One of many)", "description"), 50)
	given.Check(err)
	numbers := map[string]bool{}
	for _, entry := range found.Entries {
		numbers[entry.GetAttributeValue("description")] = true
	}
	given.Did("found %d by pages of 50, %d different", len(found.Entries), len(numbers))
	if len(numbers) != entries {
		given.Check(fmt.Errorf("%d were added", entries))
	}
	found, err = c.Search(search(unit, "(uid=photo)", "jpegPhoto"))
	given.Check(err)
	given.Same(photo, found.Entries[0].GetRawAttributeValue("jpegPhoto"))
	given.Check(c.Unbind())
}

func connect() *ldap.Conn {
	if given.Value("TLS") == "implicit" {
		c, err := ldap.DialURL("ldaps://"+given.Address(), ldap.DialWithTLSConfig(given.TLS()))
		given.Check(err)
		return c
	}
	c, err := ldap.DialURL("ldap://" + given.Address())
	given.Check(err)
	if given.Value("TLS") == "upgrade" {
		given.Check(c.StartTLS(given.TLS()))
	}
	return c
}

func add(c *ldap.Conn, name, class string, attributes map[string]string) {
	request := ldap.NewAddRequest(name, nil)
	request.Attribute("objectClass", []string{class})
	for key, value := range attributes {
		request.Attribute(key, []string{value})
	}
	given.Check(c.Add(request))
}

func search(base, filter, attribute string) *ldap.SearchRequest {
	return ldap.NewSearchRequest(base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false,
		filter, []string{attribute}, nil)
}
