package etcd

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fencelock/fencelock/driver"
)

func writePassword(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestPasswordFile: a password that is changed on the server, while the file has the old one, is a
// passing refusal; with the new one in the file the next login succeeds. Which comes first does not
// matter.
func TestPasswordFile(t *testing.T) {
	for _, first := range []string{"server", "file"} {
		t.Run(first+" first", func(t *testing.T) {
			t.Parallel()
			f, g := serve(t), &gate{}
			g.guard(f)
			file := filepath.Join(t.TempDir(), "password")
			writePassword(t, file, "secret\n")
			b, err := Open(t.Context(), &url.URL{Scheme: "etcd", User: url.User("user"), Host: f.addr, RawQuery: "password_file=" + file}, driver.OpenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			if first == "file" {
				writePassword(t, file, "another")
				if _, err := b.Inspect(t.Context(), "k"); err != nil {
					t.Errorf("Inspect with a token that is good = %v", err)
				}
			} else {
				g.change("another")
			}
			g.forget() // its tokens end when a user's password is changed
			_, err = b.Inspect(t.Context(), "k")
			if !errors.Is(err, driver.ErrUnavailable) || !errors.Is(err, driver.ErrRefused) || !strings.Contains(err.Error(), "password_file=") {
				t.Errorf("Inspect = %v, want a temporary refusal", err)
			}
			if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "another")) {
				t.Errorf("the password is in %q", err)
			}
			g.change("another")
			writePassword(t, file, "another\r\n")
			eventually(t, "the new password is used", func() bool {
				_, err := b.Inspect(t.Context(), "k")
				return err == nil
			})
			writePassword(t, file, "") // half written
			g.forget()
			if _, err := b.Inspect(t.Context(), "k"); !errors.Is(err, driver.ErrUnavailable) || !strings.Contains(err.Error(), "empty") {
				t.Errorf("Inspect with an empty file = %v", err)
			}
		})
	}
}

// TestPasswordFileAtOpen: a password that the server does not take is told at once, as where it is in
// the URL, and so is a file that cannot be read.
func TestPasswordFileAtOpen(t *testing.T) {
	f, g := serve(t), &gate{}
	g.guard(f)
	dir := t.TempDir()
	writePassword(t, dir+"/wrong", "secrets")
	writePassword(t, dir+"/empty", "\n")
	writePassword(t, dir+"/right", "secret")
	for file, word := range map[string]string{"wrong": "invalid user ID or password", "empty": "is empty", "none": "no such file"} {
		_, err := Open(t.Context(), &url.URL{Scheme: "etcd", User: url.User("user"), Host: f.addr, RawQuery: "password_file=" + dir + "/" + file}, driver.OpenOptions{})
		if err == nil || errors.Is(err, driver.ErrUnavailable) || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v, want %q for good", file, err, word)
		}
	}
	for _, user := range []*url.Userinfo{nil, url.UserPassword("user", "secret")} {
		_, err := Open(t.Context(), &url.URL{Scheme: "etcd", User: user, Host: f.addr, RawQuery: "password_file=" + dir + "/right"}, driver.OpenOptions{})
		if err == nil || !strings.Contains(err.Error(), "password") {
			t.Errorf("with %v and a file: %v", user, err)
		}
	}
}
