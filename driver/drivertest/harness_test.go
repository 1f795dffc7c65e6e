package drivertest

import (
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/driver"
)

func TestHarnessFaults(t *testing.T) {
	for word, spoil := range map[string]func(h *Harness){
		"New is nil":          func(h *Harness) { h.New = nil },
		"Name is empty":       func(h *Harness) { h.Want.Name = "" },
		"Guarantee is zero":   func(h *Harness) { h.Want.Guarantee = 0 },
		"bound nothing":       func(h *Harness) { h.Want.MaxTTL = 0 },
		"is not from MinTTL":  func(h *Harness) { h.TTL = time.Microsecond },
		"which is no rule":    func(h *Harness) { h.Skip = map[string]string{"Exclusionn": "typo"} },
		"which is no hook":    func(h *Harness) { h.Lacks = map[string]string{"Partitions": "typo"} },
		"but the hook is set": func(h *Harness) { h.Lacks = map[string]string{"DestroyGrant": "why"} },
		"gives no reason":     func(h *Harness) { h.DestroyGrant = nil; h.Lacks = map[string]string{"DestroyGrant": ""} },
		"URL is empty":        func(h *Harness) { h.URL = "" },
	} {
		w := newWorld()
		h := w.harness(1)
		spoil(&h)
		broken := Check(t.Context(), h)
		if len(broken) == 0 || !strings.Contains(broken[0].Message, word) {
			t.Errorf("want a fault that says %q, got %v", word, broken)
		}
		w.end()
	}
	if broken := Check(t.Context(), newWorld().harness(1), "NoSuchRule"); len(broken) != 1 {
		t.Errorf("Check of a rule that does not exist: %v", broken)
	}
}

// What is not tested is either named with its reason, and fatal in CI, or has
// nothing to test.
func TestVerdicts(t *testing.T) {
	h := newWorld().harness(1)
	h.Want.Features = driver.Push
	h.Want.Guarantee = driver.Advisory
	h.Partition = nil
	h.KillSession = nil
	h.Want.Tokenless = true
	h.Lacks = map[string]string{"KillSession": "there are none"}
	h.Skip = map[string]string{"Keys": "issue 7"}
	for name, want := range map[string]verdict{
		"Exclusion":                  run,
		"PushIsPrompt":               run,
		"FirstComeFirstServed":       doesNotApply, // not claimed
		"TokensRiseThroughFailover":  doesNotApply, // not promised
		"TokensRiseThroughExpiry":    doesNotApply, // there are none
		"DeadSessionIsTold":          doesNotApply, // no such thing
		"UnavailableIsNotDefinitive": skip,         // hook missing
		"Keys":                       skip,         // by name
	} {
		got, why := Rules()[ruleIndex(name)].verdict(&h)
		if got != want || got != run && why == "" {
			t.Errorf("verdict on %s is %v (%q), want %v", name, got, why, want)
		}
	}
	broken := Check(t.Context(), h, "Keys", "CutHolderLapses", "DeadSessionIsTold", "FirstComeFirstServed")
	if len(broken) != 2 {
		t.Errorf("Check passes over what is skipped: %v", broken)
	}
}

func TestStrict(t *testing.T) {
	for _, x := range []struct {
		ci, strict string
		want       bool
	}{{"", "", false}, {"true", "", true}, {"", "1", true}, {"false", "0", false}} {
		t.Setenv("CI", x.ci)
		t.Setenv("FENCELOCK_STRICT", x.strict)
		if strict() != x.want {
			t.Errorf("CI=%q FENCELOCK_STRICT=%q: strict is %v", x.ci, x.strict, !x.want)
		}
	}
}

// A rule that hangs is told, its clean-ups run, and what it says later is not
// heard.
func TestWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		defer w.end()
		h := w.harness(1)
		h.complete()
		var said []string
		cleaned := 0
		rec := newRecorder(t.Context(), "hangs")
		rec.fail = func(msg string) { said = append(said, msg) }
		free := make(chan struct{})
		watch(rec, &h, Rule{Name: "Hangs", Sentence: "It ends.", check: func(r *fixture) {
			r.Cleanup(func() { cleaned++ })
			<-free
			r.Errorf("too late")
		}})
		close(free)
		synctest.Wait()
		if len(said) != 1 || !strings.Contains(said[0], "did not end") || !strings.Contains(said[0], "It ends.") {
			t.Errorf("the watchdog said %q", said)
		}
		if cleaned != 1 {
			t.Errorf("the clean-up ran %d times", cleaned)
		}
	})
}

func TestRulesAreWellFormed(t *testing.T) {
	var names []string
	for _, r := range Rules() {
		if slices.Contains(names, r.Name) {
			t.Errorf("two rules are called %s", r.Name)
		}
		names = append(names, r.Name)
		if !strings.HasSuffix(r.Sentence, ".") || r.check == nil {
			t.Errorf("rule %s has no sentence or no check", r.Name)
		}
		if _, known := (&Harness{}).hooks()[r.hook]; r.hook != "" && !known {
			t.Errorf("rule %s needs %s, which is no hook", r.Name, r.hook)
		}
	}
	keys := strangeKeys()
	slices.Sort(keys)
	if n := len(slices.Compact(slices.Clone(keys))); n != len(keys) {
		t.Errorf("%d of the strange keys are there twice", len(keys)-n)
	}
}

// seeds returns n seeds and says which.
func seeds(t *testing.T, n int) []uint64 {
	t.Helper()
	s := make([]uint64, n)
	for i := range s {
		s[i] = rand.Uint64()
	}
	t.Logf("seeds %d", s)
	return s
}

// A backend that keeps every rule passes every rule.
func TestGoodBackendPasses(t *testing.T) {
	for _, seed := range seeds(t, 3) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			defer w.end()
			h := w.harness(seed)
			for _, v := range Check(t.Context(), h) {
				t.Error(v)
			}
		})
	}
}

// Each name in brackets in the contract is a rule of the suite.
func TestContractNamesRules(t *testing.T) {
	text, err := os.ReadFile("../backend.go")
	if err != nil {
		t.Fatal(err)
	}
	// A rule comes at the end of a sentence; a link of godoc does not.
	names := regexp.MustCompile(`\[([A-Z]\w+)\](?:[.:;]|,? and|\n)`).FindAllStringSubmatch(string(text), -1)
	if len(names) < 20 {
		t.Fatalf("found %d names of rules, something is wrong with the search", len(names))
	}
	for _, m := range names {
		switch m[1] {
		case "Grant", "Info", "HeldError", "MaxKeyLen", "JoinIdentity", "Guarantee", "ErrUnavailable", "ErrHeld", "ErrNotHeld":
			continue
		}
		if ruleIndex(m[1]) < 0 {
			t.Errorf("the contract names the rule %s, which does not exist", m[1])
		}
	}
}
