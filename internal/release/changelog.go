package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const unreleasedHeading = "## [Unreleased]\n"

// changelog gives what is written under Unreleased to the version.
func (r repository) changelog(version string, now time.Time) error {
	name := filepath.Join(r.dir, "CHANGELOG.md")
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	number := strings.TrimPrefix(version, "v")
	if strings.Contains(string(text), "## ["+number+"]") {
		return fmt.Errorf("CHANGELOG.md has a heading for %s; what is new belongs under Unreleased", number)
	}
	before, after, ok := strings.Cut(string(text), unreleasedHeading)
	if !ok {
		return fmt.Errorf("CHANGELOG.md has no heading «%s»", strings.TrimSpace(unreleasedHeading))
	}
	news, _, _ := strings.Cut(after, "\n## ")
	if !strings.Contains(news, "\n* ") && !strings.Contains(news, "\n- ") {
		return fmt.Errorf("CHANGELOG.md says nothing under Unreleased: what is new in %s?", number)
	}
	heading := fmt.Sprintf("\n## [%s] - %s\n", number, now.UTC().Format(time.DateOnly))
	return os.WriteFile(name, []byte(before+unreleasedHeading+heading+after), 0o644) //nolint:gosec // a document, which everybody may read
}
