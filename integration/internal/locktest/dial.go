package locktest

import (
	"io"
	"net/url"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/driver"
)

// Dial opens a backend by a URL, in which there is no password, and closes it at the
// test's end.
func Dial(t T, open fencelock.Opener, u *url.URL) driver.Backend {
	t.Helper()
	b, err := open(t.Context(), u, driver.OpenOptions{Logger: Silent})
	if err != nil {
		t.Fatalf("opening %s at %s: %v", u.Scheme, u.Host, err)
	}
	closeAtEnd(t, b)
	return b
}

func closeAtEnd(t T, c io.Closer) {
	t.Helper()
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}
