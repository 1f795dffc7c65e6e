package network

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/fencelock/fencelock/driver/address"
)

// Secure is mutual TLS over connections.
type Secure struct {
	now        func() *tls.Config // for one connection; it is not changed
	serverName string             // that all certificates have; "" for the host's
}

// NewSecure takes the authority (RootCAs) and our certificate from conf. Other settings, such as
// a server's name, are kept; what would weaken TLS is not, nor in what GetConfigForClient returns.
func NewSecure(conf *tls.Config) (*Secure, error) {
	conf = conf.Clone()
	return newSecure(func() *tls.Config { return conf })
}

// Renewed takes both from files, for each connection again: a certificate that was renewed is shown,
// and an authority that was replaced is trusted, from the next one on, by who listens and by who dials.
func Renewed(files *address.Certificates) (*Secure, error) {
	return newSecure(func() *tls.Config { return files.Config("") })
}

func newSecure(now func() *tls.Config) (*Secure, error) {
	conf := now()
	if conf.RootCAs == nil {
		return nil, errors.New("TLS needs the authority whose certificates are trusted: name its PEM file with ca=, or set RootCAs")
	}
	if len(conf.Certificates) == 0 && (conf.GetCertificate == nil || conf.GetClientCertificate == nil) {
		return nil, errors.New("TLS needs a certificate of our own, because both sides show theirs: name its PEM files with cert= and key=, or set Certificates")
	}
	return &Secure{now, conf.ServerName}, nil
}

// client is for a connection that we dial.
func (s *Secure) client() *tls.Config {
	c := s.now().Clone()
	c.MinVersion = max(c.MinVersion, tls.VersionTLS13)
	c.InsecureSkipVerify = false
	c.NextProtos = nil
	return c
}

// server is for a connection that we accept.
func (s *Secure) server() *tls.Config {
	c := s.client()
	c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, c.RootCAs
	if choose := c.GetConfigForClient; choose != nil {
		c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			chosen, err := choose(hello)
			if chosen == nil || err != nil {
				return nil, err
			}
			chosen = chosen.Clone()
			chosen.MinVersion, chosen.NextProtos = max(chosen.MinVersion, tls.VersionTLS13), nil
			// Without authorities, those of the system would do.
			chosen.ClientAuth, chosen.ClientCAs = tls.RequireAndVerifyClientCert, cmp.Or(chosen.ClientCAs, chosen.RootCAs, c.RootCAs)
			return chosen, nil
		}
	}
	return c
}

// Client secures a connection that was dialled to addr. A server that does not take our
// certificate tells so with the first thing that is read.
func (s *Secure) Client(ctx context.Context, conn net.Conn, addr string) (net.Conn, error) {
	conf := s.client()
	if conf.ServerName == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, fmt.Errorf("the address %s has no host whose name the certificate could have: write host:port", addr)
		}
		conf.ServerName = host
	}
	secured := tls.Client(conn, conf)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, Plain(explain(err, conf), Mute)
	}
	return &explained{secured, conf}, nil
}

// explained is a connection whose errors have the cure with them.
type explained struct {
	net.Conn
	conf *tls.Config
}

func (c *explained) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		err = explain(err, c.conf) // io.EOF is left as it is
	}
	return n, err
}

// Server secures a connection that was accepted, and verifies the other's certificate.
func (s *Secure) Server(ctx context.Context, conn net.Conn) (net.Conn, error) {
	conf := s.server()
	secured := tls.Server(conn, conf)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, Plain(explain(err, conf), "it begins TLS, and does not go on")
	}
	return secured, nil
}

// Verify returns nil if who is at the other end of a connection that Server has secured shows a
// certificate for addr: what Client wants of who is dialled there. So only who can be dialled there
// can come from there.
func (s *Secure) Verify(conn net.Conn, addr string) error {
	c, ok := conn.(*tls.Conn)
	if !ok {
		return errors.New("the connection is without a certificate")
	}
	name := s.serverName
	if name == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return fmt.Errorf("the address %q has no host whose name the certificate could have", addr)
		}
		name = host
	}
	shown := c.ConnectionState().PeerCertificates // verified, so there is one
	return explain(shown[0].VerifyHostname(name), nil)
}

// Expiry is when the certificate that we show now runs out, or the zero time if the application chooses
// one for each connection.
func (s *Secure) Expiry() time.Time {
	if c := leaf(s.now()); c != nil {
		return c.NotAfter
	}
	return time.Time{}
}

// secured is a network over whose connections TLS is spoken by who dials.
type secured struct {
	Network
	secure *Secure
}

// Secured returns a network that dials with TLS. Who listens must use s.Server for each
// connection, because another protocol may come first.
func Secured(n Network, s *Secure) Network { return &secured{n, s} }

func (n *secured) Dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := n.Network.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	c, err := n.secure.Client(ctx, conn, addr)
	if err != nil {
		_ = conn.Close() // says nothing that matters after err
		return nil, err
	}
	return c, nil
}
