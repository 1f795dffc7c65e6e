package fleet

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// List is the set-up record: which nodes belong together. Each of them keeps a copy, and a client whose
// URL leads to nodes of another list is refused, since two lists have no common majority.
type List struct {
	ID      string   `json:"list"`          // made of the identities of its first version, and kept by later ones
	Version int      `json:"version"`       // each replacement of nodes is one more
	Level   Level    `json:"level"`         // what the nodes promise; it never changes
	Why     string   `json:"why,omitempty"` // it is no more than Advisory
	TTL     int64    `json:"ttl"`           // the longest of a lease, in ms; it never changes
	Nodes   []Listed `json:"nodes"`         // in the order of their identities

	text string // as the nodes keep it
}

// Listed is a node of a list. What makes it the same node is its identity, which is on its disk; the
// address is where it was when the list was written, for people.
type Listed struct {
	Identity string `json:"id"`
	Address  string `json:"address"`
}

// Level is what the nodes of a list promise of their data.
type Level string

const (
	Fenced   Level = "fenced"   // they keep what they have answered through a crash
	Advisory Level = "advisory" // some may forget
)

// newList makes the first version of a list.
func newList(nodes []Listed, why string, ttl time.Duration) *List {
	l := &List{Version: 1, Level: Fenced, Why: why, TTL: ttl.Milliseconds(), Nodes: slices.Clone(nodes)}
	if why != "" {
		l.Level = Advisory
	}
	l.seal()
	l.ID = hash(strings.Join(l.identities(), " "))
	l.seal()
	return l
}

// replaced is the next version of a list, in which new nodes stand for others.
func (l *List) replaced(gone []string, with []Listed) *List {
	next := *l
	next.Version++
	next.Nodes = slices.DeleteFunc(slices.Clone(l.Nodes), func(n Listed) bool { return slices.Contains(gone, n.Identity) })
	next.Nodes = append(next.Nodes, with...)
	next.seal()
	return &next
}

// seal puts the nodes in order, and makes the text.
func (l *List) seal() {
	slices.SortFunc(l.Nodes, func(a, b Listed) int { return strings.Compare(a.Identity, b.Identity) })
	text, err := json.Marshal(l)
	if err != nil {
		panic(err) // strings and numbers only
	}
	l.text = string(text)
}

// parseList reads what a node keeps; nil where it keeps nothing.
func parseList(text string) (*List, error) {
	if text == "" {
		return nil, nil
	}
	l := new(List)
	if err := json.Unmarshal([]byte(text), l); err != nil {
		return nil, fmt.Errorf("its list cannot be read: %w", err)
	}
	if l.ID == "" || l.Version < 1 || l.Level != Fenced && l.Level != Advisory || l.TTL <= 0 || len(l.Nodes) == 0 {
		return nil, fmt.Errorf("its list is not one of this version of fencelock")
	}
	l.text = text
	return l, nil
}

// edition names a version of a list, and its content: two operators who replace different nodes at the
// same time make two lists of one version.
func (l *List) edition() string { return fmt.Sprintf("%d-%s", l.Version, hash(l.text)[:8]) }

func (l *List) has(identity string) bool {
	return slices.ContainsFunc(l.Nodes, func(n Listed) bool { return n.Identity == identity })
}

func (l *List) identities() []string {
	all := make([]string, len(l.Nodes))
	for i, n := range l.Nodes {
		all[i] = n.Identity
	}
	return all
}

// Addresses are where the nodes were when the list was written, for people.
func (l *List) Addresses() string {
	all := make([]string, len(l.Nodes))
	for i, n := range l.Nodes {
		all[i] = n.Address
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// Longest is the longest TTL of a lease.
func (l *List) Longest() time.Duration { return time.Duration(l.TTL) * time.Millisecond }

func (l *List) quorum() int { return len(l.Nodes)/2 + 1 }

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// record is the certificate of a node, for one process of its server: that this process may answer for
// this identity in this edition of the list. Each script compares it first with what its client expects, and
// does nothing where they differ. So an emptied node, one of another list, one that has been moved to a
// newer list, and one that has been restarted since answer nothing, to no client, however late a packet
// comes.
type record struct {
	list     string // List.ID
	edition  string
	identity string
	count    uint64 // of certifications: a node with a lower one than before has old data
	run      string // run_id of the process; "-" if none was certified yet
}

// noRun: nobody has certified a process of the node yet, and none has ever answered.
const noRun = "-"

func (r record) String() string {
	if r == (record{}) {
		return ""
	}
	return fmt.Sprintf("%s %s %s %d %s", r.list, r.edition, r.identity, r.count, r.run)
}

// parseRecord reads what a node keeps; zero where it keeps nothing.
func parseRecord(text string) (r record, err error) {
	if text == "" {
		return r, nil
	}
	words := strings.Split(text, " ")
	if len(words) != 5 {
		return r, fmt.Errorf("its record %q is not one of this version of fencelock", text)
	}
	r = record{list: words[0], edition: words[1], identity: words[2], run: words[4]}
	if r.count, err = strconv.ParseUint(words[3], 10, 64); err != nil {
		return r, fmt.Errorf("its record %q is not one of this version of fencelock", text)
	}
	return r, nil
}

// next is the record that certifies a process.
func (r record) next(l *List, identity, run string) record {
	return record{list: l.ID, edition: l.edition(), identity: identity, count: r.count + 1, run: run}
}
