package mem

import (
	"errors"
	"slices"
	"time"

	"github.com/fencelock/fencelock/fencing"
)

// line is one key that is in use: who holds it and who waits, in order. All of
// it is guarded by space.mu.
type line struct {
	space  *Space
	id     lineID
	holder *claim
	queue  []*claim
	timer  *time.Timer // fires when the first claim lapses; nil until needed
}

// claim is an owner's place in a line, and later its grant.
type claim struct {
	owner, identity, meta string
	ttl                   time.Duration

	// askers counts the Acquire calls that wait here. With none, nobody can tell
	// whether the owner still lives, and the place lapses at until.
	askers   int
	until    time.Time     // the end of the grant, or of a place without askers
	turn     chan struct{} // closed when the place has become a grant, or is gone
	released bool

	// Of a grant.
	token fencing.Token
	start time.Time
	lost  func(why error) // tells the owner that the grant ended against its will
}

// errLapsed is why a grant was lost that was not renewed in time.
var errLapsed = errors.New("lease ran out")

// place returns the claim of an owner that waits, or nil.
func (l *line) place(owner string) *claim {
	if i := slices.IndexFunc(l.queue, func(c *claim) bool { return c.owner == owner }); i >= 0 {
		return l.queue[i]
	}
	return nil
}

// held returns the claim of the owner if it holds the key, or nil. A token that
// is known must match: an owner that lapsed and got the key again must not be
// taken for its former self.
func (l *line) held(owner string, token fencing.Token) *claim {
	c := l.holder
	if c == nil || c.owner != owner || token != 0 && c.token != token {
		return nil
	}
	return c
}

// settle brings the line up to date: it drops what has lapsed, hands a free key
// to the head of the queue, sets the timer, and keeps the line in the space for as
// long as somebody uses it. Whoever looks at a line settles it first, so what the timer has
// not got round to yet is never seen; whoever changes it settles it afterwards.
func (l *line) settle(now time.Time) {
	if c := l.holder; c != nil && !now.Before(c.until) {
		l.lose(errLapsed)
	}
	l.queue = slices.DeleteFunc(l.queue, func(c *claim) bool {
		return c.askers == 0 && !now.Before(c.until)
	})
	if l.holder == nil && len(l.queue) > 0 {
		c := l.queue[0]
		l.queue = slices.Delete(l.queue, 0, 1)
		l.grant(c, now)
		close(c.turn)
	}
	l.arm(now)
	if l.holder == nil && len(l.queue) == 0 {
		delete(l.space.lines, l.id)
	} else {
		l.space.lines[l.id] = l
	}
}

func (l *line) grant(c *claim, now time.Time) {
	c.token, c.start, c.until = l.space.nextToken(), now, now.Add(c.ttl)
	l.holder = c
}

// lose ends the grant against its holder's will.
func (l *line) lose(why error) {
	if lost := l.holder.lost; lost != nil {
		l.space.told = append(l.space.told, func() { lost(why) })
	}
	l.holder = nil
}

// arm sets the timer to the first lapse, or stops it. A timer that fires too
// early or too late does no harm: it only settles.
func (l *line) arm(now time.Time) {
	var first time.Time
	lapses := func(c *claim) {
		if first.IsZero() || c.until.Before(first) {
			first = c.until
		}
	}
	if l.holder != nil {
		lapses(l.holder)
	}
	for _, c := range l.queue {
		if c.askers == 0 {
			lapses(c)
		}
	}
	switch {
	case first.IsZero():
		if l.timer != nil {
			l.timer.Stop()
		}
	case l.timer == nil:
		l.timer = time.AfterFunc(first.Sub(now), l.wake)
	default:
		l.timer.Reset(first.Sub(now))
	}
}

// wake is the timer's. The line may have left the space before the timer could
// be stopped: then it is empty, and settling it changes nothing of its successor.
func (l *line) wake() {
	l.space.mu.Lock()
	defer l.space.unlock()
	if l.space.lines[l.id] == l {
		l.settle(time.Now())
	}
}
