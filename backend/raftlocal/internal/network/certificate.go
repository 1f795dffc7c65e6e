package network

import (
	"crypto/tls"
	"sync/atomic"
)

// Renewing makes conf read its certificate anew for each connection, so that it can be renewed
// without a restart. While the files cannot be read, the last that could be is used.
func Renewing(conf *tls.Config, certFile, keyFile string) error {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return err
	}
	var last atomic.Pointer[tls.Certificate]
	last.Store(&pair)
	read := func() *tls.Certificate {
		if pair, err := tls.LoadX509KeyPair(certFile, keyFile); err == nil {
			last.Store(&pair)
		}
		return last.Load()
	}
	conf.Certificates = nil
	conf.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return read(), nil }
	conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return read(), nil }
	return nil
}
