package mem_test

import (
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver"
)

// Every URL with the same name is a client of the same space; namespaces in it
// do not meet, not even where their text would run together.
func TestNamedSpaces(t *testing.T) {
	open := func(raw string) driver.Backend {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		b, err := mem.Open(t.Context(), u, driver.OpenOptions{})
		if err != nil {
			t.Fatalf("Open(%s): %v", raw, err)
		}
		return b
	}
	take := func(raw, key string) error {
		_, err := open(raw).Acquire(t.Context(), driver.Request{Key: key, AttemptID: raw + key, TTL: time.Minute})
		return err
	}
	for _, x := range []struct {
		raw, key string
		held     bool
	}{
		{"mem://" + t.Name(), "ab", false},
		{"mem://" + t.Name(), "ab", false}, // the same attempt again
		{"mem://" + t.Name() + "?", "ab", true},
		{"mem://" + t.Name() + "?namespace=fencelock", "ab", true},
		{"mem://" + t.Name() + "?namespace=a", "b", false},
		{"mem://" + t.Name() + "?namespace=a", "ab", false},
		{"mem://" + t.Name() + "/?namespace=a", "b", true},
		{"mem://" + t.Name() + "2", "ab", false},
		{"mem://", t.Name(), false},
		{"mem:///", t.Name(), true},
	} {
		if err := take(x.raw, x.key); errors.Is(err, driver.ErrHeld) != x.held || err != nil && !x.held {
			t.Errorf("%s %q: %v, want held %v", x.raw, x.key, err, x.held)
		}
	}
}

func TestRegistered(t *testing.T) {
	c, err := fencelock.Open(t.Context(), "mem://"+t.Name(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.Info().Name != "mem" {
		t.Errorf("Info: %+v", c.Info())
	}
}
