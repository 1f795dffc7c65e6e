package servers

import "sync"

// shared has one server of each kind for the whole test process.
var shared sync.Map // name of the kind → func() (*Server, error)

// Shared returns the server of a kind that all tests of the process share, and
// starts it if need be. It suits tests that keep to a namespace of their own; they
// cannot kill, stop or pause it.
func Shared(t T, k Kind) *Server {
	t.Helper()
	if !underMain.Load() {
		t.Fatalf("servers: TestMain must call servers.Main, which removes shared servers")
	}
	once, _ := shared.LoadOrStore(k.name, sync.OnceValues(func() (*Server, error) {
		c, err := start(k, collect(nil), 1)
		if err != nil {
			return nil, err
		}
		c.members[0].shared = true
		return c.members[0], nil
	}))
	s, err := once.(func() (*Server, error))()
	if err != nil {
		t.Fatalf("servers: %v", err)
	}
	return s
}
