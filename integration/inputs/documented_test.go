package inputs_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
)

var indentedURL = regexp.MustCompile(`(?m)^//\t([a-z]+s://\S+)$`)

// TestProductionURLs: go doc prints no examples, so each package comment has a URL for production,
// which lacks nothing but its files.
func TestProductionURLs(t *testing.T) {
	for name, words := range map[string][]string{
		"redis": {"rediss://", "namespace=", "password_file=", "ca="}, "etcd": {"etcds://", "/billing", "password_file=", "ca="},
		"zookeeper": {"zookeepers://", "namespace=", "ca="},
	} {
		text, err := os.ReadFile("../../backend/" + name + "/doc.go")
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, match := range indentedURL.FindAllStringSubmatch(string(text), -1) {
			u := match[1]
			if strings.Contains(u, "[") {
				continue // the form
			}
			found = true
			for _, w := range words {
				if !strings.Contains(u, w) {
					t.Errorf("%s has no %s", u, w)
				}
			}
			c, err := fencelock.Open(t.Context(), u, &fencelock.Options{Logger: locktest.Silent})
			if err == nil {
				_ = c.Close()
			}
			if err == nil || !strings.Contains(err.Error(), "no such file") {
				t.Errorf("%s: %v; want that a file is not there", u, err)
			}
		}
		if !found {
			t.Errorf("backend/%s/doc.go has no URL for production", name)
		}
	}
}
