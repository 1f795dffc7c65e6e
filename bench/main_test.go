package main

import (
	"slices"
	"testing"
)

func TestParse(t *testing.T) {
	c, err := parse([]string{"-backend", "redis", "-only", "alone,queue", "-rounds", "2"})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.only, []string{"alone", "queue"}) || c.rounds != 2 || c.leases != 100_000 {
		t.Errorf("parsed %+v", c)
	}
	for _, wrong := range [][]string{{"-backend", "etcd"}, {"-only", "nothing"}, {"-leases", "0"}, {"stray"}} {
		if _, err := parse(wrong); err == nil {
			t.Errorf("parse(%q) succeeded", wrong)
		}
	}
}
