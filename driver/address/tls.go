package address

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"sync"
)

// TLSParams are the parameters that [TLS] reads.
func TLSParams() []string { return []string{"ca", "cert", "key", "server_name"} }

// Certificates are what one side needs for TLS, from files that others replace while it
// runs: short-lived certificates, a CA that is rotated. Each connection gets what the
// files have then. It is safe for concurrent use.
type Certificates struct {
	ca, cert, key string // paths; "" if absent
	serverName    string
	log           *slog.Logger

	mu    sync.Mutex
	roots *x509.CertPool // the last that could be read; nil for the system's
	pair  []tls.Certificate
	told  bool // that they cannot be read now
}

// TLS makes them of ca= (a PEM file; the system's roots if absent), cert= and key= (PEM
// files of our certificate) and server_name=. It refuses files that cannot be read. Later, when they
// are read again, log is told of that; slog.Default if nil.
func TLS(q url.Values, log *slog.Logger) (*Certificates, error) {
	if log == nil {
		log = slog.Default()
	}
	c := &Certificates{log: log, ca: q.Get("ca"), cert: q.Get("cert"), key: q.Get("key"), serverName: q.Get("server_name")}
	if q.Has("cert") != q.Has("key") {
		return nil, Invalid("cert= and key= go together: one of them is missing")
	}
	if err := c.read(); err != nil {
		return nil, Invalid("%w", err)
	}
	return c, nil
}

// Config is for one new connection: change it as you like. host is the name that the
// server's certificate must have, unless server_name= says another. The oldest version is
// 1.2, and the server's certificate is always verified.
//
// Who renews certificates writes one file after the other, so a pair may not fit, or be
// half written, for a moment. Then the last good one is used, and the log says so once. So
// it is with the file of the CA, by itself.
func (c *Certificates) Config(host string) *tls.Config {
	c.mu.Lock() // over the reading, too: nobody replaces what was read later by what was read before
	defer c.mu.Unlock()
	err := c.read()
	if err != nil && !c.told {
		// Nobody waits for it: a log that blocks would keep every connection from coming about.
		go c.log.Warn("fencelock: certificates cannot be read; the last good ones are used until they can", "err", err)
	}
	c.told = err != nil
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: cmp.Or(c.serverName, host), Certificates: slices.Clone(c.pair)}
	if c.roots != nil {
		conf.RootCAs = c.roots.Clone()
	}
	return conf
}

// read takes in what can be read, and keeps the rest as it was.
func (c *Certificates) read() error {
	var faults [2]error
	if c.ca != "" {
		roots, err := readRoots(c.ca)
		if err == nil {
			c.roots = roots
		}
		faults[0] = err
	}
	if c.cert != "" {
		pair, err := readPair(c.cert, c.key)
		if err == nil {
			c.pair = []tls.Certificate{pair}
		}
		faults[1] = err
	}
	return errors.Join(faults[:]...)
}

func readRoots(file string) (*x509.CertPool, error) {
	text, err := readPEM(file)
	if err != nil {
		return nil, fmt.Errorf("ca=: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("ca=%s: no PEM certificate in the file", file)
	}
	return roots, nil
}

func readPair(cert, key string) (tls.Certificate, error) {
	certPEM, err := readPEM(cert)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("cert=: %w", err)
	}
	keyPEM, err := readPEM(key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("key=: %w", err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("cert=, key=: %w", err)
	}
	return pair, nil
}

// readPEM reads a file, and refuses one whose last block has no end: it is half written, and
// what it lacks, such as the second of two authorities, would not be missed.
func readPEM(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(text); ; block, rest = pem.Decode(rest) {
		switch {
		case block != nil:
		case bytes.Contains(rest, []byte("-----BEGIN ")):
			return nil, fmt.Errorf("%s: its last PEM block has no end", file)
		default:
			return text, nil
		}
	}
}
