package raftlocal

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestBackupAndRestore(t *testing.T) {
	c := newCluster(t, Options{}, "a", "b", "c")
	b := c.client()
	held := take(t, b, request("held", "owner", false))
	path := filepath.Join(t.TempDir(), "backup")
	backup := func() string {
		t.Helper()
		var s strings.Builder
		if err := c.admin().Backup(within(t, 10*time.Second), &s); err != nil {
			t.Fatal(err)
		}
		return s.String()
	}
	saved := backup()
	after := takesOne(t, b, "granted after the backup", "o")
	for _, n := range c.members {
		n.kill()
	}

	// A directory that processes share.
	dir := filepath.Join(t.TempDir(), "restored")
	if err := Restore(&Options{Dir: dir}, strings.NewReader(saved), time.Now()); err != nil {
		t.Fatal(err)
	}
	alone := use(t, Options{Dir: dir})
	if s, err := alone.Inspect(t.Context(), "held"); err != nil || !s.Held() || s.Holders[0].AttemptID != "owner" || s.Holders[0].Token != held.Token {
		t.Errorf("the lock that was held: %+v, %v", s, err)
	}
	if token := takesOne(t, alone, "k", "o"); token <= after || token < uint64(time.Now().Add(-time.Hour).UnixMicro()) {
		t.Errorf("token %d, and %d was granted after the backup", token, after)
	}
	if err := Restore(&Options{Dir: dir}, strings.NewReader(saved), time.Now()); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("restoring into a directory that is in use: %v", err)
	}

	// A cluster of three, restored at different times, restored again from the same backup, and begun again.
	for _, what := range []string{"restored", "restored from the same backup again", "begun again"} {
		again := &cluster{t: t, base: c.base, members: map[string]*node{}}
		again.base.Peers = peersNamed(t, "x", "y", "z")
		for _, p := range again.base.Peers {
			conf := again.base
			conf.ID, conf.Dir = p.Name, filepath.Join(t.TempDir(), p.Name)
			if what != "begun again" {
				if err := Restore(&conf, strings.NewReader(saved), time.Now()); err != nil {
					t.Fatal(err)
				}
			}
			again.start(conf)
		}
		client := again.client()
		for range 50 {
			token := takesOne(t, client, "k", "o")
			if token <= after {
				t.Fatalf("%s: token %d after %d", what, token, after)
			}
			after = token
		}
		for _, n := range again.members {
			n.kill()
		}
	}
	for what, text := range map[string]string{"cut": saved[:len(saved)-1], "changed": "x" + saved[1:], "none": ""} {
		if err := Restore(&Options{Dir: path + what}, strings.NewReader(text), time.Now()); !errors.Is(err, errBackup) {
			t.Errorf("a backup that is %s: %v", what, err)
		}
	}
}
