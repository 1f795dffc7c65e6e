package sentinel_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/fencing"
	"github.com/fencelock/fencelock/integration/internal/oldbuild"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// patch is a change of a source: a text that is there once, and what stands in its place.
type patch struct{ file, text, instead string }

// unchecked takes a server's word, however long it has been silent.
var unchecked = patch{"../../backend/redis/internal/node/vouch.go", "if l.tooOld(at, got) {", "if false && l.tooOld(at, got) {"}

// buildParty builds the program of sources that are changed.
func buildParty(t *testing.T, patches ...patch) (program string) {
	t.Helper()
	dir := t.TempDir()
	replace := map[string]string{}
	for i, p := range patches {
		path, err := filepath.Abs(p.file)
		if err != nil {
			t.Fatal(err)
		}
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(source), p.text); n != 1 {
			t.Fatalf("the patch of %s does not fit any more: %q is there %d times", p.file, p.text, n)
		}
		replace[path] = filepath.Join(dir, string(rune('a'+i))+".go")
		if err := os.WriteFile(replace[path], []byte(strings.Replace(string(source), p.text, p.instead, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(dir, "party")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", program, "./party").CombinedOutput()
	if err != nil {
		t.Fatalf("the program does not build: %v\n%s", err, out)
	}
	return program
}

// party is a client in a process of its own.
type party struct {
	*oldbuild.Process
	t *testing.T
}

func startParty(t *testing.T, program string, e *env, ttl time.Duration) *party {
	t.Helper()
	p := &party{oldbuild.Start(t, program, strings.Join(e.SentinelAddrs(), ","), servers.MasterName, e.ns, ttl.String()), t}
	if first, err := p.Answer(); err != nil || first != "open" {
		t.Fatalf("the party: %q, %v", first, err)
	}
	return p
}

func (p *party) order(words ...string) string {
	p.t.Helper()
	answer, err := p.Order(strings.Join(words, " "))
	if err != nil || strings.HasPrefix(answer, "error") {
		p.t.Fatalf("the party: %q: %q, %v", words, answer, err)
	}
	return answer
}

// outcome is what it has got, by name.
func (p *party) outcome() map[string]fencing.Token {
	p.t.Helper()
	got := map[string]fencing.Token{}
	for _, word := range strings.Fields(p.order("outcome"))[1:] {
		key, number, _ := strings.Cut(word, "=")
		token, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			p.t.Fatalf("the party has %q", word)
		}
		got[key] = fencing.Token(token)
	}
	return got
}
