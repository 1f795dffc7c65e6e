package address

import (
	"log/slog"
	"sync"
	"time"
)

// Contact tells an operator when a server cannot be reached any more, and when it can again: a line
// for each change, and one a minute at most for each kind of line. Errors of calls say the same. But
// an idle client makes no calls, and a client that holds leases renews them in the background.
//
// It is safe for concurrent use, and a nil Contact says nothing. No method waits for the log.
type Contact struct {
	log *slog.Logger

	mu    sync.Mutex
	open  bool // it has been reached once: before, Open returns the error
	since time.Time
	told  map[string]time.Time // when a line was last written, by its text
	left  map[string]int       // how many were left out since
}

// tellAgain is the least time between two lines of a kind.
const tellAgain = time.Minute

// NewContact returns a Contact that says nothing before the first Reached. Nil is slog.Default.
func NewContact(log *slog.Logger) *Contact {
	if log == nil {
		log = slog.Default()
	}
	return &Contact{log: log, told: make(map[string]time.Time), left: make(map[string]int)}
}

// Reached notes that the server has answered.
func (c *Contact) Reached() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = true
	if c.since.IsZero() {
		return
	}
	away := time.Since(c.since).Round(time.Millisecond)
	c.since = time.Time{}
	c.writeLocked(slog.LevelInfo, "the server can be reached again", "after", away)
}

// Lost notes that it cannot be reached, and why.
func (c *Contact) Lost(why error) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.open || !c.since.IsZero() {
		return
	}
	c.since = time.Now()
	c.writeLocked(slog.LevelWarn, "the server cannot be reached", "err", why)
}

// Warn writes a line about something else that an operator should know.
func (c *Contact) Warn(text string, args ...any) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open {
		c.writeLocked(slog.LevelWarn, text, args...)
	}
}

func (c *Contact) writeLocked(level slog.Level, text string, args ...any) {
	if at, ok := c.told[text]; ok && time.Since(at) < tellAgain {
		c.left[text]++
		return
	}
	c.told[text] = time.Now()
	if n := c.left[text]; n > 0 {
		args = append(args, "left out before", n)
		delete(c.left, text)
	}
	// In a goroutine: a log that blocks would delay every new connection.
	if level == slog.LevelInfo {
		go c.log.Info("fencelock: "+text, args...)
	} else {
		go c.log.Warn("fencelock: "+text, args...)
	}
}
