package locktest

import (
	"net/url"
	"os"
	"strings"

	"github.com/fencelock/fencelock"
)

// Secret is a password with characters that must be percent-encoded in a URL.
const Secret = "s3cr:t/@?#% ä"

// OpenURL opens a URL, has a lock taken and freed through it, and closes it again. An error must not show
// [Secret].
func OpenURL(t T, u string) error {
	t.Helper()
	c, err := fencelock.Open(t.Context(), u, &fencelock.Options{Namespace: Namespace(), Logger: Silent})
	if err != nil {
		if plain, encoded := Secret, url.QueryEscape(Secret); strings.Contains(err.Error(), plain) || strings.Contains(err.Error(), encoded) {
			t.Errorf("the error shows the password: %v", err)
		}
		return err
	}
	Unlock(t, Lock(t, c, "k"))
	if err := c.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	return nil
}

// ExpectRefusal wants [OpenURL] to fail, with words that tell why.
func ExpectRefusal(t T, u string, why ...string) {
	t.Helper()
	err := OpenURL(t, u)
	if err == nil {
		t.Errorf("Open succeeded; want an error that says %q", why)
		return
	}
	for _, w := range why {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("Open: %v; want an error that says %q", err, w)
		}
	}
}

// Permissions reads the rules of ACL SETUSER that the package comment in a doc.go says are enough, for a
// namespace.
func Permissions(t T, doc, ns string) []any {
	t.Helper()
	text, err := os.ReadFile(doc)
	if err != nil {
		t.Fatalf("%v", err)
	}
	_, rules, ok := strings.Cut(string(text), "ACL SETUSER locks on >password ")
	if !ok {
		t.Fatalf("the package comment has no line with ACL SETUSER")
	}
	rules, _, _ = strings.Cut(rules, "\n//\n")
	var words []any
	for _, w := range strings.Fields(strings.ReplaceAll(rules, "//", "")) {
		words = append(words, strings.ReplaceAll(w, "fencelock:", ns+":"))
	}
	return words
}
