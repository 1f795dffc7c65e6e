package raftlocal

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestHTTP(t *testing.T) {
	c := newCluster(t, Options{}, "a", "b", "c")
	takesOne(t, c.client(), "k", "o")
	leader := c.leader()
	get := func(method, url string, header string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(clusterHeader, header)
		transport := &http.Transport{DisableKeepAlives: true}
		answer, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(body)
	}
	code, body := get("GET", "http://"+leader.addr()+"/status", "")
	for _, part := range []string{`"leader": "` + leader.ID + `"`, `"serving": true`, `"sessions": 1`, `"longest_queue": 0`, `"connected": true`} {
		if code != http.StatusOK || !strings.Contains(body, part) {
			t.Errorf("status %d without %s: %s", code, part, body)
		}
	}
	if code, body := get("GET", "http://"+leader.addr()+"/", ""); code != http.StatusOK || !strings.Contains(body, "/backup") {
		t.Errorf("the index: %d, %s", code, body)
	}
	if code, body := get("POST", "http://"+leader.addr()+"/leader", "another"); code != http.StatusConflict || !strings.Contains(body, clusterHeader) {
		t.Errorf("without the cluster's name: %d, %s", code, body)
	}
	for _, n := range c.members {
		if n == leader {
			continue
		}
		ask := func() (int, string) { return get("POST", "http://"+n.addr()+"/leader?to="+n.ID, "test") }
		code, body := ask()
		for began := time.Now(); code == http.StatusServiceUnavailable && time.Since(began) < 10*time.Second; code, body = ask() {
			<-time.After(10 * time.Millisecond) // it knows no leader at the moment, on a busy machine
		}
		if code != http.StatusTemporaryRedirect || !strings.Contains(body, leader.addr()) {
			t.Errorf("asked of a follower: %d, %s", code, body)
		}
	}
}
