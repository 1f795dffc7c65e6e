package servers

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"runtime"
	"strconv"
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
	p := pidScope{"machine", "boot 1", "pid:[1]"}
	mine := func(label, value string) map[string]string {
		labels := p.labels(os.Getpid())
		labels[label] = value
		return labels
	}
	young, old := time.Now(), time.Now().Add(-2*foreignLimit)
	for _, tc := range []struct {
		name    string
		labels  map[string]string
		created time.Time
		want    bool
	}{
		{"ours", p.labels(os.Getpid()), young, false},
		{"ours, old", p.labels(os.Getpid()), old, false},
		{"of a dead process", mine(labelPID, deadPID), young, true},
		{"of a process whose number another has got", mine(labelStarted, "1"), young, started(os.Getpid()) != ""},
		{"of another host", mine(labelHost, "elsewhere"), old, true},
		{"of another boot, or a machine of the same name", mine(labelBoot, "boot 2"), old, true},
		{"of another namespace", mine(labelNamespace, "pid:[2]"), old, true},
		{"of an earlier build, without a boot", mine(labelBoot, ""), old, true},
	} {
		if got := p.abandoned(tc.labels, tc.created); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
	for _, label := range []string{labelHost, labelBoot, labelNamespace} {
		labels := mine(label, "another")
		labels[labelPID] = deadPID // which says nothing here
		if p.abandoned(labels, young) {
			t.Errorf("what is of another %s is judged by the number of a process", label)
		}
	}
	// Where a Linux does not tell the namespace, two of them look the same.
	if blind := (pidScope{"machine", "boot 1", ""}); runtime.GOOS == "linux" && blind.abandoned(blind.labels(99999999), young) {
		t.Error("without a namespace it takes the number of a process for its own")
	}
}

// Each of two scopes sweeps its own dead, and nothing of the other's.
func TestSweepOfTwoNamespaces(t *testing.T) {
	one, two := pidScope{"ci", "boot", "pid:[1]"}, pidScope{"ci", "boot", "pid:[2]"}
	dead, _ := strconv.Atoi(deadPID)
	removed := map[string]bool{}
	var all []made
	list := func(name string, p pidScope, pid int) {
		all = append(all, made{p.labels(pid), time.Now(), func(context.Context) error {
			removed[name] = true
			return errors.New(name)
		}})
	}
	list("one lives", one, os.Getpid())
	list("one is dead", one, dead)
	list("two lives", two, os.Getpid())
	list("two is dead", two, dead) // which one cannot know
	for _, tc := range []struct {
		at   pidScope
		want string
	}{{one, "one is dead"}, {two, "two is dead"}} {
		clear(removed)
		errs := tc.at.sweep(t.Context(), all)
		if len(removed) != 1 || !removed[tc.want] || len(errs) != 1 {
			t.Errorf("in %v it removes %v, and reports %v", tc.at, removed, errs)
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
