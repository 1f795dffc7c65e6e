// Package inputs_test has what people get wrong: URLs, options, arguments. It imports every
// backend, and needs no server.
package inputs_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	_ "github.com/fencelock/fencelock/backend/etcd"
	_ "github.com/fencelock/fencelock/backend/mem"
	_ "github.com/fencelock/fencelock/backend/raftlocal"
	_ "github.com/fencelock/fencelock/backend/redis"
	_ "github.com/fencelock/fencelock/backend/redis/redlock"
	_ "github.com/fencelock/fencelock/backend/zookeeper"
	"github.com/fencelock/fencelock/integration/internal/locktest"
)

// secret is a password that no error may show.
const secret = "hunter2-s3cret"

// moment is more than it takes to see that a URL is wrong: nobody is asked for that.
var moment = 2 * locktest.Slack

type input struct {
	url  string
	opts fencelock.Options
	kind error
	says []string // the part that is wrong, and the cure
}

var invalid = fencelock.ErrInvalid

// urls are URLs that are wrong in form.
var urls = []input{
	{url: "", kind: invalid, says: []string{"empty", "redis://host:6379"}},
	{url: " \n", kind: invalid, says: []string{"empty", "redis://host:6379"}},
	{url: " redis://localhost:6379", kind: invalid, says: []string{"blank", "TrimSpace"}},
	{url: "redis://:" + secret + "@localhost:6379\n", kind: invalid, says: []string{"newline", "TrimSpace"}},
	{url: `"redis://:` + secret + `@localhost:6379"`, kind: invalid, says: []string{"quotes", "environment"}},
	{url: `'etcd://localhost'`, kind: invalid, says: []string{"quotes"}},
	{url: "redis://:${" + secret + "}@localhost", kind: invalid, says: []string{"${", "variable", "%24%7B"}},
	{url: "${FENCELOCK_URL}", kind: invalid, says: []string{"${", "variable"}},
	{url: "$FENCELOCK_URL", kind: invalid, says: []string{"$", "variable"}},
	{url: "redis://{{ .Values.host }}:6379", kind: invalid, says: []string{"{{", "variable"}},
	{url: "redis://<host>:6379", kind: invalid, says: []string{"<", "variable"}},
	{url: "redis://a:6379 redis://b:6379", kind: invalid, says: []string{"two URLs", "one"}},
	{url: "redis://:" + secret + "@a,redis://b", kind: invalid, says: []string{"two URLs", "one"}},
	{url: "etcd://a:2379,etcd://b:2379", kind: invalid, says: []string{"two URLs", "etcd://h1:2379,h2:2379"}},
	{url: "mem://;mem://", kind: invalid, says: []string{"two URLs", "one"}},
	{url: "localhost", kind: invalid, says: []string{"scheme", "redis://host:6379", "etcd://host:2379", "zookeeper://host:2181"}},
	{url: "localhost:6379", kind: invalid, says: []string{"scheme", "redis://host:6379"}},
	{url: "127.0.0.1:2379", kind: invalid, says: []string{"scheme", "etcd://host:2379"}},
	{url: "user:" + secret + "@host:6379", kind: invalid, says: []string{"scheme", "redis://host:6379"}},
	{url: "zk1:2181,zk2:2181/locks", kind: invalid, says: []string{"scheme", "zookeeper://host:2181"}},
	{url: "/var/lib/locks", kind: invalid, says: []string{"scheme", "raft:///", "unix:///"}},
	{url: "./locks", kind: invalid, says: []string{"scheme", "raft:///", "unix:///"}},
	{url: "//localhost:6379", kind: invalid, says: []string{"scheme", "redis://host:6379"}},
	{url: "redis:localhost:6379", kind: invalid, says: []string{"redis://", "slashes"}},
	{url: "redis:/localhost:6379", kind: invalid, says: []string{"host", "redis://host:6379"}},
	{url: "redis://user:" + secret + "%zz@host", kind: invalid, says: []string{"parsed", "percent-encoded"}},
	{url: "redis://user:" + secret + "/x@host", kind: invalid, says: []string{"parsed", "percent-encoded"}},
	{url: "redis://host:port", kind: invalid, says: []string{"port", "number"}},
	{url: "redis://host:70000", kind: invalid, says: []string{"70000", "1 to 65535"}},
	{url: "redis://", kind: invalid, says: []string{"host", "redis://host:6379"}},
	{url: "etcd:///", kind: invalid, says: []string{"host", "etcd://host:2379"}},
	{url: "zookeeper://", kind: invalid, says: []string{"host", "zookeeper://host:2181"}},
	{url: "redis://a,b", kind: invalid, says: []string{"several hosts", "one server"}},
	{url: "zookeeper://a,,b", kind: invalid, says: []string{"empty", "zookeeper://"}},
	{url: "redlock://", kind: invalid, says: []string{"host", "redlock://", "several"}},
	{url: "redlock://:" + secret + "@h1", kind: invalid, says: []string{"3, 5 or 7", "redis://"}},
	{url: "redlock://h1,h2", kind: invalid, says: []string{"2 hosts", "3, 5 or 7"}},
	{url: "redlock://h1,h2,h3,h4", kind: invalid, says: []string{"4 hosts", "3, 5 or 7", "majority of 4 is 3"}},
	{url: "redlock://h1,h2,h3,h4,h5,h6,h7,h8,h9", kind: invalid, says: []string{"3, 5 or 7"}},
	{url: "redlock://h1,,h3", kind: invalid, says: []string{"empty", "redlock://"}},
	{url: "redlock://h1,h2,h1", kind: invalid, says: []string{"h1", "twice"}},
	{url: "redlock://h1,h2:6379,h2", kind: invalid, says: []string{"h2", "twice"}},
	{url: "redlock://h1,h2:70000,h3", kind: invalid, says: []string{"70000", "1 to 65535"}},
	{url: "redlock://h1,redlock://h2", kind: invalid, says: []string{"two URLs", "one"}},
	{url: "redlock://h1,h2,h3/zero", kind: invalid, says: []string{"database", "number"}},
	{url: "redis://host/zero", kind: invalid, says: []string{"database", "number"}},
	{url: "unix://run/redis.sock", kind: invalid, says: []string{"unix:///"}},
	{url: "mem://x/orders", kind: invalid, says: []string{"mem://name"}},
	{url: "mem://user:" + secret + "@x", kind: invalid, says: []string{"mem://name"}},
}

// schemes are those that nobody has registered.
var schemes = []input{
	{url: "zk://:" + secret + "@localhost", kind: invalid, says: []string{`"zk"`, "zookeeper://"}},
	{url: "zookeper://localhost", kind: invalid, says: []string{`"zookeper"`, "zookeeper://"}},
	{url: "zookeeper+tls://localhost", kind: invalid, says: []string{"zookeepers://"}},
	{url: "redsi://user:" + secret + "@host", kind: invalid, says: []string{`"redsi"`, "redis://"}},
	{url: "tcp://127.0.0.1:6379", kind: invalid, says: []string{`"tcp"`, "redis://"}},
	{url: "http://127.0.0.1:2379", kind: invalid, says: []string{`"http"`, "etcd://"}},
	{url: "https://127.0.0.1:2379", kind: invalid, says: []string{`"https"`, "etcds://"}},
	{url: "http://example.com", kind: invalid, says: []string{`"http"`, "redis", "etcd", "zookeeper", "raft"}},
	{url: "consul://localhost:8500", kind: invalid, says: []string{"no backend for Consul", "redis", "etcd"}},
	{url: "postgres://u:" + secret + "@localhost/db", kind: invalid, says: []string{"no backend for PostgreSQL", "redis", "etcd"}},
	{url: "postgresql://localhost/db", kind: invalid, says: []string{"no backend for PostgreSQL"}},
	{url: "mysql://localhost/db", kind: invalid, says: []string{"no backend for MySQL"}},
	{url: "dynamodb://table", kind: invalid, says: []string{"no backend for DynamoDB"}},
	{url: "sqlite://file", kind: invalid, says: []string{"no backend for SQLite", "raft:///"}},
	{url: "redis-sentinel://h:26379/mymaster", kind: invalid, says: []string{"redis+sentinel://s1,s2,s3/mymaster"}},
	{url: "redis+sentinel://:" + secret + "@h:26379", kind: invalid, says: []string{"master", "path", "/mymaster"}},
	{url: "redis-cluster://h1,h2,h3", kind: invalid, says: []string{"redis+cluster://h1:6379,h2:6379,h3:6379"}},
	{url: "redis+cluster://:" + secret + "@h1,h2/1", kind: invalid, says: []string{"database"}},
	{url: "redlocked://h1,h2,h3", kind: invalid, says: []string{`"redlocked"`, "redlock"}},
	{url: "redlock+tls://h1,h2,h3", kind: invalid, says: []string{"redlocks://"}},
	{url: "memory://", kind: invalid, says: []string{`"memory"`, "mem://"}},
	{url: "raftlocal:///dir", kind: invalid, says: []string{`"raftlocal"`, "raft://"}},
	{url: "rafts://h1,h2,h3", kind: invalid, says: []string{`"rafts"`, "raft://", "ca="}},
	{url: "file:///var/lib/locks", kind: invalid, says: []string{`"file"`, "raft://"}},
	{url: "valkey://localhost", kind: invalid, says: []string{`"valkey"`, "redis://"}},
	{url: "redis+tls://localhost", kind: invalid, says: []string{"rediss://"}},
	{url: "whatever://localhost", kind: invalid, says: []string{`"whatever"`, "redis", "etcd", "zookeeper", "raft", "mem"}},
}

// params are wrong parameters.
var params = []input{
	{url: "redis://localhost?ca=/ca.pem", kind: invalid, says: []string{`"ca"`, "TLS", "rediss://"}},
	{url: "etcd://localhost?cert=/c.pem&key=/k.pem", kind: invalid, says: []string{`"cert"`, "TLS", "etcds://"}},
	{url: "zookeeper://localhost?server_name=x", kind: invalid, says: []string{`"server_name"`, "TLS", "zookeepers://"}},
	{url: "redis://localhost?tls=true", kind: invalid, says: []string{`"tls"`, "rediss://"}},
	{url: "redis://localhost?sslmode=require", kind: invalid, says: []string{`"sslmode"`, "rediss://"}},
	{url: "rediss://localhost?ssl=true", kind: invalid, says: []string{`"ssl"`, "says already"}},
	{url: "unix:///run/redis.sock?ca=/ca.pem", kind: invalid, says: []string{`"ca"`, "a socket has none"}},
	{url: "redis://localhost?chroot=/x", kind: invalid, says: []string{`"chroot"`, "namespace="}},
	{url: "zookeeper://localhost?chroot=/x", kind: invalid, says: []string{`"chroot"`, "path"}},
	{url: "zookeeper://localhost?durable=true", kind: invalid, says: []string{`"durable"`, "redis://"}},
	{url: "redis://localhost?peers=a=h1", kind: invalid, says: []string{`"peers"`, "raft://"}},
	{url: "redis://localhost?db=1", kind: invalid, says: []string{`"db"`, "path"}},
	{url: "redis://localhost?namspace=a", kind: invalid, says: []string{`"namspace"`, "namespace="}},
	{url: "redis://localhost?Namespace=a", kind: invalid, says: []string{`"Namespace"`, "namespace="}},
	{url: "etcd://localhost?passwordfile=/p", kind: invalid, says: []string{`"passwordfile"`, "password_file="}},
	{url: "redis://localhost?tokenbase=3", kind: invalid, says: []string{`"tokenbase"`, "for token_base= perhaps"}},
	{url: "etcd://localhost?token-base=3", kind: invalid, says: []string{`"token-base"`, "for token_base= perhaps"}},
	{url: "zookeeper://localhost?Token_Base=3", kind: invalid, says: []string{`"Token_Base"`, "for token_base= perhaps"}},
	{url: "mem://?tokens=3", kind: invalid, says: []string{`"tokens"`, "known are namespace, token_base"}},
	{url: "raft:///d?tokenbase=3", kind: invalid, says: []string{`"tokenbase"`, "for token_base= perhaps"}},
	{url: "mem://?ttl=5s", kind: invalid, says: []string{`"ttl"`, "Options.TTL"}},
	{url: "redis://localhost?password=" + secret, kind: invalid, says: []string{`"password"`, "user:password@"}},
	{url: "redis://localhost?namespace=a&namespace=b", kind: invalid, says: []string{"namespace", "twice"}},
	{url: "mem://?namespace=a&namespace=b", kind: invalid, says: []string{"namespace", "twice"}},
	{url: "mem://?a;b", kind: invalid, says: []string{"query"}},
	{url: "redis://localhost?namespace=", kind: invalid, says: []string{"namespace", "empty"}},
	{url: "mem://?namespace=", kind: invalid, says: []string{"namespace", "empty"}},
	{url: "mem://?namespace=a/b", kind: invalid, says: []string{"namespace", "letters, digits"}},
	{url: "mem://?namespace=zookeeper", kind: invalid, says: []string{"namespace", "ZooKeeper"}},
	{url: "zookeeper://localhost?namespace=zookeeper", kind: invalid, says: []string{"namespace", "ZooKeeper"}},
	{url: "redis://localhost?durable=perhaps", kind: invalid, says: []string{"durable", "true or false"}},
	{url: "rediss://localhost?ca=/does/not/exist", kind: invalid, says: []string{"ca=", "no such file"}},
	{url: "rediss://localhost?cert=/c.pem", kind: invalid, says: []string{"cert= and key="}},
	{url: "redis://u:" + secret + "@localhost?password_file=/p", kind: invalid, says: []string{"password_file=", "one of them"}},
	{url: "redis://u@localhost?password_file=/does/not/exist", kind: invalid, says: []string{"password_file=", "no such file"}},
	{url: "redis://" + secret + "@localhost", kind: invalid, says: []string{"redis://:password@host", "password_file="}},
	{url: "rediss://u:@localhost", kind: invalid, says: []string{"rediss://user:password@host"}},
	{url: "etcd://user@localhost", kind: invalid, says: []string{"etcd://user:password@host", "password_file="}},
	{url: "etcd://:" + secret + "@localhost", kind: invalid, says: []string{"etcd://user:password@host"}},
	{url: "zookeeper://user@localhost", kind: invalid, says: []string{"zookeeper://user:password@host"}},
	{url: "zookeeper://:" + secret + "@localhost", kind: invalid, says: []string{"zookeeper://user:password@host"}},
	{url: "raft://h1,h2,h3/dir", kind: invalid, says: []string{"raft:///dir"}},
	{url: "redlock://h1,h2,h3?ca=/ca.pem", kind: invalid, says: []string{`"ca"`, "TLS", "redlocks://"}},
	{url: "redlock://h1,h2,h3?tls=true", kind: invalid, says: []string{`"tls"`, "redlocks://"}},
	{url: "redlock://h1,h2,h3?db=1", kind: invalid, says: []string{`"db"`, "path"}},
	{url: "redlock://h1,h2,h3?durable=true", kind: invalid, says: []string{`"durable"`, "of redis://"}},
	{url: "redlock://h1,h2,h3?tokens=false", kind: invalid, says: []string{`"tokens"`, "token="}},
	{url: "redlock://h1,h2,h3?token=perhaps", kind: invalid, says: []string{"token", "true or false"}},
	{url: "redlock://h1,h2,h3?maxttl=1m", kind: invalid, says: []string{`"maxttl"`, "max_ttl="}},
	{url: "redlock://h1,h2,h3?max_ttl=60", kind: invalid, says: []string{"max_ttl", "60", "1m"}},
	{url: "redlock://h1,h2,h3?max_ttl=1ms", kind: invalid, says: []string{"max_ttl", "1ms"}},
	{url: "redlock://h1,h2,h3?namespace=", kind: invalid, says: []string{"namespace", "empty"}},
	{url: "redlocks://h1,h2,h3?ca=/does/not/exist", kind: invalid, says: []string{"ca=", "no such file"}},
	{url: "redlock://" + secret + "@h1,h2,h3", kind: invalid, says: []string{"redlock://:password@", "password_file="}},
	{url: "redlock://u:" + secret + "@h1,h2,h3?password_file=/p", kind: invalid, says: []string{"password_file=", "one of them"}},
}

// options are right URLs with wrong options. None is asked for: the servers are not there.
var options = []input{
	{url: "redis://localhost:1", opts: fencelock.Options{RequireGuarantee: 99}, kind: invalid, says: []string{"Options.RequireGuarantee is 99", "Linearizable"}},
	{url: "mem://", opts: fencelock.Options{RequireGuarantee: 99}, kind: invalid, says: []string{"Options.RequireGuarantee is 99", "Linearizable"}},
	{url: "mem://", opts: fencelock.Options{RequireGuarantee: -1}, kind: invalid, says: []string{"Options.RequireGuarantee is -1", "Linearizable"}},
	{url: "mem://", opts: fencelock.Options{RequireFeatures: 1 << 7}, kind: invalid, says: []string{"Options.RequireFeatures", "0x80", "Fair"}},
	{url: "redis://localhost:1", opts: fencelock.Options{TTL: -time.Second}, kind: invalid, says: []string{"Options.TTL is -1s", "zero"}},
	{url: "mem://", opts: fencelock.Options{TTL: 50 * time.Millisecond}, kind: invalid, says: []string{"Options.TTL is 50ms", "1s", "24h"}},
	{url: "mem://", opts: fencelock.Options{TTL: 48 * time.Hour}, kind: invalid, says: []string{"Options.TTL is 48h", "24h"}},
	{url: "mem://", opts: fencelock.Options{TTL: 15}, kind: invalid, says: []string{"Options.TTL is 15ns", "1s"}},
	{url: "mem://", opts: fencelock.Options{Identity: strings.Repeat("x", 2000)}, kind: invalid, says: []string{"Options.Identity", "2000"}},
	{url: "mem://", opts: fencelock.Options{Identity: "\xff"}, kind: invalid, says: []string{"Options.Identity", "UTF-8"}},
	{url: "mem://", opts: fencelock.Options{Namespace: "a b"}, kind: invalid, says: []string{"namespace", "letters, digits"}},
	{url: "mem://?namespace=a", opts: fencelock.Options{Namespace: "b"}, kind: invalid, says: []string{"Options.Namespace", `"a"`, `"b"`}},
	{url: "mem://", opts: fencelock.Options{Namespace: strings.Repeat("n", 65)}, kind: invalid, says: []string{"namespace", "64"}},
	{url: "mem://", opts: fencelock.Options{Observer: (*deaf)(nil)}, kind: invalid, says: []string{"Options.Observer", "nil *inputs_test.deaf"}},
	{url: "mem://", opts: fencelock.Options{Logger: &slog.Logger{}}, kind: invalid, says: []string{"Options.Logger", "slog.New"}},
}

type deaf struct{ fencelock.Observer }

func TestWrongInputs(t *testing.T) {
	total := 0
	for _, table := range [][]input{urls, schemes, params, options} {
		for _, in := range table {
			total++
			began := time.Now()
			if in.opts.Logger == nil {
				in.opts.Logger = locktest.Silent
			}
			c, err := fencelock.Open(t.Context(), in.url, &in.opts)
			took := time.Since(began)
			if err == nil {
				_ = c.Close()
				t.Errorf("%q: Open works; want an error that says %q", in.url, in.says)
				continue
			}
			t.Logf("%-50q %v", in.url, err)
			in.check(t, err)
			if took > moment {
				t.Errorf("%q: it took %v to say %v", in.url, took, err)
			}
		}
	}
	if total < 60 {
		t.Errorf("%d rows", total)
	}
}

func (in input) check(t *testing.T, err error) {
	t.Helper()
	var e *fencelock.Error
	if !errors.As(err, &e) || e.Op != "open" {
		t.Errorf("%q: %v; want a *fencelock.Error of open", in.url, err)
	}
	if !errors.Is(err, in.kind) {
		t.Errorf("%q: %v; want %v", in.url, err, in.kind)
	}
	for _, w := range in.says {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q: %v; want an error that says %q", in.url, err, w)
		}
	}
	if strings.Contains(err.Error(), secret) {
		t.Errorf("%q: the error shows the password: %v", in.url, err)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("%q: the error has more than one line: %v", in.url, err)
	}
}

// TestSchemesHaveNoCase: Redis:// is redis://, as in a browser.
func TestSchemesHaveNoCase(t *testing.T) {
	c, err := fencelock.Open(t.Context(), "MEM://"+t.Name(), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}
