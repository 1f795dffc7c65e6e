package mem

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/fencelock/fencelock/driver/attempts"
	"github.com/fencelock/fencelock/fencing"
)

// Space is a lock server in memory. Make one with [NewSpace], or find that of a URL with [Named]; any number
// of backends may use it.
type Space struct {
	mu         sync.Mutex // never held while waiting, nor while calling others
	token      fencing.Token
	keys       map[keyID]*keyState
	tombstones attempts.Tombstones[string] // attempts that were released
	losses     []func()                    // to be called when mu has been unlocked

	faults faults
}

// keyID keeps namespaces apart without joining strings: namespace "a" with key
// "b" is not namespace "" with key "ab".
type keyID struct{ namespace, key string }

// NewSpace returns an empty space.
func NewSpace() *Space {
	return &Space{keys: make(map[keyID]*keyState)}
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
	losses := s.losses
	s.losses = nil
	s.mu.Unlock()
	for _, tell := range losses {
		tell()
	}
}

// keyState is one key that is in use: who holds it and who waits, in order. All of
// it is guarded by space.mu.
type keyState struct {
	space  *Space
	id     keyID
	holder *claim
	queue  []*claim
	timer  *time.Timer // fires when the first claim expires; nil until needed
}

// claim is an attempt's position in the queue, and later its grant.
type claim struct {
	client                    *backend
	attemptID, identity, meta string
	ttl                       time.Duration

	// callers counts the Acquire calls that wait here. With none, nobody can tell
	// whether the client still lives, and the position expires at until.
	callers  int
	until    time.Time     // the end of the grant, or of a position without callers
	turn     chan struct{} // closed when the position has become a grant, or is gone
	released bool

	// Of a grant.
	token fencing.Token
	start time.Time
	lost  func(why error) // Request.Lost
}

// errExpired is why a grant was lost that was not renewed in time.
var errExpired = errors.New("lease ran out")

// waiter returns the claim of an attempt that waits, or nil.
func (k *keyState) waiter(attemptID string) *claim {
	if i := slices.IndexFunc(k.queue, func(c *claim) bool { return c.attemptID == attemptID }); i >= 0 {
		return k.queue[i]
	}
	return nil
}

// heldBy returns the claim of the attempt if it holds the key, or nil. A token that
// is known must match: an attempt whose grant expired and got the key again must not be
// taken for its former self.
func (k *keyState) heldBy(attemptID string, token fencing.Token) *claim {
	c := k.holder
	if c == nil || c.attemptID != attemptID || token != 0 && c.token != token {
		return nil
	}
	return c
}

// settle brings the key up to date: it drops what has expired, hands a free key
// to the head of the queue, sets the timer, and keeps the key in the space for as
// long as somebody uses it. Every method that looks at a key settles it first, so what the timer has
// not got round to yet is never seen; every method that changes it settles it afterwards.
func (k *keyState) settle(now time.Time) {
	if c := k.holder; c != nil && !now.Before(c.until) {
		k.lose(errExpired)
	}
	k.queue = slices.DeleteFunc(k.queue, func(c *claim) bool {
		return c.callers == 0 && !now.Before(c.until)
	})
	if k.holder == nil && len(k.queue) > 0 {
		c := k.queue[0]
		k.queue = slices.Delete(k.queue, 0, 1)
		k.grant(c, now)
		close(c.turn)
	}
	k.setTimer(now)
	if k.holder == nil && len(k.queue) == 0 {
		delete(k.space.keys, k.id)
	} else {
		k.space.keys[k.id] = k
	}
}

func (k *keyState) grant(c *claim, now time.Time) {
	c.token, c.start, c.until = k.space.nextToken(), now, now.Add(c.ttl)
	k.holder = c
}

// lose ends the grant against its holder's will. A client that is cut off does not hear of it.
func (k *keyState) lose(why error) {
	if c := k.holder; c.lost != nil && !k.space.faults.cutOff(c.client, k.id.key) {
		k.space.losses = append(k.space.losses, func() { c.lost(why) })
	}
	k.holder = nil
}

// setTimer sets the timer to the first expiry, or stops it. A timer that fires too
// early or too late does no harm: it only settles.
func (k *keyState) setTimer(now time.Time) {
	var first time.Time
	expires := func(c *claim) {
		if first.IsZero() || c.until.Before(first) {
			first = c.until
		}
	}
	if k.holder != nil {
		expires(k.holder)
	}
	for _, c := range k.queue {
		if c.callers == 0 {
			expires(c)
		}
	}
	switch {
	case first.IsZero():
		if k.timer != nil {
			k.timer.Stop()
		}
	case k.timer == nil:
		k.timer = time.AfterFunc(first.Sub(now), k.expire)
	default:
		k.timer.Reset(first.Sub(now))
	}
}

// expire is the timer's. The key may have left the space before the timer could
// be stopped: then it is unused, and settling it changes nothing of its successor.
func (k *keyState) expire() {
	k.space.mu.Lock()
	defer k.space.unlock()
	if k.space.keys[k.id] == k {
		k.settle(time.Now())
	}
}
