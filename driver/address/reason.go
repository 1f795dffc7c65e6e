package address

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// Reason says in plain words why a connection was not secured: which names the server's certificate
// has, that its authority is not known, that it has expired, that the server wants one of ours, that
// it speaks without TLS. What it knows nothing of it returns as it is. scheme is that of the URL,
// addr the server's.
func Reason(scheme, addr string, err error) error {
	var certificate *tls.CertificateVerificationError
	var header tls.RecordHeaderError
	var op *net.OpError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &certificate):
		return fmt.Errorf("%w: the certificate of %s is not accepted: %w", driver.ErrUnavailable, addr, &told{certificateReason(certificate), err})
	case errors.As(err, &header):
		return withoutTLS(scheme, addr)
	case errors.As(err, &op) && op.Op == "remote error":
		return fmt.Errorf("%w: %w: %s ends the TLS handshake: %w", driver.ErrUnavailable, driver.ErrRefused, addr, &told{alertReason(op), err})
	}
	return err
}

// told is an error in other words.
type told struct {
	text string
	err  error
}

func (t *told) Error() string { return t.text }
func (t *told) Unwrap() error { return t.err }

func withoutTLS(scheme, addr string) error {
	return Invalid("the server there speaks without TLS: write %s://%s", kindOf(scheme), addr)
}

func withTLS(scheme, addr string) error {
	return Invalid("the server there speaks TLS: write %ss://%s", scheme, addr)
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
