package mem

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"sync"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/driver"
)

func init() { fencelock.Register("mem", Open) }

var spaces struct {
	mu     sync.Mutex
	byName map[string]*Space
}

// Open returns a client of the space that the URL names: every mem://orders in
// the process is the same space, and lives as long as the process does. "mem://"
// is the space with no name. namespace=billing keeps the keys of this client
// apart from those of other namespaces.
//
// Do not open a space both inside and outside of a testing/synctest bubble: use
// [New] there.
func Open(ctx context.Context, u *url.URL) (driver.Backend, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if u.User != nil || u.Port() != "" || u.Path != "" && u.Path != "/" || u.Fragment != "" {
		return nil, errors.New("mem: want mem://name, with nothing but a query after the name")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("mem: the query cannot be parsed") // err would quote it
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if name != "namespace" {
			return nil, fmt.Errorf("%w: mem: unknown query parameter %q (known: namespace)", fencelock.ErrInvalid, name)
		}
	}
	if len(query["namespace"]) > 1 {
		return nil, errors.New("mem: namespace is given more than once")
	}
	return newBackend(named(u.Hostname()), query.Get("namespace")), nil
}

func named(name string) *Space {
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
