package main

import (
	"bytes"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWorkStops(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), "mem://loss-test", &out); err != nil {
		t.Fatal(err)
	}
	want := "the report writer has the lock\n" +
		"the work stops: fencelock: hold \"reports/2026-11\" (mem): lease lost: the server ended it: evicted by an operator\n" +
		"Do returned an error that matches ErrLost\n"
	if out.String() != want {
		t.Errorf("it said\n%s\nwant\n%s", &out, want)
	}
}
