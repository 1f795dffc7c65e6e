package raftlocal

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTokensOfAllLives: each life of a directory has higher tokens, and higher numbers of claims, than all
// before: begun, restored from a backup, restored from the same one again, restored from a backup of a life that was
// restored, and begun again with nothing.
func TestTokensOfAllLives(t *testing.T) {
	t.Parallel()
	c := Options{Dir: filepath.Join(t.TempDir(), "locks")}
	last := uint64(0)
	live := func(what string) (backup string) {
		t.Helper()
		b := use(t, c)
		for range 20 {
			token := takesOne(t, b, "k", "o")
			if token <= last {
				t.Fatalf("%s: token %d after %d", what, token, last)
			}
			last = token
		}
		a, err := NewAdmin(&c)
		if err != nil {
			t.Fatal(err)
		}
		var s strings.Builder
		if err := a.Backup(within(t, 10*time.Second), &s); err != nil {
			t.Fatal(err)
		}
		for range 20 { // nobody has a backup of these
			last = takesOne(t, b, "k", "o")
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if now := uint64(time.Now().UnixMicro()); last > now {
			t.Errorf("%s: token %d is ahead of the clock, %d", what, last, now)
		}
		if err := os.RemoveAll(c.Dir); err != nil {
			t.Fatal(err)
		}
		return s.String()
	}
	restore := func(backup string) {
		t.Helper()
		if err := Restore(&c, strings.NewReader(backup), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	first := live("the first life")
	restore(first)
	second := live("restored")
	restore(first)
	live("restored from the same backup again")
	live("begun again")
	restore(second)
	live("restored from a backup of the second life")
	restore(first)
	live("restored from the first backup once more")
	live("begun again after all")
}

func TestTokenBaseOfARestore(t *testing.T) {
	t.Parallel()
	taken := time.UnixMicro(1_800_000_000_000_000)
	micro := func(d time.Duration) uint64 { return uint64(taken.Add(d).UnixMicro()) }
	for what, is := range map[string]struct {
		highest uint64
		at      time.Duration // after the backup
		least   uint64
		most    uint64
		ahead   bool
	}{
		"a young cluster, within a second": {micro(-time.Second), time.Second, micro(time.Second), micro(time.Second), false},
		"an hour later":                    {micro(-time.Second), time.Hour, micro(time.Hour), micro(time.Hour), false},
		"an old cluster":                   {micro(-1e6 * time.Second), time.Hour, micro(time.Hour), micro(time.Hour), false},
		"small tokens":                     {7, time.Hour, micro(time.Hour), micro(time.Hour), false},
		"by another clock":                 {micro(-time.Second), -time.Second, micro(0), micro(0), false},
		"the clock was set back":           {micro(-time.Second), -time.Hour, micro(-time.Second) + 1<<32, micro(time.Hour + 15*time.Minute), true},
		"tokens were ahead":                {micro(time.Hour), time.Minute, micro(time.Hour + time.Minute + 1), micro(time.Hour + 2*time.Minute), true},
		"tokens were ahead, again":         {micro(time.Hour), 2 * time.Minute, micro(time.Hour + 2*time.Minute + 1), micro(time.Hour + 3*time.Minute), true},
		"tokens were ahead, long ago":      {micro(time.Hour), 1000 * time.Hour, micro(1001 * time.Hour), micro(1002 * time.Hour), true},
	} {
		base, ahead := tokenBase(is.highest, taken, taken.Add(is.at))
		if base < is.least || base > is.most || base <= is.highest || (ahead > 0) != is.ahead {
			t.Errorf("%s: %d, ahead by %v, want %d to %d", what, base, ahead, is.least, is.most)
		}
	}
	if base, ahead := tokenBase(7, time.Time{}, taken); base != micro(0) || ahead != 0 {
		t.Errorf("of a backup without a time: %d, %v", base, ahead)
	}
}

// A clock that was set back by hours is told of.
func TestRestoreWarnsOfTheClock(t *testing.T) {
	t.Parallel()
	c := Options{Dir: filepath.Join(t.TempDir(), "locks")}
	b := use(t, c)
	token := takesOne(t, b, "k", "o")
	a, err := NewAdmin(&c)
	if err != nil {
		t.Fatal(err)
	}
	var backup strings.Builder
	if err := a.Backup(within(t, 10*time.Second), &backup); err != nil {
		t.Fatal(err)
	}
	for _, back := range []time.Duration{0, 3 * time.Hour} {
		var log bytes.Buffer
		to := Options{Dir: filepath.Join(t.TempDir(), "restored"), Logger: slog.New(slog.NewTextHandler(&log, nil))}
		if err := Restore(&to, strings.NewReader(backup.String()), time.Now().Add(-back)); err != nil {
			t.Fatal(err)
		}
		if warned := strings.Contains(log.String(), "ahead of the clock"); warned != (back > 0) {
			t.Errorf("set back by %v: %q", back, log.String())
		}
		if next := takesOne(t, use(t, to), "k", "o"); next <= token {
			t.Errorf("set back by %v: token %d after %d", back, next, token)
		}
	}
}
