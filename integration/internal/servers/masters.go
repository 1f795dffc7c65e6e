package servers

import (
	"errors"
	"fmt"
	"os"
	"sync"
)

// StartMasters starts servers that know nothing of each other, all at the same time, one of each
// kind in the list, which may name a kind twice. They are one test's, as with [Start]; with [TLS]
// all have the same authority.
func StartMasters(t T, kinds []Kind, opts ...Option) []*Server {
	t.Helper()
	o := collect(opts)
	all, err := startMasters(kinds, o)
	t.Cleanup(func() {
		for _, c := range all {
			if t.Failed() {
				t.Logf("the last words of %v at %s:\n%s", c, c.members[0].addr, c.members[0].lastWords())
			}
		}
		if err := removeMasters(all); err != nil {
			t.Errorf("servers: %v", err)
		}
	})
	if err != nil {
		t.Fatalf("servers: %v", err)
	}
	return servers(all)
}

// SharedMasters returns such servers that all tests of the process share, and that none of them
// may kill, stop or pause, nor change. Who asks first says how they are started: all have to ask
// for the same.
func SharedMasters(t T, kinds []Kind, opts ...Option) []*Server {
	t.Helper()
	if !underMain.Load() {
		t.Fatalf("servers: TestMain must call servers.Main, which removes shared servers")
	}
	once, _ := sharedMasters.LoadOrStore(fmt.Sprint(kinds), sync.OnceValues(func() ([]*Server, error) {
		all, err := startMasters(kinds, collect(opts))
		if err != nil {
			return nil, errors.Join(err, removeMasters(all))
		}
		for _, c := range all {
			c.members[0].shared = true
		}
		return servers(all), nil
	}))
	all, err := once.(func() ([]*Server, error))()
	if err != nil {
		t.Fatalf("servers: %v", err)
	}
	return all
}

var sharedMasters sync.Map // names of the kinds → func() ([]*Server, error)

// startMasters returns those that have been started, also with an error.
func startMasters(kinds []Kind, o options) ([]*Cluster, error) {
	for _, k := range kinds {
		if os.Getenv(k.env("ADDR")) != "" {
			return nil, fmt.Errorf("the test needs %d servers of its own: unset %s, or choose tests that do not, with -run", len(kinds), k.env("ADDR"))
		}
	}
	found, errs := make([]*Cluster, len(kinds)), make([]error, len(kinds))
	var starting sync.WaitGroup
	for i, k := range kinds {
		starting.Go(func() { found[i], errs[i] = start(k, o, 1) })
	}
	starting.Wait()
	var all []*Cluster
	for _, c := range found {
		if c != nil {
			all = append(all, c)
		}
	}
	return all, errors.Join(errs...)
}

func removeMasters(all []*Cluster) error {
	errs := make([]error, len(all))
	var removing sync.WaitGroup
	for i, c := range all {
		removing.Go(func() { errs[i] = c.remove() })
	}
	removing.Wait()
	return errors.Join(errs...)
}

func servers(all []*Cluster) []*Server {
	list := make([]*Server, len(all))
	for i, c := range all {
		list[i] = c.members[0]
	}
	return list
}
