package servers

import (
	"context"
	"crypto/rand"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

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
	left := deadNetwork(t, docker)
	removeLeftovers(docker)
	if _, err := docker.ContainerInspect(context.Background(), id, client.ContainerInspectOptions{}); err == nil {
		t.Errorf("the container of a crashed run, at %s, is still there", addr)
	}
	if _, err := docker.NetworkInspect(context.Background(), left, client.NetworkInspectOptions{}); err == nil {
		t.Error("the network of a crashed run is still there")
	}
	if !answers(own) {
		t.Error("the container of a run that lives was removed")
	}
}

// deadNetwork makes one that belongs to a process that is not there.
func deadNetwork(t *testing.T, docker *client.Client) string {
	t.Helper()
	labels := ownLabels()
	labels[labelPID] = deadPID
	made, err := docker.NetworkCreate(t.Context(), "fencelock-left-"+strings.ToLower(rand.Text()[:12]), client.NetworkCreateOptions{Labels: labels})
	if err != nil {
		t.Fatal(err)
	}
	return made.ID
}

const deadPID = "99999999"

func TestAbandoned(t *testing.T) {
	mine := func(change map[string]string) map[string]string {
		labels := ownLabels()
		maps.Copy(labels, change)
		return labels
	}
	long := time.Now().Add(-2 * foreignLimit)
	for _, tc := range []struct {
		name    string
		labels  map[string]string
		created time.Time
		want    bool
	}{
		{"ours", mine(nil), time.Now(), false},
		{"ours, old", mine(nil), long, false},
		{"of a dead process", mine(map[string]string{labelPID: deadPID}), time.Now(), true},
		{"of another host", mine(map[string]string{labelHost: "elsewhere", labelPID: deadPID}), time.Now(), false},
		{"of another host, old", mine(map[string]string{labelHost: "elsewhere"}), long, true},
		{"of another namespace", mine(map[string]string{labelNamespace: "pid:[1]", labelPID: deadPID}), time.Now(), false},
		{"of another namespace, old", mine(map[string]string{labelNamespace: "pid:[1]"}), long, true},
	} {
		if got := abandoned(tc.labels, tc.created); got != tc.want {
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
