package raftlocal

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const page = "../../docs/raftlocal.md"

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Skipf("%v: it is in the repository, and not in the module", err)
	}
	return string(b)
}

// TestPage: the page shows the program that is compiled, has all metrics, and is short enough to be read.
func TestPage(t *testing.T) {
	t.Parallel()
	text := read(t, page)
	program := read(t, "example/member/main.go")
	if _, shown, _ := strings.Cut(program, "\nfunc main() {\n"); !strings.Contains(text, "func main() {\n"+shown) {
		t.Error("the page does not show example/member/main.go as it is")
	}
	source := read(t, "operate_metrics.go")
	names := regexp.MustCompile(`e\.(?:metric|flag|head|gauge|counter|syncs)\("([a-z_]+)"`).FindAllStringSubmatch(source, -1)
	if len(names) < 20 {
		t.Fatalf("%d metrics are found", len(names))
	}
	for _, m := range names {
		if m[1] != "info" && !regexp.MustCompile("`"+m[1]+"[`{]").MatchString(text) {
			t.Errorf("the page has nothing of the metric %s", m[1])
		}
	}
	if n := strings.Count(text, "\n"); n > 250 {
		t.Errorf("the page has %d lines, and 250 at most", n)
	}
}

// TestPageEnvironment: systemd and sh read the same of the page's member.env, and the page's way to restore hands
// it on.
func TestPageEnvironment(t *testing.T) {
	t.Parallel()
	text := read(t, page)
	_, env, _ := strings.Cut(text, "`/etc/locks/member.env`, here of")
	_, env, _ = strings.Cut(env, "```sh\n")
	env, _, _ = strings.Cut(env, "```")
	const with = `runuser -u locks -- sh -c '`
	_, restore, found := strings.Cut(text, with)
	restore, _, _ = strings.Cut(restore, "'")
	if !found || !strings.Contains(restore, "member restore ") {
		t.Fatal("the page does not say how to restore")
	}
	// What systemd does with a value in single quotes is to take what is between them.
	m := regexp.MustCompile(`(?m)^LOCKS_URL='([^'\\]*)'$`).FindStringSubmatch(env)
	if m == nil {
		t.Fatalf("no quoted LOCKS_URL: %s", env)
	}
	dir := t.TempDir()
	file, program := filepath.Join(dir, "member.env"), filepath.Join(dir, "member")
	if err := os.WriteFile(file, []byte(env), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, []byte("#!/bin/sh\nprintf %s \"$LOCKS_URL\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	restore = strings.ReplaceAll(strings.ReplaceAll(restore, "/etc/locks/member.env", file), "member restore", program+" restore")
	out, err := exec.CommandContext(t.Context(), sh, "-c", restore).CombinedOutput()
	if err != nil || string(out) != m[1] {
		t.Errorf("%s: %q, %v, want %q", restore, out, err, m[1])
	}
	u, err := url.Parse(m[1])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"id", "cluster", "peers", "ca", "cert", "key"} {
		if u.Query().Get(name) == "" {
			t.Errorf("%s has no %s=", m[1], name)
		}
	}
}
