package process_test

import (
	"encoding/json"
	"errors"
	"os"
	"sync"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/fencing"
)

// word is what a process tells the test, as a line of JSON on its standard output.
type word struct {
	What  string        // ready, granted, renewed, ended, checked, written, unlocked, done, term, failed, bye
	At    instant       // when it happened
	Token fencing.Token `json:",omitempty"`
	Until instant       `json:",omitempty"` // Lease.ValidUntil; done, term: when it was last trusted; ended: see workUntilLoss
	Asked instant       `json:",omitempty"` // when Lock was called
	How   string        `json:",omitempty"` // see outcome
	Late  string        `json:",omitempty"` // done, term: outcome of the write
}

var saying sync.Mutex

// say writes a word, in one piece. It fails if the test is gone.
func say(w word) {
	if w.At == 0 {
		w.At = now()
	}
	line, err := json.Marshal(w)
	if err != nil {
		panic(err)
	}
	saying.Lock()
	defer saying.Unlock()
	if _, err := os.Stdout.Write(append(line, '\n')); err != nil {
		os.Exit(3)
	}
}

// outcome tells an error in a word, if it is one that tests ask for.
func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, fencing.ErrStale):
		return "stale"
	case errors.Is(err, fencelock.ErrLost):
		return "lost"
	case errors.Is(err, fencelock.ErrUnlocked):
		return "unlocked"
	case errors.Is(err, fencelock.ErrUnknown): // it may wrap what follows
		return "unknown"
	case errors.Is(err, fencelock.ErrUnavailable):
		return "unavailable"
	}
	return err.Error()
}
