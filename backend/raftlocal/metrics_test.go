package raftlocal

import (
	"bufio"
	"crypto/tls"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// fetched is what a member answers to GET, over TLS if conf is not nil.
func fetched(t *testing.T, conf *tls.Config, url string) (code int, kind, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(within(t, 20*time.Second), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := (&http.Transport{DisableKeepAlives: true, TLSClientConfig: conf}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, answer.Header.Get("Content-Type"), string(b)
}

var (
	helpLine   = regexp.MustCompile(`^# HELP (fencelock_raft_[a-z_]+) ([A-Z0-9].*\.)$`)
	typeLine   = regexp.MustCompile(`^# TYPE (fencelock_raft_[a-z_]+) (gauge|counter|histogram)$`)
	sampleLine = regexp.MustCompile(`^(fencelock_raft_[a-z_]+)(\{[a-z]+="(?:[^"\\]|\\[\\"n])*"(?:,[a-z]+="(?:[^"\\]|\\[\\"n])*")*\})? ([0-9.e+-]+)$`)
)

// parseMetrics wants what Prometheus' text format asks for, and its conventions for names: each metric has HELP,
// TYPE and its samples, in this order and together, no series twice, counters end with _total and nothing else does, and
// a histogram's buckets rise to its count.
func parseMetrics(t *testing.T, text string) map[string]float64 {
	t.Helper()
	if !strings.HasSuffix(text, "\n") {
		t.Error("the last line has no end")
	}
	series, types := map[string]float64{}, map[string]string{}
	var name, kind string
	var before float64
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		line := s.Text()
		if m := helpLine.FindStringSubmatch(line); m != nil {
			name, kind, before = m[1], "", 0
			if _, again := types[name]; again {
				t.Errorf("%s is there twice", name)
			}
			continue
		}
		if m := typeLine.FindStringSubmatch(line); m != nil {
			kind = m[2]
			if m[1] != name || types[name] != "" || (kind == "counter") != strings.HasSuffix(name, "_total") {
				t.Errorf("out of place: %s", line)
			}
			types[name] = kind
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil || kind == "" {
			t.Errorf("not of the format, or out of place: %q", line)
			continue
		}
		v, err := strconv.ParseFloat(m[3], 64)
		if _, again := series[m[1]+m[2]]; again || err != nil {
			t.Errorf("twice, or no number: %q", line)
		}
		series[m[1]+m[2]] = v
		switch suffix := strings.TrimPrefix(m[1], name); {
		case kind == "histogram" && suffix == "_bucket":
			if v < before {
				t.Errorf("a bucket falls: %s", line)
			}
			before = v
		case kind == "histogram" && suffix == "_count":
			if v != before || series[name+`_bucket{le="+Inf"}`] != v {
				t.Errorf("the count is not that of the buckets: %s", line)
			}
		case kind == "histogram" && suffix == "_sum":
		case suffix != "":
			t.Errorf("a sample of another metric than %s: %s", name, line)
		}
	}
	return series
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	_, ours := authorityOf(t, "ours")
	conf := ours(nil)
	conf.ServerName = "localhost"
	c := newCluster(t, Options{TLS: conf}, "a", "b", "c")
	b := c.client()
	take(t, b, request("k", "holder", true))
	takesOne(t, b, "another", "o")
	leader := c.leader()
	code, kind, text := fetched(t, conf, "https://"+leader.addr()+"/metrics")
	if code != http.StatusOK || kind != "text/plain; version=0.0.4; charset=utf-8" {
		t.Errorf("%d, %s", code, kind)
	}
	m := parseMetrics(t, text)
	for name, want := range map[string]float64{
		`info{cluster="test",member="` + leader.ID + `"}`: 1, "healthy": 1, "has_leader": 1, "leader": 1, "disk_full": 0,
		"members": 3, "locks": 1, "claims": 1, "waiters": 0, "sessions": 1, "clients": 1,
		"certificate_expiry_timestamp_seconds": float64(leafOf(t, conf).NotAfter.Unix()),
	} {
		if got, ok := m[metricPrefix+name]; !ok || got != want {
			t.Errorf("%s is %v, %v, want %v", name, got, ok, want)
		}
	}
	for _, name := range []string{
		"term", "leader_changes_total", "elections_total", "log_last_index", "log_committed_index", "log_applied_index", "log_entries", "log_bytes",
		"entries_total", "commands_total", "fsync_duration_seconds_count", "fsync_duration_seconds_sum",
	} {
		if m[metricPrefix+name] <= 0 {
			t.Errorf("%s is %v", name, m[metricPrefix+name])
		}
	}
	if n := m[metricPrefix+"fsync_duration_seconds_count"]; n > 1000 {
		t.Errorf("%v syncs for a few commands", n)
	}
	for _, n := range c.members {
		if n == leader {
			continue
		}
		name := metricPrefix + `peer_reachable{peer="` + n.ID + `"}`
		if m[name] != 1 {
			t.Errorf("%s is %v", name, m[name])
		}
		_, _, text := fetched(t, conf, "https://"+n.addr()+"/metrics")
		if f := parseMetrics(t, text); f[metricPrefix+"leader"] != 0 || f[metricPrefix+"has_leader"] != 1 || f[metricPrefix+"healthy"] != 1 {
			t.Errorf("a follower says:\n%s", text)
		}
	}
}

// TestHealth: 200 where there is a leader, and 503 and why where there is none, over TLS and on a socket.
func TestHealth(t *testing.T) {
	t.Parallel()
	peers := peersNamed(t, "a", "b", "c")
	c := &cluster{t: t, base: Options{Peers: peers, Cluster: "test", Insecure: true}, members: map[string]*node{}}
	start := func(name string) *node {
		conf := c.base
		conf.ID, conf.Dir = name, filepath.Join(t.TempDir(), name)
		return c.start(conf)
	}
	healthy := func(n *node, want int, words ...string) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; <-time.After(20 * time.Millisecond) {
			code, _, body := fetched(t, nil, "http://"+n.addr()+"/healthz")
			if code == want || time.Now().After(end) {
				if code != want || strings.Count(body, "\n") != 1 {
					t.Errorf("%s: %d, %q", n.ID, code, body)
				}
				wantWords(t, n.ID, body, words...)
				return
			}
		}
	}
	a := start("a")
	healthy(a, http.StatusServiceUnavailable, "the cluster has not begun", "b at "+peers[1].Addr)
	_, _, text := fetched(t, nil, "http://"+a.addr()+"/metrics")
	if m := parseMetrics(t, text); m[metricPrefix+"healthy"] != 0 || m[metricPrefix+"has_leader"] != 0 || m[metricPrefix+`peer_reachable{peer="b"}`] != 0 {
		t.Errorf("before it has begun:\n%s", text)
	}
	start("b")
	start("c")
	for _, n := range c.members {
		healthy(n, http.StatusOK, "ok: ", " leads")
	}
	c.members["b"].kill()
	c.members["c"].kill()
	healthy(a, http.StatusServiceUnavailable, "no leader is known: not reached: b at "+peers[1].Addr+" (nobody listens there")
}
