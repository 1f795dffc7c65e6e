package fencing_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/fencelock/fencelock/fencing"
)

func TestParse(t *testing.T) {
	for _, s := range []string{"1", "42", "9223372036854775807"} {
		tok, err := fencing.Parse(s)
		if err != nil || tok.String() != s {
			t.Errorf("Parse(%q) = %v, %v", s, tok, err)
		}
	}
	for _, s := range []string{"", "0", "-1", "+1", " 1", "1 ", "1e+14", "0x1", "9223372036854775808", "1_000"} {
		if tok, err := fencing.Parse(s); !errors.Is(err, fencing.ErrBadToken) {
			t.Errorf("Parse(%q) = %v, %v; want ErrBadToken", s, tok, err)
		}
	}
}

func TestGateRefusesLowerTokens(t *testing.T) {
	var g fencing.Gate
	for _, step := range []struct {
		key   string
		token fencing.Token
		ok    bool
	}{
		{"a", 5, true},
		{"a", 5, true}, // a holder writes more than once
		{"a", 9, true},
		{"a", 5, false},
		{"b", 1, true}, // keys do not touch each other
		{"a", 8, false},
		{"a", 9, true},
	} {
		err := g.Admit(step.key, step.token)
		if step.ok != (err == nil) || err != nil && !errors.Is(err, fencing.ErrStale) {
			t.Errorf("Admit(%s, %d) = %v, want admitted %v", step.key, step.token, err, step.ok)
		}
	}
	if err := g.Admit("a", 0); !errors.Is(err, fencing.ErrBadToken) {
		t.Errorf("Admit(a, 0) = %v, want ErrBadToken", err)
	}
	var stale *fencing.StaleError
	if err := g.Admit("a", 3); !errors.As(err, &stale) || stale.Highest != 9 || stale.Token != 3 || stale.Key != "a" {
		t.Errorf("Admit(a, 3) = %v, want a StaleError that names key, token and highest", err)
	}
	if h := g.Highest("a"); h != 9 {
		t.Errorf("Highest(a) = %d, want 9", h)
	}
	if h := g.Highest("never"); h != 0 {
		t.Errorf("Highest(never) = %d, want 0", h)
	}
}

// Whatever the order of arrival, writes that got through never go back.
func TestGateDoKeepsWritesInOrder(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	tokens := rnd.Perm(500)
	var (
		g       fencing.Gate
		written []fencing.Token
		wg      sync.WaitGroup
	)
	for _, n := range tokens {
		wg.Go(func() {
			tok := fencing.Token(n + 1)
			err := g.Do("k", tok, func() error {
				written = append(written, tok) // guarded by the gate itself
				return nil
			})
			if err != nil && !errors.Is(err, fencing.ErrStale) {
				t.Errorf("Do: %v", err)
			}
		})
	}
	wg.Wait()
	for i := 1; i < len(written); i++ {
		if written[i] < written[i-1] {
			t.Fatalf("token %d was written after %d", written[i], written[i-1])
		}
	}
	boom := errors.New("disk full")
	if err := g.Do("k", 501, func() error { return boom }); !errors.Is(err, boom) {
		t.Errorf("Do = %v, want write's own error", err)
	}
}
