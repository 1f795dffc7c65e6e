package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/client"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/network"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/server"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/testcert"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
	"github.com/fencelock/fencelock/driver/address"
)

// secured is TLS with a certificate for some names.
func secured(t *testing.T, a *testcert.Authority, serverName string, names ...string) *network.Secure {
	t.Helper()
	cert, err := a.Issue(func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = names, nil })
	if err != nil {
		t.Fatal(err)
	}
	conf := a.Config(cert)
	conf.ServerName = serverName
	s, err := network.NewSecure(conf)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Who says that it is a member shows the certificate with which that member is dialled. One of a
// client is of no use for that.
func TestMembersShowTheirCertificate(t *testing.T) {
	authority, err := testcert.NewAuthority("test")
	if err != nil {
		t.Fatal(err)
	}
	start := func(serverName string) *network.Memory {
		net := &network.Memory{}
		l, err := net.Listen("a.example:1")
		if err != nil {
			t.Fatal(err)
		}
		cfg := server.Config{
			Member:   member.Config{Name: "a", Cluster: "test", FS: disk.NewMemory()},
			Listener: l, Network: net, Addr: "a.example:1", Secure: secured(t, authority, serverName, "a.example", "raft.example"),
		}
		for _, name := range []string{"a", "b", "c"} {
			m := statemachine.Member{ID: member.ID("test", name), Name: name, Addr: name + ".example:1"}
			cfg.Member.Members, cfg.Peers = append(cfg.Member.Members, m), append(cfg.Peers, m)
		}
		s, err := server.Start(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Kill)
		return net
	}
	plain, named := start(""), start("raft.example")
	type says struct {
		name, addr string // of itself
	}
	for what, is := range map[string]struct {
		net     *network.Memory
		names   []string // in the certificate
		says    says
		refused bool
	}{
		"the member":                      {plain, []string{"b.example"}, says{"b", "b.example:1"}, false},
		"in other letters":                {plain, []string{"B.Example"}, says{"b", "b.example:1"}, false},
		"a wildcard":                      {plain, []string{"*.example"}, says{"b", "b.example:1"}, false},
		"a client":                        {plain, []string{"app.example"}, says{"b", "b.example:1"}, true},
		"a client with an address":        {plain, []string{"app.example"}, says{"b", "app.example:1"}, true},
		"another member":                  {plain, []string{"c.example"}, says{"b", "c.example:1"}, true},
		"a new member":                    {plain, []string{"d.example"}, says{"d", "d.example:1"}, false},
		"a new member elsewhere":          {plain, []string{"app.example"}, says{"d", "d.example:1"}, true},
		"a new member without an address": {plain, []string{"app.example"}, says{"d", ""}, true},
		"one name for all":                {named, []string{"raft.example"}, says{"b", "b.example:1"}, false},
		"not that name":                   {named, []string{"b.example"}, says{"b", "b.example:1"}, true},
	} {
		t.Run(what, func(t *testing.T) {
			raw, err := is.net.Dial(t.Context(), "a.example:1")
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			_ = raw.SetDeadline(time.Now().Add(20 * time.Second))
			cert, err := authority.Issue(func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = is.names, nil })
			if err != nil {
				t.Fatal(err)
			}
			conf := authority.Config(cert)
			conf.ServerName = "a.example"
			conn := tls.Client(raw, conf)
			b := wire.AppendHello([]byte(wire.Preface), wire.Hello{
				Version: wire.Version, Cluster: "test", Role: wire.Peer,
				Member: member.ID("test", is.says.name), Name: is.says.name, To: member.ID("test", "a"),
			})
			intro, err := json.Marshal(map[string]any{"life": 7, "addr": is.says.addr})
			if err != nil {
				t.Fatal(err)
			}
			if b, err = wire.AppendPeerHandshake(b, intro); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Write(b); err != nil {
				t.Fatal(err)
			}
			got, body, err := wire.NewReader(conn).Next()
			switch {
			case err != nil:
				t.Fatal(err)
			case is.refused && (got != wire.TypeRefusal || !strings.Contains(wire.ParseRefusal(body), "your certificate is for another host")):
				t.Errorf("answered %v: %q", got, body)
			case !is.refused && got != wire.TypeWelcome:
				t.Errorf("answered %v: %q", got, body)
			}
		})
	}
}

// memberVariable makes the test binary a process that is a member which may have few files open. It
// says where it is reached, and then from time to time how many locks it has taken.
const memberVariable = "FENCELOCK_TEST_MEMBER"

// fewFiles is how many.
const fewFiles = 96

func play(dir string) error {
	files, err := address.TLS(url.Values{
		"ca": {filepath.Join(dir, "ca.pem")}, "cert": {filepath.Join(dir, "cert.pem")}, "key": {filepath.Join(dir, "key.pem")},
	}, nil)
	if err != nil {
		return err
	}
	secure, err := network.Renewed(files)
	if err != nil {
		return err
	}
	root, err := disk.Open(filepath.Join(dir, "member"))
	if err != nil {
		return err
	}
	self, err := root.Open(".")
	if err != nil {
		return err
	}
	l, err := network.System().Listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	s, err := server.Start(server.Config{
		Member: member.Config{
			Name: "a", Cluster: "test", FS: disk.Dir(root, self), SegmentBytes: 4096, SnapshotEntries: 50,
			Members: []statemachine.Member{{ID: member.ID("test", "a"), Name: "a", Addr: l.Addr().String()}},
		},
		Listener: l, Network: network.System(), Addr: l.Addr().String(), Secure: secure,
	})
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	c := client.New(client.Config{Addrs: []string{"own"}, Dial: func(ctx context.Context, _ string) (net.Conn, error) { return s.Dial(ctx) }})
	for n := 1; ; n++ {
		// Each is a file of the log, or more.
		o := c.Do(context.Background(), command.Command{Op: command.Acquire, Key: "k", AttemptID: "o", Meta: strings.Repeat("m", 1000), TTL: time.Hour}, nil)
		if o.Err != nil {
			return o.Err
		}
		if _, err := fmt.Println(n); err != nil {
			return err
		}
	}
}

// A member that may have few files open outlives any number of connections that say nothing: its log
// goes on, and those who say who they are get in.
func TestFlood(t *testing.T) {
	authority, err := testcert.NewAuthority("test")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := authority.Issue(nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := authority.Write(dir, cert); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0"`, fewFiles), self)
	cmd.Env = append(os.Environ(), memberVariable+"="+dir)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended, said := false, make(chan string)
	defer func() {
		_ = cmd.Process.Kill()
		for range said { // what nobody has waited for, up to the end
		}
		if err := cmd.Wait(); ended {
			t.Errorf("the member has ended: %v: %s", err, stderr.String())
		}
	}()
	go func() {
		defer close(said)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			said <- lines.Text()
		}
	}()
	line := func() string {
		text, ok := <-said
		if !ok {
			ended = true
			t.FailNow()
		}
		return text
	}
	addr := line()
	// goesOn waits until it has taken some locks more, each of which needs a file.
	goesOn := func() {
		t.Helper()
		for range 20 {
			if _, err := strconv.Atoi(line()); err != nil {
				t.Fatal(err)
			}
		}
	}
	secure, err := network.NewSecure(authority.Config(cert))
	if err != nil {
		t.Fatal(err)
	}
	getsIn := func() {
		t.Helper()
		c := client.New(client.Config{Addrs: []string{addr}, Dial: network.Secured(network.System(), secure).Dial, Cluster: "test"})
		defer c.Close()
		ready := make(chan error, 1)
		go func() { ready <- c.Ready(within(t, 20*time.Second)) }()
		for {
			select {
			case err := <-ready:
				if err != nil {
					t.Error(err)
				}
				return
			case _, ok := <-said: // it must not wait for us
				if !ok {
					ended = true
					t.FailNow()
				}
			}
		}
	}
	goesOn()
	var flood []net.Conn
	defer func() {
		for _, conn := range flood {
			_ = conn.Close()
		}
	}()
	for i := range 4 * fewFiles {
		conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		flood = append(flood, conn)
		switch i % 3 { // some of them begin to say something
		case 0:
			_, _ = conn.Write([]byte{0x16})
		case 1:
			_, _ = io.WriteString(conn, "G")
		}
		if i%20 == 19 {
			goesOn()
		}
	}
	getsIn()
	goesOn()
	for _, conn := range flood {
		_ = conn.Close()
	}
	getsIn()
	goesOn()
}
