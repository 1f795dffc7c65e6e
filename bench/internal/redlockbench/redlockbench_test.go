package redlockbench

import (
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"
)

// A majority of yes ends the question, and so does what makes it impossible, whatever the others do.
func TestAskEndsAtAMajorityOrWithout(t *testing.T) {
	never := make(chan struct{})
	defer close(never)
	for _, tt := range []struct {
		name    string
		answers []string // of each node
		ok      bool
	}{
		{"two of three", []string{"yes", "silent", "yes"}, true},
		{"two say no", []string{"no", "silent", "no"}, false},
		{"one is down, one says no", []string{"down", "no", "silent"}, false},
		{"one of three", []string{"no", "yes", "no"}, false},
		{"three of five", []string{"yes", "silent", "yes", "no", "yes"}, true},
		{"two of five", []string{"yes", "no", "yes", "no", "no"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newRawHeld(&rawClient{nodes: make([]*redis.Client, len(tt.answers))}, "key", "owner")
			_, ok, _ := h.ask(h.all(), func(node int) vote {
				switch tt.answers[node] {
				case "yes":
					return vote{node: node, yes: true}
				case "down":
					return vote{node: node, err: errors.New("down")}
				case "silent":
					<-never
				}
				return vote{node: node}
			})
			if ok != tt.ok {
				t.Errorf("ask = %t", ok)
			}
		})
	}
}
