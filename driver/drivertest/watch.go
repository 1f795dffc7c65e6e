package drivertest

import (
	"fmt"
	"runtime"
	"time"
)

// ruleTimeout is how long a rule may take. Those that wait for leases to run out
// need a few TTLs; a fail-over may need a minute.
func ruleTimeout(h *Harness) time.Duration {
	return 2*time.Minute + 30*h.TTL + 10*h.Slack
}

// watch runs one rule in a goroutine of its own and barks if it does not end.
func watch(rec *recorder, h *Harness, rule Rule) {
	defer rec.close()
	rec.quote = fmt.Sprintf("\n\trule %s: %s\n\tseed %d", rule.Name, rule.Sentence, h.Seed)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer rec.end() // also when Fatalf ends the goroutine
		rule.check(newFixture(rec, h, rule))
	}()
	dog := time.NewTimer(ruleTimeout(h))
	defer dog.Stop()
	select {
	case <-done:
		return
	case <-dog.C:
	}
	stacks := make([]byte, 1<<16)
	stacks = stacks[:runtime.Stack(stacks, true)]
	rec.Errorf("the rule did not end within %v", ruleTimeout(h))
	rec.Logf("goroutines when the watchdog barked:\n%s", stacks)
	rec.end() // closing the backends may set the rule free
	dog.Reset(h.Slack)
	select {
	case <-done:
	case <-dog.C:
		rec.Logf("the rule is stuck for good: its goroutine is left behind")
	}
}
