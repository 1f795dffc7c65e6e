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
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// TLSParams are the parameters that [TLS] reads.
func TLSParams() []string { return []string{"ca", "cert", "key", "server_name"} }

// Certificates are what one side needs for TLS. They come from files that may be replaced while it
// runs: short-lived certificates, a CA that is rotated. Each connection gets what the
// files have then. It is safe for concurrent use.
type Certificates struct {
	ca, cert, key string // paths; "" if absent
	serverName    string
	log           *slog.Logger
	own           *tls.Config // an application's, instead of all that

	mu    sync.Mutex
	roots *x509.CertPool // the last that could be read; nil for the system's
	pair  []tls.Certificate
	told  bool // the log knows that they cannot be read now
}

// TLS makes Certificates of ca= (a PEM file; the system's roots if absent), cert= and key= (PEM
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

// CertificatesOf makes Certificates of a configuration that an application has. Config returns a copy of
// it; ServerName is the host if it is empty.
func CertificatesOf(conf *tls.Config) *Certificates { return &Certificates{own: conf.Clone()} }

// Config is for one new connection: change it as you like. host is the name that the
// server's certificate must have, unless server_name= says another. The oldest version is
// 1.2, and the server's certificate is always verified.
//
// A tool that renews certificates writes one file after the other, so for a moment a certificate and its key may
// not fit, or be half written. Then the last good pair is used, and the log says so once. The file of the CA is
// treated so, too, independently of the pair.
func (c *Certificates) Config(host string) *tls.Config {
	if c.own != nil {
		conf := c.own.Clone()
		conf.ServerName = cmp.Or(conf.ServerName, host)
		return conf
	}
	c.mu.Lock() // over the reading, too: nobody replaces what was read later by what was read before
	defer c.mu.Unlock()
	err := c.read()
	if err != nil && !c.told {
		// In a goroutine: a log that blocks would delay every new connection.
		go c.log.Warn("fencelock: certificates cannot be read; the last good ones are used until they can", "err", err)
	}
	c.told = err != nil
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: cmp.Or(c.serverName, host), Certificates: slices.Clone(c.pair)}
	if c.roots != nil {
		conf.RootCAs = c.roots.Clone()
	}
	return conf
}

// read replaces what can be read, and keeps the rest as it was.
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

// Reason says in plain words why a connection was not secured: which names the server's certificate
// has, that its authority is not known, that it has expired, that the server wants one of ours, that
// it speaks without TLS. An error of another kind is returned as it is. scheme is that of the URL,
// addr the server's.
func Reason(scheme, addr string, err error) error {
	var certificate *tls.CertificateVerificationError
	var header tls.RecordHeaderError
	var op *net.OpError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &certificate):
		return fmt.Errorf("%w: the certificate of %s is not accepted: %w", driver.ErrUnavailable, addr, &reworded{certificateReason(certificate), err})
	case errors.As(err, &header):
		return withoutTLS(scheme, addr)
	case errors.As(err, &op) && op.Op == "remote error":
		return fmt.Errorf("%w: %w: %s ends the TLS handshake: %w", driver.ErrUnavailable, driver.ErrRefused, addr, &reworded{alertReason(op), err})
	}
	return err
}

// reworded is an error in other words.
type reworded struct {
	text string
	err  error
}

func (t *reworded) Error() string { return t.text }
func (t *reworded) Unwrap() error { return t.err }

func withoutTLS(scheme, addr string) error {
	return Invalid("the server there speaks without TLS: write %s://%s", kindOf(scheme), addr)
}

func withTLS(scheme, addr string) error {
	return Invalid("the server there speaks TLS: write %s://%s", secured[scheme], addr)
}

// certificateReason says what is wrong with a server's certificate, and what is to be done.
func certificateReason(e *tls.CertificateVerificationError) string {
	if len(e.UnverifiedCertificates) == 0 {
		return e.Error()
	}
	leaf := e.UnverifiedCertificates[0]
	var host x509.HostnameError
	var authority x509.UnknownAuthorityError
	var other x509.CertificateInvalidError
	switch {
	case errors.As(e.Err, &host):
		names := namesOf(leaf)
		if len(names) == 0 {
			return fmt.Sprintf("it has no name in it (no SAN; a common name such as CN=%s does not count): make one with the name %s", leaf.Subject.CommonName, host.Host)
		}
		return fmt.Sprintf("it is for %s, and not for %s: use such a name, or write server_name=%s", strings.Join(names, ", "), host.Host, names[0])
	case errors.As(e.Err, &authority):
		return fmt.Sprintf("it is signed by an unknown authority, %q: give the file of that authority as ca=", cmp.Or(leaf.Issuer.CommonName, leaf.Issuer.String()))
	case errors.As(e.Err, &other) && other.Reason == x509.Expired && time.Now().After(leaf.NotAfter):
		return fmt.Sprintf("it has expired: it was valid until %s", leaf.NotAfter.UTC().Format(time.RFC3339))
	case errors.As(e.Err, &other) && other.Reason == x509.Expired && time.Now().Before(leaf.NotBefore):
		return fmt.Sprintf("it is not valid yet, but from %s on: is this machine's clock right?", leaf.NotBefore.UTC().Format(time.RFC3339))
	case errors.As(e.Err, &other) && other.Reason == x509.IncompatibleUsage:
		return "it is not one of a server: it needs the extended key usage serverAuth"
	}
	return e.Error()
}

func namesOf(c *x509.Certificate) []string {
	names := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// alertReason says what the other side finds wrong with us.
func alertReason(op *net.OpError) string {
	switch text := op.Error(); {
	case strings.Contains(text, "certificate required"), strings.Contains(text, "bad certificate"), strings.Contains(text, "handshake failure"):
		return text + " (does it want a client certificate, cert= and key=, or another one?)"
	case strings.Contains(text, "unknown certificate authority"), strings.Contains(text, "certificate"):
		return text + " (it does not accept our certificate, cert= and key=)"
	default:
		return text
	}
}
