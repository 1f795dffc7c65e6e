package server

import (
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
)

// maxHello is how long a frame may be before it is known who speaks.
const maxHello = 64 << 10

// greet reads who has connected, and serves them or says why not. raw is the connection that c
// goes over.
func (d *door) greet(c *peekedConn, raw net.Conn, number uint64) {
	r, hello, why := d.readHello(c)
	if why == nil {
		why = d.checkHello(hello)
	}
	if why == nil && hello.Role == wire.Bootstrapper {
		why = d.checkCertificate(c, hello, peerHandshake{})
	}
	if why == nil && (hello.Role == wire.Bootstrapper || !d.bootstrapped.Load()) {
		d.beginnings.serve(c, r, hello)
		return
	}
	var intro peerHandshake
	if why == nil && hello.Role == wire.Peer {
		if intro, why = readPeerHandshake(r); why == nil {
			why = d.inbound.check(hello, intro)
		}
		if why == nil {
			why = d.checkCertificate(c, hello, intro)
		}
	}
	if why == nil {
		why = d.conns.seat(raw, hello.Role)
	}
	if why != nil {
		d.told.refuse(c, why)
		return
	}
	r.Limit = wire.MaxFrame
	if hello.Role == wire.Peer {
		d.inbound.serve(c, r, hello, intro)
		return
	}
	d.clients.serve(c, raw, r, member.Conn(number))
}

// readHello reads the first frame. An error is for the other side to read.
func (d *door) readHello(c net.Conn) (*wire.Reader, wire.Hello, error) {
	var preface [len(wire.Preface)]byte
	if _, err := io.ReadFull(c, preface[:]); err != nil || string(preface[:]) != wire.Preface {
		return nil, wire.Hello{}, errors.New("this port is for fencelock's members and clients, and HTTP")
	}
	r := wire.NewReader(c)
	r.Limit = maxHello
	t, body, err := r.Next()
	if err != nil || t != wire.TypeHello {
		return nil, wire.Hello{}, errors.New("the connection does not begin with a hello")
	}
	hello, err := wire.ParseHello(body)
	return r, hello, err
}

// checkHello says why somebody is not served, and what to do.
func (d *door) checkHello(h wire.Hello) error {
	own := d.cfg.Member
	switch {
	case h.Version != wire.Version:
		return fmt.Errorf("the member %q speaks version %d of the protocol, and you %d: run the same release of fencelock on both sides", own.Name, wire.Version, h.Version)
	case h.Cluster != own.Cluster && (h.Cluster != "" || h.Role != wire.Client):
		return fmt.Errorf("the member %q here is of the cluster %q, and not of %q: correct the name of the cluster, or the address", own.Name, own.Cluster, h.Cluster)
	case h.Role != wire.Client && h.Role != wire.Peer && h.Role != wire.Bootstrapper:
		return errors.New("only clients and members speak this protocol; operators use HTTP on this port: GET /status tells the rest")
	}
	return nil
}

// checkCertificate says why somebody is not the member that they say they are. What is not TLS has no
// certificates: there everybody may be everybody.
func (d *door) checkCertificate(c *peekedConn, h wire.Hello, i peerHandshake) error {
	if d.cfg.Secure == nil {
		return nil
	}
	addr := d.addrOf(h, i)
	if addr == "" && h.Role == wire.Bootstrapper {
		return nil // it asks to join, and is told how; nobody takes it for an initial member that we know
	}
	if err := d.cfg.Secure.Verify(c.Conn, addr); err != nil {
		return fmt.Errorf("the member %q is at %s, and your certificate is for another host: use a certificate with that name, or give all members one name with server_name=: %w", h.Name, addr, err)
	}
	return nil
}

// addrOf is where a member is dialled: by the book, by peers= as long as there is none, or, if nobody
// has told us of it yet, by what it says itself.
func (d *door) addrOf(h wire.Hello, i peerHandshake) string {
	for _, m := range d.role.Load().members {
		if m.ID == h.Member {
			return m.Addr
		}
	}
	for _, m := range d.cfg.Peers {
		if m.Name == h.Name {
			return m.Addr
		}
	}
	return i.Addr
}
