package mem

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/address"
)

func init() { fencelock.Register("mem", Open) }

// New returns a client of the space. Nil makes a space of its own.
func New(s *Space) driver.Backend { return newBackend(s, "") }

func newBackend(s *Space, namespace string) *backend {
	if s == nil {
		s = NewSpace()
	}
	return &backend{space: s, namespace: namespace, minTTL: time.Millisecond, closed: make(chan struct{})}
}

// Open returns a client of the space that the URL names: every mem://orders in
// the process is the same space, and lives as long as the process does. "mem://"
// is the space with no name. namespace=billing keeps the keys of this client
// apart from those of other namespaces; "fencelock" if absent.
//
// It accepts what every server accepts by its usual settings, so that what was tried here is not
// refused there: a namespace of 1 to 64 letters, digits and . _ : - characters, and a TTL of a
// second to 24 hours. (A server of ZooKeeper may be set to less.) A test that wants shorter
// leases uses [New].
//
// Do not open a space both inside and outside of a testing/synctest bubble: use
// [New] there.
func Open(ctx context.Context, u *url.URL, _ driver.OpenOptions) (driver.Backend, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if u.User != nil || u.Port() != "" || u.Path != "" && u.Path != "/" || u.Fragment != "" {
		return nil, address.Invalid("want mem://name, with nothing but a query after the name")
	}
	q, err := address.Params(u, "namespace")
	if err != nil {
		return nil, err
	}
	namespace := "fencelock"
	if q.Has("namespace") {
		namespace = q.Get("namespace")
	}
	if why := checkNamespace(namespace); why != "" {
		return nil, address.Invalid("namespace=%q: %s", namespace, why)
	}
	b := newBackend(Named(u.Hostname()), namespace)
	b.minTTL = time.Second
	return b, nil
}

// checkNamespace says what is wrong with a namespace, on this or another backend.
func checkNamespace(ns string) string {
	if why := address.Namespace(ns, "._:-"); why != "" {
		return why
	}
	if strings.Trim(ns, ".") == "" || ns == "zookeeper" {
		return "ZooKeeper does not take it"
	}
	return ""
}

var spaces struct {
	mu     sync.Mutex
	byName map[string]*Space
}

// Named returns the space that mem://name opens, for a test that injects faults into it. It is made
// if nobody has opened it yet, and lives as long as the process does.
func Named(name string) *Space {
	spaces.mu.Lock()
	defer spaces.mu.Unlock()
	s := spaces.byName[name]
	if s == nil {
		if spaces.byName == nil {
			spaces.byName = make(map[string]*Space)
		}
		s = NewSpace()
		spaces.byName[name] = s
	}
	return s
}
