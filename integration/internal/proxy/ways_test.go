package proxy

import (
	"errors"
	"syscall"
	"testing"
)

// way is a connection of a client that has ways, to one server.
func way(t *testing.T, w *Ways, addr string) *client {
	t.Helper()
	c, err := w.Dial(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &client{t: t, in: &reader{conn: c, framer: &respFramer{}}}
}

// startWays has the ways to two servers; the second has not been dialled.
func startWays(t *testing.T) (w *Ways, addrs [2]string, first *client) {
	t.Helper()
	w = NewWays(RESP)
	t.Cleanup(w.Close)
	for i := range addrs {
		addrs[i] = startServer(t).addr()
	}
	first = way(t, w, addrs[0])
	first.echo("a")
	return w, addrs, first
}

// TestWays: a fault is on all ways, those that are made later included, until it is healed.
func TestWays(t *testing.T) {
	w, addrs, first := startWays(t)
	w.Blackhole()
	first.send("ECHO", "a")
	first.expectSilence()
	second := way(t, w, addrs[1])
	second.send("ECHO", "a")
	second.expectSilence()
	w.Heal()
	first.expectReset()
	second.expectReset()
	way(t, w, addrs[1]).echo("a")

	w.Refuse()
	if _, err := w.Dial(t.Context(), "tcp", addrs[0]); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Dial: %v", err)
	}
	w.Heal()
	again := way(t, w, addrs[0])
	again.echo("a")
	w.Reset()
	again.expectReset()

	if one := w.To(addrs[0]); w.To(addrs[0]) != one || w.To(addrs[1]) == one {
		t.Error("each server has one proxy")
	}
	w.Close()
	if _, err := w.Dial(t.Context(), "tcp", addrs[0]); err == nil {
		t.Error("closed ways can be dialled")
	}
}

// TestWaysLoseOne: the n-th message is counted over all servers, and lost once.
func TestWaysLoseOne(t *testing.T) {
	w, addrs, first := startWays(t)
	echoes := Command("ECHO")
	lost := w.LoseReplyTo(echoes, 3)
	first.echo("a")
	second := way(t, w, addrs[1])
	second.echo("b")
	second.send("ECHO", "c")
	fired(t, "the third is lost", lost.Fired())
	second.expectReset()
	second = way(t, w, addrs[1])
	for range 4 {
		first.echo("a")
		second.echo("a")
	}
	lost = w.LoseRequest(echoes, 1)
	first.send("ECHO", "a")
	fired(t, "a request is lost", lost.Fired())
	first.expectReset()

	w.LoseRequest(echoes, 1).Cancel()
	second.echo("a")
	w.LoseRequest(echoes, 1)
	w.Heal()
	second.echo("a")
}
