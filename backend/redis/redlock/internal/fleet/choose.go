package fleet

import (
	"cmp"
	"slices"
	"strings"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

// choose finds the list that the nodes are of. err says why there is none yet, for each of them; fresh
// that no node has one and all answer, so that one can be made.
//
// A majority of the nodes that the URL names has the list, or a client that has worked with it goes on
// doing so: it does harm to nobody, since each node compares its record. Without either, the list was being
// made when its maker stopped; or most nodes of an advisory list have forgotten it.
func (v view) choose(ok []bool) (l *List, fresh bool, err error) {
	held := make(map[string][]int)
	byText := make(map[string]*List)
	answer := 0
	for i, s := range v.observations {
		if !ok[i] {
			continue
		}
		answer++
		if s.list != nil {
			held[s.list.text] = append(held[s.list.text], i)
			byText[s.list.text] = s.list
		}
	}
	for text, at := range held {
		if len(at) < v.quorum() {
			continue
		}
		for _, other := range byText {
			if v.list == nil && other.ID != byText[text].ID {
				return nil, false, apart(byText[text], other)
			}
		}
		return v.permit(byText[text])
	}
	switch {
	case v.list != nil:
		return v.list, false, nil
	case len(held) == 0 && answer == len(v.observations):
		return nil, true, nil
	case len(held) == 0:
		return nil, false, passing("it is in no list yet, and one is made only when all nodes can be used")
	}
	texts := make([]string, 0, len(held))
	for text := range held {
		texts = append(texts, text)
	}
	slices.SortFunc(texts, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(held[b]), len(held[a])), cmp.Compare(byText[b].Version, byText[a].Version), strings.Compare(a, b))
	})
	best := byText[texts[0]]
	for _, text := range texts[1:] {
		if other := byText[text]; other.ID != best.ID {
			return nil, false, apart(best, other)
		}
	}
	n := 0
	for i, s := range v.observations {
		if ok[i] && (s.list == best || s.list != nil && s.list.text == best.text || v.joins(i, best, ok)) {
			n++
		}
	}
	if n >= v.quorum() {
		return v.permit(best)
	}
	if len(texts) > 1 {
		return nil, false, passing("no majority of the nodes has the same version of the list: was a replacement interrupted? Run it again")
	}
	return nil, false, passing("only %d of %d nodes can be seen to have the list, of %s (does the URL name others?)", len(held[best.text]), len(v.observations), best.Addresses())
}

// apart is the error of a URL that names nodes of two lists. The clients of each list have the same locks on other
// nodes, so a client is not to open with one of the two: a majority would not help it.
func apart(one, other *List) error {
	return lasting("the nodes belong to different lists, of %s and of %s: each node can be in one list only", one.Addresses(), other.Addresses())
}

// joins reports whether a node may get a list that no majority has.
//
// Nobody has worked with the first version of a list before a majority had it, so that it may still be
// completed; and of two first versions for the same nodes, which differ in what their makers found, either
// will do. A node of an advisory list may forget everything.
func (v view) joins(i int, l *List, ok []bool) bool {
	s := v.observations[i]
	switch {
	case s.list != nil:
		return s.list.Version == 1 && l.Version == 1
	case s.id == "":
		return l.Level == Advisory && v.identityOf(i, l, ok) != ""
	}
	return l.has(s.id) && (l.Version == 1 || l.Level == Advisory)
}

// permit refuses a list that the URL, or what the client was opened with, does not allow.
func (v view) permit(l *List) (*List, bool, error) {
	switch {
	case len(l.Nodes) != len(v.observations):
		return nil, false, invalid("the list has %d nodes, %s, and the URL names %d: name them all, and no others%s", len(l.Nodes), l.Addresses(), len(v.observations), v.strangers(l))
	case v.ttl > 0 && v.ttl != l.Longest():
		return nil, false, invalid("max_ttl=%v, and the list was made with %v, which cannot be changed: leave max_ttl= out", v.ttl, l.Longest())
	case v.list == nil:
	case l.TTL != v.list.TTL:
		return nil, false, lasting("the nodes have a list with another longest TTL, %v, than when the client was opened, %v", l.Longest(), v.list.Longest())
	case v.list.Level == Fenced && l.Level != Fenced:
		return nil, false, lasting("the nodes have a list that promises less (advisory) than when the client was opened (fenced)")
	case v.list.Level == Fenced && (l.ID != v.list.ID || l.Version < v.list.Version):
		return nil, false, lasting("the nodes have another list, or an older one, than when the client was opened: they have lost their data, or have old data")
	}
	return l, false, nil
}

// strangers names, for the end of a sentence, the nodes that answer and are not in the list.
func (v view) strangers(l *List) string {
	var all []string
	for i, s := range v.observations {
		if s.answers() && !l.has(s.id) {
			all = append(all, v.names[i])
		}
	}
	if all == nil {
		return ""
	}
	return " (not in it: " + strings.Join(all, ", ") + ")"
}

// plain is the text of an error without the kinds in front of it.
func plain(err error) string {
	text := err.Error()
	for _, kind := range []error{driver.ErrUnavailable, driver.ErrRefused, driver.ErrUnsupported, driver.ErrInvalid, wire.ErrNotSent} {
		text = strings.ReplaceAll(text, kind.Error()+": ", "")
	}
	return text
}
