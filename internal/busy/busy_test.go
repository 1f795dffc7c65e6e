package busy

import (
	"os"
	"os/exec"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

const spin = "FENCELOCK_TEST_SPIN" // makes a process of this program one that wants a processor all the time

func TestMain(m *testing.M) {
	if os.Getenv(spin) != "" {
		_, _ = os.Stdout.WriteString("b")                                 // it has begun
		for end := time.Now().Add(time.Minute); time.Now().Before(end); { // unless it is killed before
		}
	}
	os.Exit(m.Run())
}

func TestSlowness(t *testing.T) {
	quiet := Slowness()
	// Four processes for each processor want it all the time: each gets a share.
	for range 4 * runtime.NumCPU() {
		other := exec.Command(os.Args[0], "-test.run=^$")
		other.Env = append(os.Environ(), spin+"=1")
		out, err := other.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = other.Process.Kill()
			_ = other.Wait()
		})
		if _, err := out.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	busy := Slowness()
	for tries := 0; busy < 1.5 && tries < 20; tries++ { // who has waited for long may run for all of a sample
		busy = max(busy, Slowness())
	}
	t.Logf("before: %.1f, with four busy processes for each processor: %.1f", quiet, busy)
	switch {
	case runtime.GOOS != "linux":
		if busy != 1 {
			t.Errorf("%v where it cannot be measured, want 1", busy)
		}
	case busy < 1.5 || quiet < 1:
		t.Errorf("four processes for each processor make the machine %.1f times as slow, before that it was %.1f", busy, quiet)
	}
}

func TestWatch(t *testing.T) {
	stop := Watch()
	time.Sleep(10 * time.Millisecond)
	if run := stop(); run.Mean() < 1 || run.Worst < run.Mean() {
		t.Errorf("%+v", run)
	}
	if times := Times(); times < 1 || times > 4 {
		t.Errorf("Times() = %d", times)
	}
}

func TestVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if s := Slowness(); s != 1 {
			t.Errorf("in virtual time: %v, want 1", s)
		}
	})
}
