package address_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/driver/address"
)

// TestContact: a line for each change, and none of a kind more often than once a minute.
func TestContact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		c := address.NewContact(slog.New(slog.NewTextHandler(&out, nil)))
		expect := func(step string, words ...string) {
			t.Helper()
			synctest.Wait()
			if n := strings.Count(out.String(), "\n"); n != min(len(words), 1) {
				t.Errorf("%s: %d lines:\n%s", step, n, out.String())
			}
			for _, w := range words {
				if !strings.Contains(out.String(), w) {
					t.Errorf("%s: want %q in:\n%s", step, w, out.String())
				}
			}
			out.Reset()
		}
		c.Lost(errors.New("while opening"))
		c.Warn("while opening")
		c.Reached()
		expect("while opening, whose error says it")
		c.Lost(errors.New("it is off"))
		expect("lost", "WARN", "cannot be reached", "it is off")
		c.Lost(errors.New("it is off"))
		expect("still lost")
		time.Sleep(3 * time.Second)
		c.Reached()
		expect("back", "INFO", "reached again", "after=3s")
		c.Reached()
		expect("still there")
		for range 5 {
			c.Lost(errors.New("flapping"))
			c.Reached()
		}
		expect("within a minute")
		time.Sleep(time.Minute)
		c.Lost(errors.New("off again"))
		expect("a minute later", "off again", `"left out before"=5`)
		c.Warn("expired", "claims", 3)
		expect("something else", "expired", "claims=3")
		var none *address.Contact
		none.Reached()
		none.Lost(nil)
		none.Warn("nobody")
	})
}
