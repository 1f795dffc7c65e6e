package network

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
)

// Mismatch is an error of TLS that lasts until somebody changes the settings of one side.
type Mismatch struct {
	cure string
	err  error
}

func (m *Mismatch) Error() string { return fmt.Sprintf("%s: %v", m.cure, m.err) }

// Unwrap returns the error of crypto/tls.
func (m *Mismatch) Unwrap() error { return m.err }

// Explain makes an error of TLS a [Mismatch], with the cure, and leaves others as they are.
func Explain(err error) error {
	var (
		remote  *net.OpError
		header  tls.RecordHeaderError
		foreign x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &header):
		return &Mismatch{"the other side does not speak TLS: give it ca=, cert= and key=, or both sides insecure=true", err}
	case errors.As(err, &foreign):
		return &Mismatch{"the other side's certificate is of another authority than ours: use certificates of one, and name it with ca=", err}
	case errors.As(err, &name):
		return &Mismatch{"the other side's certificate does not have its name: dial it by a name in the certificate, or say which with server_name=", err}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return &Mismatch{"the other side's certificate has expired or is not valid yet: renew it, and check the clock", err}
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return &Mismatch{"the other side's certificate is not for this use: make it for both serverAuth and clientAuth", err}
	case errors.As(err, &remote) && remote.Op == "remote error": // so crypto/tls marks alerts
		return &Mismatch{"the other side does not take our certificate: use cert= and key= of the authority that it trusts, for both serverAuth and clientAuth, and not expired", err}
	}
	return err
}
