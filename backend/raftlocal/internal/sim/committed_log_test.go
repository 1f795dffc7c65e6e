package sim

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// newCommittedLog returns a committedLog with one session, and what it finds wrong.
func newCommittedLog(t *testing.T) (*committedLog, *string) {
	t.Helper()
	found := ""
	fail := func(format string, args ...any) {
		if found == "" {
			found = fmt.Sprintf(format, args...)
		}
	}
	r := &model{fail: fail, ended: func(*modelClaim) {}, claimed: func(string) {}}
	x := &committedLog{fail: fail, model: r, keys: map[string]*keyHistory{}}
	r.stand = x.write
	x.applied("m1", 0, firstEntry, 1, command.Batch{}, nil, nil)
	open := command.Command{Op: command.Open, ID: command.SessionID{1}, TTL: time.Hour}
	x.applied("m1", 0, firstEntry+1, 1, command.Batch{Commands: []command.Command{open}},
		[]command.Answer{{ID: open.ID, Reply: command.Reply{Code: command.OK, Number: 1}}}, nil)
	if found != "" {
		t.Fatal(found)
	}
	return x, &found
}

func acquire(seq uint64, attemptID string) command.Command {
	return command.Command{Op: command.Acquire, Session: 1, Seq: seq, Lowest: 1, Key: "k", AttemptID: attemptID, TTL: time.Second, Wait: true}
}

func answered(seq uint64, r command.Reply) command.Answer {
	return command.Answer{Session: 1, Seq: seq, Reply: r}
}

func TestTruth(t *testing.T) {
	const i = firstEntry + 2
	granted := command.Reply{Code: command.Granted, Number: 2, Token: i}
	waiting := command.Reply{Code: command.Waiting, Number: 3}
	first := command.Batch{Commands: []command.Command{acquire(1, "a"), acquire(2, "b")}}
	right := []command.Answer{answered(1, granted), answered(2, waiting)}
	expired := []command.Push{
		{Session: 1, Claim: command.Claim{Number: 2, Code: command.Expired, Token: i}},
		{Session: 1, Claim: command.Claim{Number: 3, Code: command.Granted, Token: i + 1}},
	}
	for _, c := range []struct {
		name string
		do   func(x *committedLog)
		want string
	}{
		{"right", func(x *committedLog) {
			x.applied("m1", 5, i, 1, first, right, nil)
			x.applied("m2", 9, i, 1, first, right, nil)
			x.state("m1", i, 7)
			x.state("m2", i, 7)
			x.applied("m1", 9, i+1, 1, command.Batch{Commands: []command.Command{acquire(1, "a")}}, right[:1], nil)
			x.applied("m1", 9, i+2, 1, command.Batch{}, nil, nil)
		}, ""},
		{"another entry", func(x *committedLog) {
			x.applied("m1", 5, i, 1, first, right, nil)
			x.applied("m2", 5, i, 2, first, right, nil)
		}, "log matching"},
		{"another outcome", func(x *committedLog) {
			x.applied("m1", 5, i, 1, first, right, nil)
			x.applied("m2", 5, i, 1, first, right, expired)
		}, "another outcome"},
		{"another state", func(x *committedLog) {
			x.applied("m1", 5, i, 1, first, right, nil)
			x.state("m1", i, 7)
			x.state("m2", i, 8)
		}, "another state"},
		{"a gap", func(x *committedLog) { x.applied("m1", 5, i+1, 1, first, right, nil) }, "the one before"},
		{"two holders", func(x *committedLog) {
			x.applied("m1", 5, i, 1, first, []command.Answer{right[0], answered(2, command.Reply{Code: command.Granted, Number: 3, Token: i + 1})}, nil)
		}, "must be"},
		{"carried out twice", func(x *committedLog) {
			x.applied("m1", 5, i, 1, first, right, nil)
			again := granted
			again.Token++
			x.applied("m1", 5, i+1, 1, command.Batch{Commands: []command.Command{acquire(1, "a")}}, []command.Answer{answered(1, again)}, nil)
		}, "must be"},
		{"early expiry", func(x *committedLog) {
			x.applied("m1", 5, i, 1, first, right, nil)
			x.applied("m1", 5, i+1, 1, command.Batch{Stamp: int64(time.Second) - 1}, nil, expired)
		}, "pushed"},
		{"late expiry", func(x *committedLog) {
			x.applied("m1", 5, i, 1, first, right, nil)
			x.applied("m1", 5, i+1, 1, command.Batch{Stamp: int64(time.Second)}, nil, nil)
		}, "pushed"},
		{"the clock goes back", func(x *committedLog) {
			x.applied("m1", 5, i, 1, command.Batch{Stamp: 9}, nil, nil)
			x.applied("m1", 5, i+1, 1, command.Batch{Stamp: 8}, nil, nil)
		}, "stamp"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, found := newCommittedLog(t)
			c.do(x)
			if (c.want == "") != (*found == "") || !strings.Contains(*found, c.want) {
				t.Errorf("found %q, want %q", *found, c.want)
			}
		})
	}
}

// A read may tell how a key stood at any moment since it was asked for, and no earlier.
func TestTruthOfReads(t *testing.T) {
	x, found := newCommittedLog(t)
	const i = firstEntry + 2
	x.applied("m1", 10, i, 1, command.Batch{Commands: []command.Command{acquire(1, "a")}},
		[]command.Answer{answered(1, command.Reply{Code: command.Granted, Number: 2, Token: i})}, nil)
	release := command.Command{Op: command.Release, Session: 1, Seq: 2, Lowest: 1, Key: "k", AttemptID: "a"}
	x.applied("m1", 20, i+1, 1, command.Batch{Commands: []command.Command{release}}, []command.Answer{answered(2, command.Reply{Code: command.OK})}, nil)
	if *found != "" {
		t.Fatal(*found)
	}
	held := func(v version) bool { return v.attemptID == "a" }
	free := func(v version) bool { return v.attemptID == "" }
	for asked, want := range map[time.Duration][2]bool{5: {true, true}, 15: {true, true}, 21: {false, true}} {
		if x.possible("k", asked, held) != want[0] || x.possible("k", asked, free) != want[1] {
			t.Errorf("asked at %v: held may be told: %v, free: %v", asked, x.possible("k", asked, held), x.possible("k", asked, free))
		}
	}
	if x.possible("other", 0, held) || !x.possible("other", 0, free) {
		t.Error("a key that nobody ever had was held")
	}
}
