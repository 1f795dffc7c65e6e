package process_test

import (
	"bufio"
	"context"
	"go/ast"
	"go/doc"
	"go/format"
	"go/parser"
	"go/token"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// What the programs say in the end.
const (
	charges = "charging; lock held: true token given: true"
	holding = "holds invoices/42"
)

// TestExamplesOfPages runs the programs that the page of each backend shows, as a reader
// copies them, with nothing changed but hosts and files. Those of raftlocal and mem that need no
// server run where they are.
func TestExamplesOfPages(t *testing.T) {
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		s := servers.Start(t, servers.Redis, servers.TLS(), servers.Args("--tls-auth-clients", "no"))
		files := locktest.CertificateFiles(t, s.TLSAddr(), s.TLSConfig())
		redisUser(t, s.Addr())
		here := []string{"localhost:6379", s.Addr()}
		runPage(t, buildPage(t, "redis", "", here...), charges)
		runPage(t, buildPage(t, "redis", "New", here...), holding, "REDIS_PASSWORD="+password)
		runPage(t, buildPage(t, "redis", "Open", "redis.internal:6379", s.TLSAddr(),
			"/run/secrets/redis", passwordFile(t), "/etc/fencelock/ca.pem", files.CA), "promises: advisory")
	})
	t.Run("redis by Sentinels", func(t *testing.T) {
		t.Parallel()
		const sentinels = "s3cret" // a configuration file has it
		s := servers.StartSentinels(t, servers.Redis, servers.SentinelPassword(sentinels))
		for _, one := range s.Servers {
			redisUser(t, one.Addr())
		}
		of := s.SentinelAddrs()
		file := filepath.Join(t.TempDir(), "sentinels")
		if err := os.WriteFile(file, []byte(sentinels), 0o600); err != nil {
			t.Fatal(err)
		}
		runPage(t, buildPage(t, "redis", "NewFailover", "mymaster", servers.MasterName,
			"localhost:26379", of[0], "localhost:26380", of[1], "localhost:26381", of[2]), holding, "REDIS_PASSWORD="+password, "SENTINEL_PASSWORD="+sentinels)
		// With TLS the Sentinels would tell a port for TLS, where the program above has none.
		runPage(t, buildPage(t, "redis", "Open_sentinel", "rediss+sentinel:", "redis+sentinel:", "&ca=/etc/fencelock/ca.pem", "",
			"s1.internal,s2.internal,s3.internal/mymaster", strings.Join(of, ",")+"/"+servers.MasterName,
			"/run/secrets/redis", passwordFile(t), "/run/secrets/sentinel", file), "promises: advisory")
	})
	t.Run("redis Cluster", func(t *testing.T) {
		t.Parallel()
		c := servers.StartRedisCluster(t, servers.Redis, 3, servers.TLS(), servers.Args("--tls-auth-clients", "no"))
		for _, n := range c.Nodes {
			redisUser(t, n.Addr())
		}
		a, b, d := c.Nodes[0].Server, c.Nodes[1].Server, c.Nodes[2].Server
		files := locktest.CertificateFiles(t, a.TLSAddr(), a.TLSConfig())
		runPage(t, buildPage(t, "redis", "New_cluster", "localhost:7001", a.Addr(), "localhost:7002", b.Addr(), "localhost:7003", d.Addr()),
			holding, "REDIS_PASSWORD="+password)
		runPage(t, buildPage(t, "redis", "Open_cluster", "r1.internal,r2.internal,r3.internal", strings.Join([]string{a.TLSAddr(), b.TLSAddr(), d.TLSAddr()}, ","),
			"/run/secrets/redis", passwordFile(t), "/etc/fencelock/ca.pem", files.CA), "promises: advisory")
	})
	t.Run("etcd", func(t *testing.T) {
		t.Parallel()
		s := servers.Start(t, servers.Etcd, servers.TLS(), servers.Args("--auth-token", "simple"))
		files := locktest.CertificateFiles(t, s.TLSAddr(), s.TLSConfig())
		here := []string{"localhost:2379", s.Addr()}
		runPage(t, buildPage(t, "etcd", "", here...), charges)
		runPage(t, buildPage(t, "etcd", "New", here...), holding)
		etcdUser(t, s.Addr(), "locks", "billing/")
		runPage(t, buildPage(t, "etcd", "Open", "etcd-1.internal,etcd-2.internal,etcd-3.internal", s.TLSAddr(),
			"/run/secrets/etcd", passwordFile(t),
			"/etc/fencelock/ca.pem", files.CA, "/etc/fencelock/cert.pem", files.Cert, "/etc/fencelock/key.pem", files.Key), "promises: linearizable")
	})
	t.Run("zookeeper", func(t *testing.T) {
		t.Parallel()
		s := servers.Start(t, servers.ZooKeeper, servers.TLS())
		files := locktest.CertificateFiles(t, s.TLSAddr(), s.TLSConfig())
		here := []string{"localhost:2181", s.Addr()}
		runPage(t, buildPage(t, "zookeeper", "", here...), charges)
		secrets := []string{"/etc/fencelock/ca.pem", files.CA, "/etc/fencelock/cert.pem", files.Cert, "/etc/fencelock/key.pem", files.Key}
		runPage(t, buildPage(t, "zookeeper", "New", append(secrets, "zk-1.internal:2281", s.TLSAddr(), "zk-2.internal:2281", s.TLSAddr(),
			"zk-3.internal:2281", s.TLSAddr())...), holding, "ZOOKEEPER_PASSWORD="+password)
		runPage(t, buildPage(t, "zookeeper", "Open", append(secrets, "zk-1.internal,zk-2.internal,zk-3.internal", s.TLSAddr())...),
			"promises: linearizable", "ZOOKEEPER_PASSWORD="+password)
	})
	t.Run("raftlocal", func(t *testing.T) {
		t.Parallel()
		files := locktest.NewAuthority(t).Issue(t, t.TempDir())
		pem := []string{"/etc/fencelock/ca.pem", files.CA, "/etc/fencelock/cert.pem", files.Cert, "/etc/fencelock/key.pem", files.Key}
		var hosts []string
		for range 3 {
			hosts = append(hosts, "localhost:"+freePort(t))
		}
		base := t.TempDir()
		var members []*exec.Cmd
		var says []*bufio.Scanner
		for _, id := range []string{"a", "b", "c"} {
			program := buildPage(t, "raftlocal", "Open", append(pem, "/var/lib/app/locks", filepath.Join(base, id), "id=a&", "id="+id+"&",
				"h1.internal:7300", hosts[0], "h2.internal:7300", hosts[1], "h3.internal:7300", hosts[2])...)
			m, out := startPage(t, program)
			members, says = append(members, m), append(says, out)
		}
		for _, out := range says {
			if !out.Scan() || out.Text() != charges {
				t.Fatalf("a member says %q, want %q", out.Text(), charges)
			}
		}
		runPage(t, buildPage(t, "raftlocal", "Open_client", append(pem, "h1.internal,h2.internal,h3.internal", strings.Join(hosts, ","))...), charges)
		runPage(t, buildPage(t, "raftlocal", "New", append(pem, "h1.internal:7300", hosts[0], "h2.internal:7300", hosts[1], "h3.internal:7300", hosts[2])...), holding)
		for _, m := range members {
			if err := m.Process.Signal(syscall.SIGTERM); err != nil {
				t.Error(err)
			}
		}
		for i, m := range members {
			if err := m.Wait(); err != nil {
				t.Errorf("member %d: %v", i+1, err)
			}
		}
	})
}

const password = "p/@ss word"

// redisUser has a server know the user of the pages.
func redisUser(t *testing.T, addr string) {
	t.Helper()
	admin := goredis.NewClient(&goredis.Options{Addr: addr})
	defer admin.Close()
	if err := admin.Do(t.Context(), "ACL", "SETUSER", "locks", "on", ">"+password, "~billing:*", "&billing:c:*", "+@all").Err(); err != nil {
		t.Fatal(err)
	}
}

func passwordFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// etcdUser switches authentication on, and lets a user do what a prefix is for.
func etcdUser(t *testing.T, addr, name, prefix string) {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{addr}, DialTimeout: soon, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, do := range []func() error{
		func() error { _, err := c.UserAdd(t.Context(), "root", password); return err },
		func() error { _, err := c.UserGrantRole(t.Context(), "root", "root"); return err },
		func() error { _, err := c.UserAdd(t.Context(), name, password); return err },
		func() error { _, err := c.RoleAdd(t.Context(), name); return err },
		func() error {
			_, err := c.RoleGrantPermission(t.Context(), name, prefix, clientv3.GetPrefixRangeEnd(prefix), clientv3.PermissionType(clientv3.PermReadWrite))
			return err
		},
		func() error { _, err := c.UserGrantRole(t.Context(), name, name); return err },
		func() error { _, err := c.AuthEnable(t.Context()); return err },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// buildPage builds the program that the page of a backend shows for an example, with old
// text replaced by new, and returns its path.
func buildPage(t *testing.T, backend, example string, oldnew ...string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("../../backend", backend, "example*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	fset := token.NewFileSet()
	for _, name := range names {
		file, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	for _, e := range doc.Examples(files...) {
		if e.Name != example || e.Play == nil {
			continue
		}
		var text strings.Builder
		if err := format.Node(&text, fset, e.Play); err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(oldnew); i += 2 {
			if !strings.Contains(text.String(), oldnew[i]) {
				t.Fatalf("Example%s of %s does not have %q any more", example, backend, oldnew[i])
			}
		}
		dir := t.TempDir()
		source, program := filepath.Join(dir, "main.go"), filepath.Join(dir, "program")
		if err := os.WriteFile(source, []byte(strings.NewReplacer(oldnew...).Replace(text.String())), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, source).CombinedOutput(); err != nil {
			t.Fatalf("Example%s of %s as a program: %v\n%s", example, backend, err, out)
		}
		return program
	}
	t.Fatalf("no Example%s of %s", example, backend)
	return ""
}

// runPage wants a program to end well and to say something.
func runPage(t *testing.T, program, want string, env ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	run := exec.CommandContext(ctx, program)
	run.Env = append(os.Environ(), env...)
	out, err := run.CombinedOutput()
	if err != nil || !strings.Contains(string(out), want) {
		t.Errorf("it ended with %v; want it to say %q; it said\n%s", err, want, out)
	}
}

// startPage starts a program that runs until it is told to end. What it says on standard output
// is read by the returned scanner.
func startPage(t *testing.T, program string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	c := exec.CommandContext(t.Context(), program)
	c.Stderr = t.Output()
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewScanner(out)
}
