package servers

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	dockercontainer "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

func TestCrashLeavesNoProcess(t *testing.T) {
	fakeProgram(t)
	self := os.Getenv("FENCELOCK_REDIS70_PROGRAM")
	// The crashing tests start their server through env, which gives it its role.
	wrapper := t.TempDir() + "/server"
	if err := os.WriteFile(wrapper, []byte("#!/bin/sh\n"+role+"=server exec '"+self+"' \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	addr, dir, ok := strings.Cut(play(t, "crash", "FENCELOCK_REDIS70_PROGRAM="+wrapper), " ")
	if !ok {
		t.Fatal(addr)
	}
	eventually(t, "the server ends and its directory goes", func() bool {
		_, err := os.Stat(dir)
		return os.IsNotExist(err) && Redis70.ping(context.Background(), addr) != nil
	})
}

func TestCrashLeavesContainerToTheNextRun(t *testing.T) {
	docker, err := engine()
	if err != nil {
		t.Logf("nothing to test: %v", err)
		return
	}
	own := Start(t, Redis70)
	said := play(t, "crash")
	addr, id, ok := strings.Cut(said, " ")
	if !ok {
		t.Fatal(said)
	}
	removeLeftovers(docker)
	if _, err := docker.ContainerInspect(context.Background(), id, client.ContainerInspectOptions{}); err == nil {
		t.Errorf("the container of a crashed run, at %s, is still there", addr)
	}
	if !answers(own) {
		t.Error("the container of a run that lives was removed")
	}
}

func TestAbandoned(t *testing.T) {
	mine := func(change map[string]string) dockercontainer.Summary {
		labels := ownLabels()
		for k, v := range change {
			labels[k] = v
		}
		return dockercontainer.Summary{Labels: labels, Created: time.Now().Unix()}
	}
	old := mine(map[string]string{labelHost: "elsewhere"})
	old.Created = time.Now().Add(-2 * foreignLimit).Unix()
	for _, tc := range []struct {
		name string
		c    dockercontainer.Summary
		want bool
	}{
		{"ours", mine(nil), false},
		{"of a dead process", mine(map[string]string{labelPID: "99999999"}), true},
		{"of another host", mine(map[string]string{labelHost: "elsewhere", labelPID: "99999999"}), false},
		{"of another host, old", old, true},
	} {
		if got := abandoned(tc.c); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}
