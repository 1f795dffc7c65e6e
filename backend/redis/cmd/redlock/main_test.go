package main

import (
	"net"
	"strings"
	"testing"
)

// hidden stands for a password, and must not be seen anywhere.
const hidden = "h1dden"

// TestCalls: how it is called, what it says, and how it ends. Nothing answers at the nodes.
func TestCalls(t *testing.T) {
	closed := make([]string, 3)
	for i := range closed {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		closed[i] = l.Addr().String()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	nodes := "redlock://:" + hidden + "@" + strings.Join(closed, ",")
	for _, row := range []struct {
		args []string
		env  string
		code int
		says []string
	}{
		{code: exitUsage, says: []string{"status", "replace", "FENCELOCK_URL"}},
		{args: []string{"help"}, code: exitOK, says: []string{"replace makes"}},
		{args: []string{"-h"}, code: exitOK, says: []string{"replace makes"}},
		{args: []string{"remove", nodes}, code: exitUsage, says: []string{`no command "remove"`}},
		{args: []string{"status"}, code: exitUsage, says: []string{"replace makes"}},
		{args: []string{"status", nodes, nodes}, code: exitUsage, says: []string{"replace makes"}},
		{args: []string{"status", "-what", nodes}, code: exitUsage, says: []string{"-what"}},
		{args: []string{"status", "redis://" + hidden + "@h"}, code: exitUsage, says: []string{"redlock://"}},
		{args: []string{"replace", "redlock://:" + hidden + "@h1,h2"}, code: exitUsage, says: []string{"3, 5 or 7"}},
		{args: []string{"status", nodes}, code: exitFailed, says: []string{"no list", closed[0], closed[1], closed[2], "connection refused"}},
		{args: []string{"status"}, env: nodes, code: exitFailed, says: []string{"no list", closed[2]}},
		{args: []string{"replace", nodes}, code: exitFailed, says: []string{closed[0], "connection refused", "must answer"}},
	} {
		var out, progress strings.Builder
		code := run(t.Context(), row.args, row.env, &out, &progress)
		said := out.String() + progress.String()
		if code != row.code {
			t.Errorf("%q ends with %d, want %d: %s", row.args, code, row.code, said)
		}
		for _, w := range row.says {
			if !strings.Contains(said, w) {
				t.Errorf("%q says %q, want %q", row.args, said, w)
			}
		}
		if strings.Contains(said, hidden) {
			t.Errorf("%q shows the password: %s", row.args, said)
		}
	}
}
