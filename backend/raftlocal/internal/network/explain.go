package network

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
)

// Explain adds the cure to an error of TLS, and leaves others as they are.
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
		return fmt.Errorf("the other side does not speak TLS: give it ca=, cert= and key=, or both sides insecure=true: %w", err)
	case errors.As(err, &foreign):
		return fmt.Errorf("the other side's certificate is of another authority than ours: use certificates of one, and name it with ca=: %w", err)
	case errors.As(err, &name):
		return fmt.Errorf("the other side's certificate does not have its name: dial it by a name in the certificate, or say which with server_name=: %w", err)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("the other side's certificate has expired or is not valid yet: renew it, and check the clock: %w", err)
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return fmt.Errorf("the other side's certificate is not for this use: make it for both serverAuth and clientAuth: %w", err)
	case errors.As(err, &remote) && remote.Op == "remote error": // so crypto/tls marks alerts
		return fmt.Errorf("the other side does not take our certificate: use cert= and key= of the authority that it trusts, for both serverAuth and clientAuth, and not expired: %w", err)
	}
	return err
}
