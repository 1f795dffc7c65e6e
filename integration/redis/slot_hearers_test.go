package redis_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// hearers are subscribers, one at each node. What a script publishes, each of them hears, whichever node ran it.
type hearers struct {
	namespace string
	subs      []*goredis.PubSub
	heard     []map[string][]uint64 // for each node: attempt → tokens
}

func (s *slot) newHearers(t testing.TB, namespace string) *hearers {
	t.Helper()
	h := &hearers{namespace: namespace}
	for _, n := range s.nodes {
		sub := n.Subscribe(t.Context(), h.channel())
		t.Cleanup(func() { _ = sub.Close() })
		if _, err := sub.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.subs = append(h.subs, sub)
		h.heard = append(h.heard, map[string][]uint64{})
	}
	return h
}

func (h *hearers) channel() string { return h.namespace + ":c:client" }

// await returns the token that an attempt was told of, by each node.
func (h *hearers) await(t testing.TB, attempt string) (token uint64) {
	t.Helper()
	until := time.After(soon)
	for node, sub := range h.subs {
		for len(h.heard[node][attempt]) == 0 {
			select {
			case m := <-sub.Channel():
				h.take(t, node, m.Payload)
			case <-until:
				t.Fatalf("the subscriber at node %d does not hear that %s has the lock", node, attempt)
			}
		}
		got := h.heard[node][attempt][0]
		if node > 0 && got != token {
			t.Fatalf("%s was told of token %d, and of %d", attempt, token, got)
		}
		token = got
	}
	return token
}

func (h *hearers) take(t testing.TB, node int, message string) {
	t.Helper()
	kind, rest, _ := strings.Cut(message, " ")
	if kind != "granted" {
		return
	}
	attempt, text, _ := strings.Cut(rest, " ")
	token, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("message %q: %v", message, err)
	}
	if h.heard[node][attempt] = append(h.heard[node][attempt], token); len(h.heard[node][attempt]) > 1 {
		t.Fatalf("%s is told twice: %v", attempt, h.heard[node][attempt])
	}
}
