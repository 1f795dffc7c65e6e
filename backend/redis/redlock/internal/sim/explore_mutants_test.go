package sim

import "testing"

// TestExploreWrong breaks the rules in one way after the other, and sees that an exploration notices.
func TestExploreWrong(t *testing.T) {
	for _, c := range []struct {
		name     string
		mutation ruleMutation
		left     budget
	}{
		{"no write-back", ruleMutation{noWriteBack: true}, budget{vanish: 1}},
		{"unchecked write-back", ruleMutation{unchecked: true}, budget{vanish: 2}},
		{"acknowledgements from any node", ruleMutation{anyNode: true}, budget{vanish: 4}},
		{"repair before the grant", ruleMutation{earlyRepair: true}, budget{vanish: 2, repair: 2}},
		{"counters lost", ruleMutation{countersLost: true}, budget{restart: 1}},
		{"counters read before the time is over", ruleMutation{earlyRead: true}, budget{vanish: 1, restart: 1}},
		{"restart that answers at once", ruleMutation{atOnce: true}, budget{vanish: 1, restart: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := explore(&c.mutation, c.left)
			if e.found == "" {
				t.Errorf("not caught in %d states", e.seen.n)
			}
			t.Logf("caught in %d states: %s", e.seen.n, e.found)
		})
	}
}
