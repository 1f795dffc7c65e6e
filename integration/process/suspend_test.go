package process_test

import "testing"

// suspendedHolder stops a holder in the middle of its work, until another has the lock
// and has written. The first thing that it sees when it goes on is that it has lost.
// What it writes all the same is refused.
func suspendedHolder(t *testing.T, w *world) {
	holder, next := w.client(t, "holder", ttl), w.client(t, "next", patient)
	held := holder.ask(t, "lock", "granted")
	holder.tell(t, "work")
	holder.expect(t, "renewed", soon)
	next.tell(t, "lock")
	w.awaitWaiters(t, 1)

	suspended := now()
	if err := holder.suspend(); err != nil {
		t.Fatal(err)
	}
	got := w.expectTakeover(t, next, suspended, held, holder.trustedUntil())
	w.writes(t, next, "ok")

	resumed := now()
	if err := holder.resume(); err != nil {
		t.Fatal(err)
	}
	ended := holder.expect(t, "ended", soon)
	if ended.How != "lost" || ended.At < resumed {
		t.Errorf("work ended with %q, %v after the process was resumed", ended.How, ended.At.sub(resumed))
	}
	if late := ended.Until.sub(resumed); late > 0 {
		t.Errorf("Err was nil when asked %v after the process was resumed", late)
	}
	w.mustNotMatter(t, holder, next, held, got)
	if how := holder.ask(t, "unlock", "unlocked").How; how != "lost" {
		t.Errorf("Unlock of the lost lease: %s", how)
	}
	w.goesOn(t, holder, next, got)
}

func (w *world) writes(t *testing.T, c *child, want string) {
	t.Helper()
	if how := c.ask(t, "write 1", "written").How; how != want {
		t.Errorf("the write of %s: %s, want %s", c.name, how, want)
	}
}

// mustNotMatter has the old holder do harm: its late write is refused, and the new
// holder keeps the lock.
func (w *world) mustNotMatter(t *testing.T, old, holder *child, was, is word) {
	t.Helper()
	if how := old.ask(t, "check", "checked").How; how != "lost" && how != "unlocked" {
		t.Errorf("the old lease: %s", how)
	}
	w.writes(t, old, "stale")
	if how := holder.ask(t, "check", "checked").How; how != "ok" {
		t.Errorf("the new lease: %s", how)
	}
	s, err := w.watcher.Inspect(t.Context(), key)
	if err != nil || !s.Held() || s.Holders[0].Token != is.Token {
		t.Errorf("Inspect = %+v, %v; want the holder of %v, after %v", s, err, is.Token, was.Token)
	}
	w.writes(t, holder, "ok")
}

// goesOn has the old holder wait for its turn again.
func (w *world) goesOn(t *testing.T, old, holder *child, is word) {
	t.Helper()
	old.tell(t, "lock")
	w.awaitWaiters(t, 1)
	if how := holder.ask(t, "unlock", "unlocked").How; how != "ok" {
		t.Errorf("Unlock of %s: %s", holder.name, how)
	}
	again := old.expect(t, "granted", soon)
	if again.Token <= is.Token {
		t.Errorf("the next token is %v, after %v", again.Token, is.Token)
	}
	w.writes(t, old, "ok")
	if how := old.ask(t, "unlock", "unlocked").How; how != "ok" {
		t.Errorf("Unlock of %s: %s", old.name, how)
	}
}
