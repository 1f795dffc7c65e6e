package zookeeper

import (
	"github.com/fencelock/fencelock/backend/zookeeper/internal/session"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/address"
)

// backend implements driver.Backend for one ensemble. It stands on claims, and claims on registry;
// below them are the sessions of package session, which know no attempt (0070).
type backend struct {
	claims
	info    driver.Info
	contact *address.Contact
}

var _ driver.Backend = (*backend)(nil)

func newBackend(conf config) *backend {
	b := &backend{
		contact: address.NewContact(conf.log),
		info: driver.Info{
			Name:      "zookeeper",
			Guarantee: driver.Linearizable,
			Features:  driver.Fair | driver.Push,
			Namespace: conf.namespace,
			MinTTL:    session.MinTTL,
		},
	}
	b.root, b.acl = conf.chroot+"/"+conf.namespace, conf.acl
	b.pool = session.NewPool(session.Config{
		Hosts: conf.hosts, TLS: conf.tls, Auth: conf.auth, Root: b.root, Contact: b.contact, Connect: conf.connect,
		Keeper: func(s *session.Session) session.Keeper {
			return &leases{Session: s, claims: &b.claims, contact: b.contact}
		},
	})
	b.nodes = newLockNodes(b.pool, b.root, conf.acl)
	return b
}

func (b *backend) Info() driver.Info { return b.info }

// Close ends calls under way and the connections; it releases no grant.
func (b *backend) Close() error {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.nodes.stop()
	b.pool.Close()
	return nil
}
