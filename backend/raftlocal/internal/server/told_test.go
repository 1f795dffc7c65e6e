package server_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/client"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/server"
)

// lines is a log.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// count is how many lines have all words.
func (l *lines) count(words ...string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.b.String()) {
		all := true
		for _, w := range words {
			all = all && strings.Contains(line, w)
		}
		if all {
			n++
		}
	}
	return n
}

// A disk that is full is told, to who operates and to clients that wait, and that there is room again is, too.
func TestFullDiskIsTold(t *testing.T) {
	log := &lines{}
	w := newWorld(t, func(c *server.Config) {
		c.Member.SegmentBytes = 4096
		c.Logger = slog.New(slog.NewTextHandler(log, nil))
	}, "a")
	c, s := w.client(), w.servers["a"]
	do(t, c, nop())
	w.disks["a"].Limit(1)
	var err error
	for i := 0; err == nil; i++ {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		o := c.Do(ctx, command.Command{Op: command.Acquire, Key: fmt.Sprint(i), AttemptID: "o", Meta: strings.Repeat("x", 1000), TTL: time.Hour}, nil)
		err = o.Err
		cancel()
	}
	if !strings.Contains(err.Error(), "a at a says: ") || !strings.Contains(err.Error(), "the disk is full: make room on it") {
		t.Errorf("a call on a full disk: %v", err)
	}
	if why := s.Health(); why == nil || !strings.Contains(why.Error(), "the disk is full") || !s.Scarce() {
		t.Errorf("health: %v", why)
	}
	if n := log.count("level=ERROR", "a file cannot be made", "the disk is full"); n != 1 {
		t.Errorf("it is told %d times: %s", n, log.b.String())
	}
	w.disks["a"].Limit(0)
	do(t, c, nop())
	for end := time.Now().Add(20 * time.Second); log.count("level=INFO", "files can be made again") == 0; <-time.After(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it is not told that there is room again")
		}
	}
	if why := s.Health(); why != nil || s.Scarce() {
		t.Errorf("health: %v", why)
	}
	for end := time.Now().Add(20 * time.Second); c.Fault() != nil; <-time.After(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("a client still thinks: %v", c.Fault())
		}
	}
}

// A member that is alone says that it serves, and nothing of leaders.
func TestAloneIsTold(t *testing.T) {
	log := &lines{}
	w := newWorld(t, func(c *server.Config) { c.Logger = slog.New(slog.NewTextHandler(log, nil)) }, "a")
	do(t, w.client(), nop())
	if log.count("level=INFO", "this process serves the locks") != 1 || log.count("leads") > 0 {
		t.Errorf("told: %s", log.b.String())
	}
}

// Where the disks of a majority are full, who comes in is told so by each member.
func TestFullDisksAreToldToWhoComesIn(t *testing.T) {
	w := newWorld(t, func(c *server.Config) { c.Member.SegmentBytes = 4096 }, "a", "b", "c")
	c := w.client()
	do(t, c, nop())
	for _, d := range w.disks {
		d.Limit(1)
	}
	var err error
	for i := 0; err == nil; i++ {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		err = c.Do(ctx, command.Command{Op: command.Acquire, Key: fmt.Sprint(i), AttemptID: "o", Meta: strings.Repeat("x", 1000), TTL: time.Hour}, nil).Err
		cancel()
	}
	// Those who follow are full with the next leader's first entry, or its next.
	for end := time.Now().Add(20 * time.Second); ; {
		late := client.New(client.Config{Addrs: []string{"a", "b", "c"}, Dial: w.net.Dial})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		err = late.Ready(ctx)
		cancel()
		_ = late.Close()
		if err != nil && strings.Contains(err.Error(), "no member leads") && strings.Contains(err.Error(), "the disk is full: make room on it") {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("who comes in is told: %v", err)
		}
	}
}
