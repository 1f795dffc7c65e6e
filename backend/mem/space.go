package mem

import (
	"sync"

	"github.com/fencelock/fencelock/fencing"

	"github.com/fencelock/fencelock/driver/claims"
)

// Space is a lock server in memory. Make one with [NewSpace]; any number of
// backends may use it.
type Space struct {
	mu    sync.Mutex // never held while waiting, nor while calling others
	token fencing.Token
	lines map[lineID]*line
	dead  claims.Tombstones[string]
	told  []func() // to be called when mu has been unlocked
}

// lineID keeps namespaces apart without joining strings: namespace "a" with key
// "b" is not namespace "" with key "ab".
type lineID struct{ namespace, key string }

// NewSpace returns an empty space.
func NewSpace() *Space {
	return &Space{
		lines: make(map[lineID]*line),
	}
}

// nextToken counts for all keys together: one number for the whole space rises
// for ever for each key, and no key leaves a counter behind.
func (s *Space) nextToken() fencing.Token {
	s.token++
	return s.token
}

// unlock unlocks mu and tells the losses of this critical section. Those who are
// told may call the space again.
func (s *Space) unlock() {
	told := s.told
	s.told = nil
	s.mu.Unlock()
	for _, tell := range told {
		tell()
	}
}
