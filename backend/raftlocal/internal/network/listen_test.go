package network_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/network"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The path of a socket may be longer than an address holds. What a dead process has left is
// replaced, and nothing is left behind.
func TestUnix(t *testing.T) {
	for name, dir := range map[string]string{"short": t.TempDir(), "long": filepath.Join(t.TempDir(), strings.Repeat("x", 200))} {
		t.Run(name, func(t *testing.T) {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "socket")
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			n := network.System()
			l, err := n.Listen("unix:" + path)
			if err != nil {
				t.Fatal(err)
			}
			go acceptAll(l)
			if err := dialled(t, n, "unix:"+path); err != nil {
				t.Error(err)
			}
			if found, err := os.Stat(path); err != nil || found.Mode().Perm() != 0o600 {
				t.Errorf("the socket: %v, %v", found, err)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(path); err == nil {
				t.Error("the socket is still there")
			}
			if err := dialled(t, n, "unix:"+path); err == nil {
				t.Error("somebody answers after Close")
			}
		})
	}
}

// A socket that is removed is made again, and connections that were there go on. What has come in its
// place when it is closed stays.
func TestSocketIsMended(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	n := network.System()
	l, err := n.Listen("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	mend := l.(interface{ Mend() (bool, error) }).Mend
	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	before, err := n.Dial(t.Context(), "unix:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	served := <-accepted
	defer served.Close()
	if did, err := mend(); did || err != nil {
		t.Errorf("nothing is wrong: %v, %v", did, err)
	}
	for _, spoil := range []func() error{
		func() error { return os.Remove(path) },
		func() error { return errors.Join(os.Remove(path), os.WriteFile(path, nil, 0o600)) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if err := dialled(t, n, "unix:"+path); err == nil {
			t.Fatal("it can be dialled")
		}
		if did, err := mend(); !did || err != nil {
			t.Fatalf("%v, %v", did, err)
		}
		after, err := n.Dial(t.Context(), "unix:"+path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = (<-accepted).Close(), after.Close()
	}
	if _, err := served.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if err := errors.Join(os.Remove(path), os.WriteFile(path, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	<-accepted
	if _, err := os.Stat(path); err != nil {
		t.Errorf("what another has put there: %v", err)
	}
	if did, err := mend(); did || err != nil {
		t.Errorf("after Close: %v, %v", did, err)
	}
}

// A socket of a group is the group's also when it is made again.
func TestSocketOfAGroup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	group := os.Getegid()
	if os.Geteuid() == 0 {
		group = 61500 // it may give it to any
	}
	l, err := network.ListenUnix(path, group)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	look := func() {
		t.Helper()
		found, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		s := reflect.ValueOf(found.Sys()).Elem().FieldByName("Gid")
		if found.Mode().Perm() != 0o660 || int(s.Uint()) != group {
			t.Errorf("the mode is %v, the group %d", found.Mode(), s.Uint())
		}
	}
	look()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if did, err := l.(interface{ Mend() (bool, error) }).Mend(); !did || err != nil {
		t.Fatalf("%v, %v", did, err)
	}
	look()
	if os.Geteuid() != 0 {
		_, err := network.ListenUnix(path+"2", 0)
		if err == nil || !strings.Contains(err.Error(), "giving the socket to the group") {
			t.Errorf("a group that is not ours: %v", err)
		}
	}
}

func TestAddressInUse(t *testing.T) {
	var memory network.Memory
	for addr, n := range map[string]network.Network{"127.0.0.1:0": network.System(), "name": &memory} {
		l, err := n.Listen(addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.Listen(l.Addr().String()); err == nil || !strings.Contains(err.Error(), "in use") {
			t.Errorf("%s: got %v", addr, err)
		}
		_ = l.Close()
		again, err := n.Listen(l.Addr().String())
		if err != nil {
			t.Errorf("%s: after Close: %v", addr, err)
			continue
		}
		_ = again.Close()
	}
	if _, err := network.System().Listen("192.0.2.1:0"); err == nil || !strings.Contains(err.Error(), "not one of this machine") {
		t.Errorf("another machine's address: %v", err)
	}
}

func TestMemory(t *testing.T) {
	var n network.Memory
	if err := dialled(t, &n, "a"); err == nil {
		t.Error("nobody listens, and somebody answers")
	}
	l, err := n.Listen("a")
	if err != nil {
		t.Fatal(err)
	}
	go acceptAll(l)
	if err := dialled(t, &n, "a"); err != nil {
		t.Error(err)
	}
	_ = l.Close()
	if err := dialled(t, &n, "a"); err == nil {
		t.Error("somebody answers after Close")
	}
}
