package redis

import (
	"errors"
	"time"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/batch"
	"github.com/fencelock/fencelock/fencing"
)

// part is what one attempt asks about its lock: to acquire it, or to release it. Parts of many callers go to
// the server together, those of the same kind in one call of a script. Scripts get pointers to strings, since
// a string in an interface would be copied.
type part struct {
	kind
	lock    string // its name
	attempt string
	timeout time.Duration

	held held // to release: what the attempt holds; without a token if that is not known
}

// held is what a lock's key tells of its holder, besides the attempt and its client.
type held struct {
	token         fencing.Token
	ttl, identity string
}

// kind is what parts have in common that go in one call.
type kind struct {
	script   *node.Script
	ttl      string // of the lease; to release, of the tombstone, or empty
	mode     string // acquire: "try" or "wait"
	identity string // acquire: what driver.JoinIdentity has made
}

// answer is what the server says to a part.
type answer struct {
	reply any
	err   error     // raw: see node.Classify
	sent  time.Time // read before the request was
}

// answerOf is the answer at a place of a script's reply, which has one for each of n parts.
func answerOf(p *part, reply any, i, n int, sent time.Time) answer {
	all, ok := reply.([]any)
	if !ok || len(all) != n {
		name := "acquire"
		if p.script == releaseScript {
			name = "release"
		}
		return answer{nil, unexpected(name, reply), sent}
	}
	if text, ok := all[i].(string); ok {
		return answer{nil, node.Replied(text), sent}
	}
	return answer{all[i], nil, sent}
}

// wasSent reports whether a part with this error may have been sent, and may be under way. With a refusal of
// makeReady it has been answered.
func wasSent(err error) bool {
	return !errors.Is(err, batch.ErrNotTaken) && !errors.Is(err, node.ErrNotSent) && !errors.Is(err, driver.ErrRefused)
}
