package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOneDoesIt(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), "mem://trylock-test", &out); err != nil {
		t.Fatal(err)
	}
	var said []string
	for line := range strings.Lines(out.String()) {
		_, what, _ := strings.Cut(strings.TrimSpace(line), ": ")
		said = append(said, what)
	}
	want := []string{"another does it", "another does it", "the job is done", "it has been done"}
	if !slices.Equal(said, want) {
		t.Errorf("it said\n%s", &out)
	}
}
