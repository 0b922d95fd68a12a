// Package given reads what the driver gives each program in its environment, and ends the
// program with the client's own words when something fails.
package given

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
)

// Host is what the clients connect to, and what they verify the certificate for.
const Host = "localhost"

// Value is that of CLIENT_name, which must be there.
func Value(name string) string {
	value, there := os.LookupEnv("CLIENT_" + name)
	if !there {
		Check(errors.New("CLIENT_" + name + " is not set"))
	}
	return value
}

// Address is the gateway's.
func Address() string { return Host + ":" + Value("PORT") }

// TLS verifies the gateway by the given authority alone.
func TLS() *tls.Config {
	pem, err := os.ReadFile(Value("CA"))
	Check(err)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		Check(errors.New("no certificate in CLIENT_CA"))
	}
	return &tls.Config{RootCAs: roots, ServerName: Host}
}

// File is the content of the file that CLIENT_name names.
func File(name string) []byte {
	octets, err := os.ReadFile(Value(name))
	Check(err)
	return octets
}

// Check ends the program if there is an error.
func Check(err error) {
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

// Same ends the program unless what came back is what was sent.
func Same(sent, got []byte) {
	if string(sent) != string(got) {
		Check(fmt.Errorf("%d octets came back as %d others", len(sent), len(got)))
	}
	Did("%d octets came back unchanged, SHA-256 %s", len(got), Hash(got))
}

// Hash is the SHA-256 in hex.
func Hash(octets []byte) string {
	sum := sha256.Sum256(octets)
	return hex.EncodeToString(sum[:])
}

// Did prints what was done.
func Did(format string, values ...any) { fmt.Printf(format+"\n", values...) }
