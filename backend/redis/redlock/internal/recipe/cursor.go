package recipe

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/vote"
	"github.com/fencelock/fencelock/driver"
)

// cursor is where a page of ListHeld begins, for any client of the list.
type cursor struct {
	Listing string   `json:"l"`           // names what this client remembers of the pages before
	Page    int      `json:"p"`           // from 0
	Nodes   int      `json:"n"`           // of the list
	Done    vote.Set `json:"d,omitempty"` // nodes whose scan is complete
	Failed  vote.Set `json:"f,omitempty"` // nodes that have not answered
	From    string   `json:"s,omitempty"` // where the scan of the present node goes on, and
	Boot    uint64   `json:"b,omitempty"` // the process that has said so, hashed
	Found   []string `json:"k,omitempty"` // keys that were found and are to be asked about
}

// cursor parses the cursor of a listing of keys that begin with prefix, on so many nodes. An empty one begins a listing.
func (l *listings) cursor(text, prefix string, nodes int) (c cursor, err error) {
	if text == "" {
		return cursor{Listing: l.begin(), Nodes: nodes}, nil
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil || c.Nodes != nodes || c.Page < 1 || (c.Done|c.Failed)&^vote.All(c.Nodes) != 0 {
		return c, fmt.Errorf("%w: no page of ListHeld had this cursor", driver.ErrInvalid)
	}
	for _, key := range c.Found {
		if !strings.HasPrefix(key, prefix) {
			return c, fmt.Errorf("%w: the cursor is of a listing with another prefix", driver.ErrInvalid)
		}
	}
	return c, nil
}

// take returns the keys that the page asks about: of those found, as many as it may list, without those that an earlier
// page has listed.
func (p *page) take(l *listing) []string {
	var keys []string
	for len(p.Found) > 0 && len(keys) < p.limit {
		if key := p.Found[0]; !l.before(key, p.Page) {
			keys = append(keys, key)
		}
		p.Found = p.Found[1:]
	}
	return keys
}

// next is the cursor of the page that follows.
func (p *page) next() string {
	if len(p.Found) == 0 && p.complete() {
		p.b.listings.end(p.Listing)
		return ""
	}
	text, _ := json.Marshal(p.cursor) // strings and numbers only
	return string(text)
}

const (
	// maxListings is how many listings are remembered, and maxListed how many keys of each: about 4 MB.
	maxListings = 4
	maxListed   = 1 << 16
)

// listings remembers which keys the pages of a listing have had, so that a key which all nodes have is listed once. What
// is not remembered comes once for each node that has it.
type listings struct {
	mu     sync.Mutex
	byName map[string]*listing
	names  []string // the one that began first comes first
}

// listing is what one listing has had. Nil remembers nothing.
type listing struct {
	mu    sync.Mutex
	pages map[[16]byte]int // by a hash of the key; where a page is asked for twice, it has the same keys again
}

// begin begins a listing, and returns its name.
func (l *listings) begin() string {
	name := rand.Text()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byName == nil {
		l.byName = make(map[string]*listing)
	}
	if len(l.names) == maxListings {
		delete(l.byName, l.names[0])
		l.names = l.names[1:]
	}
	l.names = append(l.names, name)
	l.byName[name] = &listing{pages: make(map[[16]byte]int)}
	return name
}

func (l *listings) of(name string) *listing {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byName[name]
}

// end forgets a listing.
func (l *listings) end(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.byName, name)
	l.names = slices.DeleteFunc(l.names, func(n string) bool { return n == name })
}

// before reports whether a page before this one has listed the key.
func (l *listing) before(key string, page int) bool {
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	first, ok := l.pages[short(key)]
	return ok && first < page
}

// listed notes what a page has listed.
func (l *listing) listed(locks []driver.Status, page int) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range locks {
		if first, ok := l.pages[short(s.Key)]; ok && first <= page || !ok && len(l.pages) == maxListed {
			continue
		}
		l.pages[short(s.Key)] = page
	}
}

func short(key string) [16]byte {
	sum := sha256.Sum256([]byte(key))
	return [16]byte(sum[:16])
}

// hash shortens what a node says that it is.
func hash(boot string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(boot)) // never fails
	return h.Sum64()
}
