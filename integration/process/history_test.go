package process_test

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/fencelock/fencelock/fencing"
)

// history is what the workers have said.
type history struct {
	mu     sync.Mutex
	terms  map[fencing.Token]*term
	twice  []fencing.Token
	late   int // writes that were refused
	lost   int // terms that ended by loss
	faults []string
}

// term is a lease as its holder saw it, on the clock that all share.
type term struct {
	holder string
	word
}

func newHistory() *history { return &history{terms: make(map[fencing.Token]*term)} }

func (h *history) hear(who string, w word) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch w.What {
	case "granted":
		if h.terms[w.Token] != nil {
			h.twice = append(h.twice, w.Token)
		}
		h.terms[w.Token] = &term{who, w}
	case "done": // and Unlock comes next
		h.terms[w.Token] = &term{who, w}
	case "term":
		h.terms[w.Token] = &term{who, w}
		if w.How == "lost" {
			h.lost++
		}
		switch w.Late {
		case "stale":
			h.late++
		case "ok":
		default:
			h.faults = append(h.faults, who+" and the resource: "+w.Late)
		}
	case "failed":
		if w.How != "unavailable" { // as after a suspension
			h.faults = append(h.faults, who+": "+w.How)
		}
	}
}

// died notes that a process trusts nothing any more.
func (h *history) died(who string, when instant) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, x := range h.terms {
		if x.holder == who && x.What == "granted" { // one that is done has said until when
			x.Until = min(x.Until, when)
		}
	}
}

func (h *history) grants() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.terms)
}

func (h *history) refused() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.late
}

func (h *history) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return fmt.Sprintf("%d grants, %d of them lost", len(h.terms), h.lost)
}

// check reads the history, when all are silent.
func (h *history) check(t *testing.T, r *resource) {
	t.Helper()
	for _, f := range h.faults {
		t.Error(f)
	}
	for _, token := range h.twice {
		t.Errorf("token %v was granted twice", token)
	}
	var terms []*term
	for _, x := range h.terms {
		terms = append(terms, x)
	}
	slices.SortFunc(terms, func(a, b *term) int { return cmp.Compare(a.Token, b.Token) })
	for i, x := range terms {
		for _, before := range terms[max(0, i-50):i] {
			if d := before.Asked.sub(x.At); d > 0 {
				t.Errorf("token %v was asked for %v after the greater %v was held", before.Token, d, x.Token)
			}
			if d := before.Until.sub(x.At); d > 0 {
				t.Errorf("%s trusted token %v for %v after %s held %v", before.holder, before.Token, d, x.holder, x.Token)
			}
		}
	}
	if r.value != r.writes {
		t.Errorf("%d increments were let through, and the value is %d", r.writes, r.value)
	}
	if !slices.IsSorted(r.accepted) {
		t.Error("the tokens that the resource accepted went down")
	}
}
