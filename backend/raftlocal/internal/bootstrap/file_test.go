package bootstrap

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
)

var record = Record{TokenBase: 7, Members: []statemachine.Member{{ID: 1 << 63, Name: "a", Addr: "h:1"}, {ID: 5, Name: "b", Addr: "h:2"}}}

// What was saved is there after a loss of power, whole; what was being saved is there or not.
func TestSave(t *testing.T) {
	before, after := Saved{Base: 3}, Saved{Base: 3, Bound: &record}
	for n := 1; ; n++ {
		files := disk.NewMemory()
		if s, err := Load(files); s != nil || err != nil {
			t.Fatalf("of an empty directory: %+v, %v", s, err)
		}
		if err := Save(files, before); err != nil {
			t.Fatal(err)
		}
		calls := 0
		files.Hook(func(c disk.Call) (wait time.Duration, err error) {
			if calls++; calls == n {
				err = errPower
			}
			return 0, err
		})
		err := Save(files, after)
		files.Hook(nil)
		files.Crash(rand.New(rand.NewPCG(uint64(n), 1)))
		got, bad := Load(files)
		if bad != nil || got == nil {
			t.Fatalf("call %d failed, and then: %+v, %v", n, got, bad)
		}
		isAfter := reflect.DeepEqual(*got, after)
		if !isAfter && !reflect.DeepEqual(*got, before) || err == nil && !isAfter {
			t.Errorf("call %d, %v: %+v", n, err, got)
		}
		if err == nil {
			if calls < 5 {
				t.Errorf("only %d calls", calls)
			}
			return
		}
		if !errors.Is(err, errPower) {
			t.Fatal(err)
		}
	}
}

func TestStateAndForget(t *testing.T) {
	files := disk.NewMemory()
	if s, err := LoadState(files); s != nil || err != nil {
		t.Fatalf("%q, %v", s, err)
	}
	if err := SaveState(files, []byte("state")); err != nil {
		t.Fatal(err)
	}
	if s, err := LoadState(files); string(s) != "state" || err != nil {
		t.Errorf("%q, %v", s, err)
	}
	f, err := files.Open(stateFile)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("x"), 35); err != nil {
		t.Fatal(err)
	}
	if s, err := LoadState(files); err == nil {
		t.Errorf("changed, and loaded: %q", s)
	}
	if err := Save(files, Saved{Base: 1}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := Forget(files); err != nil {
			t.Fatal(err)
		}
	}
	if names, err := files.List(); len(names) > 0 || err != nil {
		t.Errorf("left: %v, %v", names, err)
	}
}

// Terms tell apart what must not begin together.
func TestTerms(t *testing.T) {
	ab := []statemachine.Member{{Name: "a", Addr: "1"}, {Name: "b", Addr: "2"}}
	ba := []statemachine.Member{{Name: "b", Addr: "2"}, {Name: "a", Addr: "1"}}
	if Terms("c", ab, nil) != Terms("c", ba, nil) {
		t.Error("the order of peers= counts")
	}
	seen := map[uint64]string{}
	for what, terms := range map[string]uint64{
		"as it is":        Terms("c", ab, nil),
		"another cluster": Terms("d", ab, nil),
		"another state":   Terms("c", ab, []byte("state")),
		"another address": Terms("c", []statemachine.Member{ab[0], {Name: "b", Addr: "3"}}, nil),
		"one more":        Terms("c", append(ab[:2:2], statemachine.Member{Name: "x", Addr: "9"}), nil),
		"mixed up":        Terms("c", []statemachine.Member{{Name: "a", Addr: "2"}, {Name: "b", Addr: "1"}}, nil),
	} {
		if other, ok := seen[terms]; ok {
			t.Errorf("%s and %s are the same", what, other)
		}
		seen[terms] = what
	}
}
