package raftlocal

import (
	"errors"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/testcert"
)

// parse reads a URL as fencelock.Open does, which lets it have several hosts.
func parse(t *testing.T, raw string) (Options, error) {
	t.Helper()
	scheme, rest, _ := strings.Cut(raw, "://")
	end := len(rest)
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		end = i
	}
	u, err := url.Parse(scheme + "://x" + rest[end:])
	if err != nil {
		t.Fatal(err)
	}
	u.Host = rest[:end]
	o, err := ParseURL(u)
	return o.value(), err
}

const three = "peers=a=h1:1,b=h2:2,c=h3:3&cluster=c&insecure=true"

func TestParseURL(t *testing.T) {
	peers := []Peer{{"a", "h1:1"}, {"b", "h2:2"}, {"c", "h3:3"}}
	for raw, want := range map[string]Options{
		"raft:///var/lib/locks":                       {Dir: "/var/lib/locks"},
		"raft:///var/lib/locks?namespace=billing":     {Dir: "/var/lib/locks", Namespace: "billing"},
		"raft:///var/lib/locks?group=locks":           {Dir: "/var/lib/locks", Group: "locks"},
		"raft:///var/lib/locks?group=1600":            {Dir: "/var/lib/locks", Group: "1600"},
		"raft://unix:/var/lib/locks/socket":           {Socket: "/var/lib/locks/socket"},
		"raft://unix:/d/socket?namespace=n":           {Socket: "/d/socket", Namespace: "n"},
		"raft://unix:///d/my%20dir/socket":            {Socket: "/d/my dir/socket"},
		"raftmem://tests":                             {Memory: "tests"},
		"raft://h1,h2:7,[::1]:8?insecure=true":        {Hosts: []string{"h1:7300", "h2:7", "[::1]:8"}, Insecure: true},
		"raft://h1/?insecure=true&cluster=c":          {Hosts: []string{"h1:7300"}, Insecure: true, Cluster: "c"},
		"raft:///d?id=b&" + three:                     {Dir: "/d", ID: "b", Peers: peers, Listen: "h2:2", Cluster: "c", Insecure: true},
		"raft:///d?id=b&listen=:9&join=true&" + three: {Dir: "/d", ID: "b", Peers: peers, Listen: ":9", Cluster: "c", Insecure: true, Join: true},
		"raft:///d?id=a&peers=a=unix:/s/a&cluster=c&insecure=true": {
			Dir: "/d", ID: "a", Peers: []Peer{{"a", "unix:/s/a"}}, Listen: "unix:/s/a", Cluster: "c", Insecure: true,
		},
	} {
		if want.Namespace == "" {
			want.Namespace = "fencelock"
		}
		if got, err := parse(t, raw); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", raw, got, err, want)
		}
	}
}

// Each mistake gets an error that names the part and the cure.
func TestParseURLRefuses(t *testing.T) {
	for raw, words := range map[string]string{
		"raft://":                                                  "raft:///dir",
		"raft:///":                                                 "directory is missing",
		"raft:///d?namspace=x":                                     `"namspace"`,
		"raft:///d?namespace=":                                     "empty",
		"raft:///d?namespace=a/b":                                  "namespace",
		"raft:///d?listen=:1":                                      "id= is missing",
		"raft:///d?cluster=c":                                      "id= is missing",
		"raft:///d?id=&" + three:                                   "id= is empty",
		"raft:///d?id=d&" + three:                                  "not one of peers=",
		"raft:///d?id=a&cluster=c&insecure=true":                   "peers= is missing",
		"raft:///d?id=a&peers=a=h:1&insecure=true":                 "cluster= is missing",
		"raft:///d?id=a&peers=a=h:1&cluster=c":                     "insecure=true",
		"raft:///d?id=a&listen=nonsense&" + three:                  "listen=",
		"raft:///d?id=a&join=yes&" + three:                         "true or false",
		"raft:///d?id=a&insecure=true&cluster=c&peers=a=h:1,a=h:2": "twice",
		"raft:///d?id=a&insecure=true&cluster=c&peers=a=h:1,b=h:1": "one address",
		"raft:///d?id=a&insecure=true&cluster=c&peers=a=h":         "host:port",
		"raft:///d?id=a&insecure=true&cluster=c&peers=a=:1":        "host:port",
		"raft:///d?id=a&insecure=true&cluster=c&peers=a=unix:s":    "unix:/path",
		"raft:///d?id=a&insecure=true&cluster=c&peers=a":           "name=host:port",
		"raft:///d?id=a&insecure=true&cluster=c c&peers=a=h:1":     "cluster=",
		"raft://h1,h2":                                             "ca=, cert= and key=",
		"raft://h1,h2?ca=/x":                                       "cert= is missing",
		"raft://h1?ca=/x&cert=/y&key=/z":                           "ca=",
		"raft://h1?insecure=true&peers=a=h:1":                      `"peers"`,
		"raft://h1/dir?insecure=true":                              "hosts and a path",
		"raft://h1:x?insecure=true":                                "port",
		"raft:///d?group=":                                         "group= is empty",
		"raft:///d?id=a&group=g&" + three:                          "group= is for a directory",
		"raft://h1?group=g&insecure=true":                          `"group"`,
		"raftmem://x?group=g":                                      `"group"`,
		"raft://unix:":                                             "the path of the socket is missing",
		"raft://unix:/":                                            "the path of the socket is missing",
		"raft://unix:/s?group=g":                                   `"group"`,
		"raft://unix:/s?insecure=true":                             `"insecure"`,
		"raft://unix:/s?cluster=c":                                 `"cluster"`,
		"raft://unix/s?insecure=true":                              "raft://unix:/path",
		"raftmem://":                                               "raftmem://name",
		"raftmem://x?cluster=c":                                    `"cluster"`,
	} {
		_, err := parse(t, raw)
		if !errors.Is(err, fencelock.ErrInvalid) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want ErrInvalid with %q", raw, err, words)
		}
	}
}

func TestParseURLWithCertificates(t *testing.T) {
	a, err := testcert.NewAuthority("test")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := a.Issue(nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := a.Write(t.TempDir(), cert)
	if err != nil {
		t.Fatal(err)
	}
	files := "ca=" + f.CA + "&cert=" + f.Cert + "&key=" + f.Key
	c, err := parse(t, "raft://h1?server_name=n&"+files)
	if err != nil || c.Certificates == nil || c.TLS != nil || c.Certificates.Config("h1").ServerName != "n" {
		t.Errorf("got %+v, %v", c, err)
	}
	if _, err := parse(t, "raft://h1?insecure=true&"+files); err == nil || !strings.Contains(err.Error(), "contradict") {
		t.Errorf("TLS and insecure: %v", err)
	}
}

func TestCheckFounders(t *testing.T) {
	for n, word := range map[int]string{1: "", 2: "begin with 1 or 3", 3: "", 4: "begin with 3 or 5", 5: "", 7: "", 9: "clients"} {
		err := checkInitialMembers(n)
		if (err == nil) != (word == "") || err != nil && !strings.Contains(err.Error(), word) {
			t.Errorf("%d members: %v", n, err)
		}
	}
}
