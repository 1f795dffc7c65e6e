package network

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"
)

// Mismatch is an error of TLS that lasts until somebody changes the settings of one side. Its text
// is the same each time, so that it can be told once.
type Mismatch struct {
	text string
	err  error
}

// NewMismatch makes a [Mismatch] of an error that is not one of TLS, and of what is to be done about it.
func NewMismatch(cure string, err error) *Mismatch { return &Mismatch{cure, err} }

func (m *Mismatch) Error() string { return m.text }

// Unwrap returns the error of crypto/tls.
func (m *Mismatch) Unwrap() error { return m.err }

// explain makes an error of TLS a [Mismatch], with whose certificate it is about and the cure,
// and leaves others as they are. conf is ours, for the connection.
func explain(err error, conf *tls.Config) error {
	var (
		remote  *net.OpError
		header  tls.RecordHeaderError
		foreign x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		none    *tls.CertificateVerificationError
	)
	mismatch := func(format string, args ...any) error {
		return &Mismatch{fmt.Sprintf(format, args...), err}
	}
	theirs := "the other side's certificate"
	if errors.As(err, &none) && len(none.UnverifiedCertificates) > 0 {
		theirs += " (" + describe(none.UnverifiedCertificates[0]) + ")"
	}
	switch {
	case errors.As(err, &header):
		return mismatch("the other side does not speak TLS: give it ca=, cert= and key=, or both sides insecure=true; or it is no member of a cluster of fencelock")
	case errors.As(err, &foreign):
		return mismatch("%s is of another authority than ours: use certificates of one, and name it with ca=", theirs)
	case errors.As(err, &name):
		return mismatch("the certificate there (%s) is not for %s, the name that is wanted: issue it with that name as subjectAltName, dial by a name that it has, or say which with server_name=", describe(name.Certificate), name.Host)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		what, at := "has expired", invalid.Cert.NotAfter
		if time.Now().Before(invalid.Cert.NotBefore) {
			what, at = "is not valid yet", invalid.Cert.NotBefore
		}
		return mismatch("%s %s (%s): renew it, and check the clock", theirs, what, at.UTC().Format(time.RFC3339))
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return mismatch("%s is not for this use: make it for both serverAuth and clientAuth (extendedKeyUsage)", theirs)
	case errors.As(err, &invalid), errors.As(err, &none):
		return mismatch("%s is not valid: %v", theirs, err)
	case errors.As(err, &remote) && remote.Op == "remote error": // so crypto/tls marks alerts
		return mismatch("the other side does not take our certificate (%s): it says %q: use cert= and key= of the authority that it trusts, for both serverAuth and clientAuth, and not expired", own(conf), remote.Err)
	case err != nil && err.Error() == noCertificate:
		return mismatch("the other side shows no certificate: give it cert= and key= of the cluster's authority")
	}
	return err
}

// noCertificate is what crypto/tls says of a client without one; it has no type for it.
const noCertificate = "tls: client didn't provide a certificate"

// maxNames is how many names of a certificate are told.
const maxNames = 6

// describe tells whose a certificate is, for messages.
func describe(c *x509.Certificate) string {
	if c == nil {
		return "unknown"
	}
	names := append([]string{}, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	whose := c.Subject.String()
	if whose == "" {
		whose = "without a subject"
	}
	switch {
	case len(names) == 0:
		return whose + ", for no name: it has no subjectAltName, and a CN does not count"
	case len(names) > maxNames:
		names = append(names[:maxNames], "…")
	}
	text := whose + ", for " + names[0]
	for _, n := range names[1:] {
		text += ", " + n
	}
	return text
}

// own describes the certificate that we show.
func own(conf *tls.Config) string {
	c := leaf(conf)
	if c == nil {
		return "chosen by the application"
	}
	return describe(c)
}

// leaf is the certificate of a configuration that does not choose one for each connection, or nil.
func leaf(conf *tls.Config) *x509.Certificate {
	if conf == nil || len(conf.Certificates) == 0 {
		return nil
	}
	pair := conf.Certificates[0]
	if pair.Leaf != nil {
		return pair.Leaf
	}
	if len(pair.Certificate) == 0 {
		return nil
	}
	c, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return nil
	}
	return c
}

// Reason is why somebody was not reached, in words that are the same each time: what the
// system says has the port of the moment, and would be another text at each attempt.
type Reason struct {
	text   string
	err    error // nil for a time that is over: it was ours, and no caller's context has ended
	absent bool
}

func (r *Reason) Error() string { return r.text }

// Unwrap returns what the system said.
func (r *Reason) Unwrap() error { return r.err }

// NewAbsent makes a [Reason] of who has nobody at an address, in better words than those of err.
func NewAbsent(text string, err error) *Reason { return &Reason{text, err, true} }

// Absent reports whether an error says for certain that nobody is at an address, as it would say a
// moment later, too.
func Absent(err error) bool {
	var r *Reason
	return errors.As(err, &r) && r.absent
}

// Mute is what is said of somebody who takes a connection and says nothing on it.
const Mute = "it takes connections and does not answer: it is stopped, it hangs, or it is no member of fencelock"

// Plain makes a [Reason] of an error of a dial, a read or a write, and leaves others as they are, such
// as those that are plain already. late is what it means that the time is over.
func Plain(err error, late string) error {
	var said *Reason
	var mismatch *Mismatch
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case err == nil, errors.As(err, &said), errors.As(err, &mismatch):
		return err
	case errors.Is(err, syscall.ECONNREFUSED):
		return &Reason{"nobody listens there (connection refused)", err, true}
	case errors.Is(err, fs.ErrNotExist):
		return &Reason{"there is no such socket: nobody listens there", err, true}
	case errors.Is(err, fs.ErrPermission):
		return &Reason{"this user may not connect to it (permission denied)", err, false}
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return &Reason{"there is no way to that host (no route)", err, false}
	case errors.As(err, &dns) && dns.IsNotFound:
		return &Reason{fmt.Sprintf("there is no host of the name %q", dns.Name), err, true}
	case errors.As(err, &dns):
		return &Reason{fmt.Sprintf("the name of the host %q cannot be looked up: the name server does not answer", dns.Name), nil, false}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return &Reason{late, nil, false}
	case errors.Is(err, context.Canceled):
		return &Reason{"it was not waited for", nil, false}
	case HungUp(err):
		return &Reason{"it closes the connection without an answer: it is about to end, or it is no member of fencelock", err, false}
	}
	return err
}

// HungUp reports whether an error says no more than that the connection is closed.
func HungUp(err error) bool {
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE, net.ErrClosed} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

// unreached is what it means that a connection does not come about in time.
const unreached = "no answer: the host is down or cut off, or a firewall drops what is sent to it"
