package network

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
)

// Secure is mutual TLS over connections.
type Secure struct{ server, client *tls.Config }

// NewSecure takes the authority (RootCAs) and our certificate from conf. Other settings, such as
// a server's name, are kept; what would weaken TLS is not.
func NewSecure(conf *tls.Config) (*Secure, error) {
	if conf.RootCAs == nil {
		return nil, errors.New("TLS needs the authority whose certificates are trusted: name its PEM file with ca=, or set RootCAs")
	}
	if len(conf.Certificates) == 0 && (conf.GetCertificate == nil || conf.GetClientCertificate == nil) {
		return nil, errors.New("TLS needs a certificate of our own, because both sides show theirs: name its PEM files with cert= and key=, or set Certificates")
	}
	c := conf.Clone()
	c.MinVersion = max(c.MinVersion, tls.VersionTLS13)
	c.InsecureSkipVerify = false
	c.NextProtos = nil
	s := c.Clone()
	s.ClientAuth, s.ClientCAs = tls.RequireAndVerifyClientCert, c.RootCAs
	return &Secure{server: s, client: c}, nil
}

// Client secures a connection that was dialled to addr. A server that does not take our
// certificate tells so with the first thing that is read.
func (s *Secure) Client(ctx context.Context, conn net.Conn, addr string) (net.Conn, error) {
	conf := s.client
	if conf.ServerName == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, fmt.Errorf("the address %s has no host whose name the certificate could have: write host:port", addr)
		}
		conf = conf.Clone()
		conf.ServerName = host
	}
	secured := tls.Client(conn, conf)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, Explain(err)
	}
	return &explained{secured}, nil
}

// explained is a connection whose errors have the cure with them.
type explained struct{ net.Conn }

func (c *explained) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		err = Explain(err) // io.EOF is left as it is
	}
	return n, err
}

// Server secures a connection that was accepted, and verifies the other's certificate.
func (s *Secure) Server(ctx context.Context, conn net.Conn) (net.Conn, error) {
	secured := tls.Server(conn, s.server)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, Explain(err)
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
	name := s.client.ServerName
	if name == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return fmt.Errorf("the address %q has no host whose name the certificate could have", addr)
		}
		name = host
	}
	shown := c.ConnectionState().PeerCertificates // verified, so there is one
	return shown[0].VerifyHostname(name)
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
