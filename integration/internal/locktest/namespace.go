package locktest

import (
	"crypto/rand"
	"strings"
)

// Namespace is one that no other test uses.
func Namespace() string { return "test-" + strings.ToLower(rand.Text()[:12]) }
