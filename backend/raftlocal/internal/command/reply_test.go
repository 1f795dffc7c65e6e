package command

import (
	"bytes"
	"math"
	"reflect"
	"testing"
	"time"
)

func replies() []Reply {
	return []Reply{
		{},
		{Code: OK},
		{Code: OK, Number: 1 << 40},
		{Code: Granted, Number: 3, Token: math.MaxUint64},
		{Code: OK, Claims: []Claim{{}, {Number: 5, Code: Granted, Token: 300}, {Number: math.MaxUint64, Code: NotHeld}}},
		{Code: OK, Number: 7, Locks: []Lock{{}, {Key: "k", AttemptID: "o", Meta: "m", Token: 7, Left: time.Minute}}},
		{Code: OK, Status: Status{Held: true}},
		{Code: OK, Status: Status{Waiters: -1}},
		{Code: OK, Status: Status{Held: true, AttemptID: "o", Meta: "m", Token: 7, Left: time.Minute, Waiters: 3}},
	}
}

func decodeReply(data []byte) (Reply, error) {
	f := FieldsOf(data)
	r := f.Reply()
	return r, f.Done()
}

func TestReplyComesBack(t *testing.T) {
	for _, want := range replies() {
		data := AppendReply(nil, &want)
		if got, err := decodeReply(data); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v\ncame back as\n%+v, %v", want, got, err)
		}
		for n := range data {
			if _, err := decodeReply(data[:n]); err == nil {
				t.Errorf("%d of %d bytes of %+v were taken", n, len(data), want)
			}
		}
	}
}

// FuzzReply: no input makes it panic, and what is taken has one encoding.
func FuzzReply(f *testing.F) {
	for _, r := range replies() {
		f.Add(AppendReply(nil, &r))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decodeReply(data)
		if err != nil {
			return
		}
		if again := AppendReply(nil, &r); !bytes.Equal(again, data) {
			t.Errorf("%x\nwas taken for %+v\nwhich is\n%x", data, r, again)
		}
	})
}
