package fencelock

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/fencelock/fencelock/fencing"
	"github.com/fencelock/fencelock/internal/nearest"
)

// parseURL is url.Parse for URLs that may name several hosts, like
// etcd://h1:2379,h2,[::1]:2379/x. url.Parse takes such a list as one host, and
// only as long as it looks like one.
func parseURL(rawURL string) (*url.URL, error) {
	scheme, rest, ok := strings.Cut(rawURL, "://")
	if !ok {
		return url.Parse(rawURL)
	}
	end := len(rest)
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		end = i
	}
	start := strings.LastIndexByte(rest[:end], '@') + 1
	hosts := rest[start:end]
	if !strings.Contains(hosts, ",") {
		return url.Parse(rawURL)
	}
	if strings.ContainsAny(hosts, " %\"<>\\^`{|}") {
		return nil, errors.New("a host has a character that hosts do not have")
	}
	u, err := url.Parse(scheme + "://" + rest[:start] + "hosts" + rest[end:])
	if err == nil {
		u.Host = hosts
	}
	return u, err
}

// mergeNamespace moves Options.Namespace into the URL, where backends look.
func mergeNamespace(u *url.URL, o *Options) error {
	if o.Namespace == "" {
		return nil
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errors.New("the URL's query cannot be parsed")
	}
	if q.Has("namespace") && q.Get("namespace") != o.Namespace {
		return fmt.Errorf("Options.Namespace is %q, and the URL says namespace=%q: set one of them", o.Namespace, q.Get("namespace"))
	}
	q.Set("namespace", o.Namespace)
	u.RawQuery = q.Encode()
	o.Namespace = ""
	return nil
}

// mergeTokenBase moves token_base= from the URL, where no backend looks, into the options.
func mergeTokenBase(u *url.URL, o *Options) error {
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errors.New("the URL's query cannot be parsed")
	}
	if !q.Has("token_base") {
		return nil
	}
	if len(q["token_base"]) > 1 {
		return errors.New("the URL's token_base is given more than once: leave one")
	}
	base, err := parseTokenBase(q.Get("token_base"))
	if err != nil {
		return err
	}
	if o.TokenBase != 0 && o.TokenBase != base {
		return fmt.Errorf("Options.TokenBase is %v, and the URL says token_base=%v: set one of them", o.TokenBase, base)
	}
	o.TokenBase = base
	q.Del("token_base")
	u.RawQuery = q.Encode()
	return nil
}

func parseTokenBase(s string) (fencing.Token, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the URL's token_base is %q: write a decimal number from 0 to %v, such as 2000000000000000", s, maxTokenBase)
	}
	return fencing.Token(n), checkTokenBase("the URL's token_base", fencing.Token(n))
}

// A URL comes from a file, a template or another program's settings, and is wrong in the ways
// that are theirs. Errors name the mistake and the cure. They quote no part of a URL but its
// scheme, its port and the names of its parameters: the rest may be, or be near, a password.

// homes are the packages below backend/ where the schemes of this project are at home.
var homes = map[string]string{
	"redis": "redis", "rediss": "redis", "unix": "redis", "redis+sentinel": "redis", "rediss+sentinel": "redis",
	"redis+cluster": "redis", "rediss+cluster": "redis",
	"redlock": "redis/redlock", "redlocks": "redis/redlock",
	"etcd": "etcd", "etcds": "etcd",
	"zookeeper": "zookeeper", "zookeepers": "zookeeper",
	"raft": "raftlocal", "raftmem": "raftlocal",
	"mem": "mem",
}

// otherNames are what others call our schemes.
var otherNames = map[string]string{
	"zk": "zookeeper", "zks": "zookeepers",
	"memory": "mem", "inmemory": "mem", "inmem": "mem", "local": "mem",
	"raftlocal": "raft", "rafts": "raft", "file": "raft", "dir": "raft",
	"valkey": "redis", "valkeys": "rediss", "keydb": "redis", "dragonfly": "redis",
	"redis+redlock": "redlock", "rediss+redlock": "redlocks",
	"sentinel": "redis+sentinel", "redis-sentinel": "redis+sentinel", "rediss-sentinel": "rediss+sentinel",
	"valkey+sentinel": "redis+sentinel", "valkeys+sentinel": "rediss+sentinel", "valkey-sentinel": "redis+sentinel",
	"redis-cluster": "redis+cluster", "rediss-cluster": "rediss+cluster",
	"valkey+cluster": "redis+cluster", "valkeys+cluster": "rediss+cluster", "valkey-cluster": "redis+cluster",
	"redis+unix": "unix", "redis+socket": "unix", "redis-socket": "unix",
	"etcd3": "etcd", "etcdv3": "etcd",
}

// strangers are what people look for that is not to come soon.
var strangers = map[string]string{
	"consul": "Consul", "postgres": "PostgreSQL", "postgresql": "PostgreSQL", "pgx": "PostgreSQL",
	"mysql": "MySQL", "mariadb": "MariaDB", "sqlserver": "SQL Server", "cockroachdb": "CockroachDB",
	"dynamodb": "DynamoDB", "mongodb": "MongoDB", "mongodb+srv": "MongoDB", "memcached": "Memcached", "memcache": "Memcached",
	"nats": "NATS", "kafka": "Kafka", "s3": "S3", "gs": "Google Cloud Storage", "azblob": "Azure Blob Storage",
	"k8s": "Kubernetes", "kubernetes": "Kubernetes", "hazelcast": "Hazelcast", "vault": "Vault", "amqp": "AMQP",
	"sqlite": "SQLite", "sqlite3": "SQLite",
}

// usual are the schemes of the ports by which servers are known.
var usual = map[string]string{"6379": "redis", "6380": "redis", "26379": "redis+sentinel", "2379": "etcd", "2181": "zookeeper", "2281": "zookeeper", "7300": "raft"}

// backends are what can be written for a server that we know nothing of.
const backends = "redis://host:6379, redis+sentinel://s1,s2,s3/mymaster, redis+cluster://h1,h2,h3, redlock://h1,h2,h3, etcd://host:2379, zookeeper://host:2181, raft:///directory or mem://"

// misread says what is wrong with a URL as it is written, before anybody parses it.
func misread(raw string) error {
	text := strings.TrimSpace(raw)
	const quotes = "\"'`"
	switch {
	case text == "":
		return errors.New("the URL is empty: write " + backends + ". Is the variable or the setting there that it comes from?")
	case strings.ContainsAny(text[:1], quotes) || strings.ContainsAny(text[len(text)-1:], quotes):
		return errors.New("the URL has quotes around it: take them off, where the environment or a file gives it with them")
	case text[0] == '$' || strings.Contains(text, "${") || strings.Contains(text, "{{"):
		return errors.New("the URL has $, ${ or {{ in it, as for a variable whose value nobody has put in: expand it first (in a password write %24%7B)")
	case strings.Contains(text, "://<"):
		return errors.New("the URL has < and > in it, as for a variable whose value nobody has put in: write the name of the host")
	case severalURLs(text):
		return errors.New("there are two URLs or more: give one. Several hosts have one scheme, as in etcd://h1:2379,h2:2379 or redlock://h1,h2,h3")
	case text != raw:
		return errors.New("the URL has a blank or a newline before or after it, as from a file: cut it off (strings.TrimSpace)")
	}
	return nil
}

// severalURLs reports whether there is a :// more than one URL has before its query.
func severalURLs(text string) bool {
	address, _, _ := strings.Cut(text, "?")
	return strings.Count(address, "://") > 1
}

var portOf = regexp.MustCompile(`:([0-9]+)(?:[,/?]|$)`)

// schemeFor is the scheme for the port that an address has, or "".
func schemeFor(address string) string {
	if m := portOf.FindStringSubmatch(address); m != nil {
		return usual[m[1]]
	}
	return ""
}

// schemeless is the error of a URL without a scheme, or without the slashes after it.
func schemeless(raw string) error {
	scheme, _, _ := strings.Cut(raw, ":")
	scheme = strings.ToLower(scheme)
	switch {
	case homes[scheme] != "":
		return fmt.Errorf("the URL has no slashes after its scheme: write %s://, as in %s", scheme, example(scheme))
	case schemeFor(raw) != "":
		return fmt.Errorf("the URL has no scheme: write it before the host, as in %s", example(schemeFor(raw)))
	case strings.HasPrefix(raw, ".") || strings.HasPrefix(raw, "/") && !strings.HasPrefix(raw, "//"):
		return errors.New("the URL has no scheme: for locks in a directory write raft:///path, for the socket of Redis unix:///path")
	}
	return errors.New("the URL has no scheme: write " + backends)
}

// example is a URL of a scheme of ours.
func example(scheme string) string {
	return map[string]string{
		"redis": "redis://host:6379", "rediss": "rediss://host:6379", "unix": "unix:///run/redis.sock",
		"redis+sentinel": "redis+sentinel://s1,s2,s3/mymaster", "rediss+sentinel": "rediss+sentinel://s1,s2,s3/mymaster",
		"redis+cluster": "redis+cluster://h1:6379,h2:6379,h3:6379", "rediss+cluster": "rediss+cluster://h1:6379,h2:6379,h3:6379",
		"redlock": "redlock://h1:6379,h2:6379,h3:6379", "redlocks": "redlocks://h1:6379,h2:6379,h3:6379",
		"etcd": "etcd://host:2379", "etcds": "etcds://host:2379",
		"zookeeper": "zookeeper://host:2181", "zookeepers": "zookeepers://host:2281",
		"raft": "raft:///directory or raft://h1,h2,h3", "raftmem": "raftmem://name", "mem": "mem://",
	}[scheme]
}

// unknownScheme is the error of a URL with a scheme that is not registered. known are those that
// are.
func unknownScheme(u *url.URL, known string) error {
	scheme := u.Scheme
	web := scheme == "http" || scheme == "https"
	meant := cmp.Or(otherNames[scheme], withTLS(scheme))
	if web || scheme == "tcp" {
		meant = schemeFor(u.Host)
		if scheme == "https" && meant != "" && homes[meant+"s"] != "" {
			meant += "s"
		}
	}
	switch {
	case homes[scheme] != "":
		return fmt.Errorf("the package of %s:// is not imported: import %s (registered: %s)", scheme, importOf(scheme), known)
	case strangers[scheme] != "":
		return fmt.Errorf("URL scheme %q: there is no backend for %s; there are %s", scheme, strangers[scheme], backends)
	case scheme == "rafts":
		return fmt.Errorf("unknown URL scheme %q: write raft://, which has TLS where the URL has ca=, cert= and key= (registered: %s)", scheme, known)
	case meant == "":
		meant = nearest.Word(scheme, sortedKeys(homes))
	}
	switch {
	case meant == "":
		return fmt.Errorf("unknown URL scheme %q: write %s. A backend must have been imported: registered are %s", scheme, backends, known)
	case strings.Contains(", "+known+",", ", "+meant+","):
		return fmt.Errorf("unknown URL scheme %q: write %s (registered: %s)", scheme, example(meant), known)
	}
	return fmt.Errorf("unknown URL scheme %q: write %s, and import %s (registered: %s)", scheme, example(meant), importOf(meant), known)
}

// withTLS is the scheme of ours for one that says in its own way that there is TLS; or "".
func withTLS(scheme string) string {
	for _, end := range []string{"+tls", "+ssl", "-tls", "-ssl"} {
		if plain, ok := strings.CutSuffix(scheme, end); ok {
			plain = cmp.Or(otherNames[plain], plain)
			if homes[plain+"s"] != "" {
				return plain + "s"
			}
		}
	}
	return ""
}

func importOf(scheme string) string {
	return `_ "github.com/fencelock/fencelock/backend/` + homes[scheme] + `"`
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
