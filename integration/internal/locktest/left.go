package locktest

// ExpectNothingLeft waits for what is cleaned up in the background, until there are no
// names on a server that should not be there. It is for locks with a TTL well above
// Soon, so that it is not their expiry that cleans up.
func ExpectNothingLeft(t T, list func() (names []string)) {
	t.Helper()
	var names []string
	gone := Within(Soon, func() bool {
		names = list()
		return len(names) == 0
	})
	if !gone {
		t.Fatalf("left behind: %q", names)
	}
}
