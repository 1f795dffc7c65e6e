package redis_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// hearers are subscribers, one at each node. Each of them hears what a script publishes, whichever node ran it.
type hearers struct {
	namespace string
	subs      []*goredis.PubSub
	heard     []map[string][]uint64 // for each node: attempt → tokens
}

func (s *slot) newHearers(t testing.TB, namespace string) *hearers {
	t.Helper()
	h := &hearers{namespace: namespace}
	for _, n := range s.clients {
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

// await returns the token that an attempt was told of by each node. It is not one of those granted earlier.
func (h *hearers) await(t testing.TB, attempt string, earlier []uint64) (token uint64) {
	t.Helper()
	until := time.After(soon)
	for node, sub := range h.subs {
		var news []uint64
		for len(news) == 0 {
			select {
			case m := <-sub.Channel():
				h.take(t, node, m.Payload)
			case <-until:
				t.Fatalf("the subscriber at node %d does not hear that %s has the lock", node, attempt)
			}
			news = slices.DeleteFunc(slices.Clone(h.heard[node][attempt]), func(token uint64) bool { return slices.Contains(earlier, token) })
		}
		if len(news) > 1 || node > 0 && news[0] != token {
			t.Fatalf("%s is told of tokens %v at node %d, and of %d at the one before", attempt, news, node, token)
		}
		token = news[0]
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
	if slices.Contains(h.heard[node][attempt], token) {
		t.Fatalf("the subscriber at node %d is told twice: %s", node, message)
	}
	h.heard[node][attempt] = append(h.heard[node][attempt], token)
}
