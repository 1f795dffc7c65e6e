// Package suspendtest has a machine that a test can suspend, in virtual time.
package suspendtest

import (
	"errors"
	"sync"
	"time"

	"github.com/fencelock/fencelock/internal/suspend"
)

// Machine is a machine that is suspended and woken up by a test.
type Machine struct {
	// Preempted, if it is not nil, runs whenever the clock is read, before that.
	Preempted func()

	began time.Time

	mu     sync.Mutex
	asleep time.Duration
	bells  map[*bell]struct{}
	made   int
}

// New returns a machine that has been suspended for a time already.
func New(asleep time.Duration) *Machine {
	return &Machine{began: time.Now(), asleep: asleep, bells: make(map[*bell]struct{})}
}

// Clock returns a clock of the machine.
func (m *Machine) Clock() *suspend.Clock { return suspend.New(m.Source()) }

// Source is what a clock of the machine is made of.
func (m *Machine) Source() suspend.Source { return suspend.Source{Boot: m.boot, Alarm: m.alarm} }

func (m *Machine) boot() time.Duration {
	if m.Preempted != nil {
		m.Preempted()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Since(m.began) + m.asleep
}

// Sleep suspends the machine for a time, as the kernel counts it. The monotonic clock
// stands still, and nobody is told yet.
func (m *Machine) Sleep(counted time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asleep += counted
}

// Ring tells that the wall clock has made a jump: after a Sleep, or because somebody has
// set it.
func (m *Machine) Ring() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for b := range m.bells {
		select {
		case b.rung <- struct{}{}:
		default: // it will be heard
		}
	}
}

// Alarms says how many alarms there are, and how many there were.
func (m *Machine) Alarms() (now, ever int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.bells), m.made
}

func (m *Machine) alarm() (suspend.Alarm, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := &bell{machine: m, rung: make(chan struct{}, 1), closed: make(chan struct{})}
	m.bells[b] = struct{}{}
	m.made++
	return b, nil
}

type bell struct {
	machine      *Machine
	rung, closed chan struct{}
}

func (b *bell) Wait() (bool, error) {
	select {
	case <-b.rung:
		return true, nil
	case <-b.closed:
		return false, errors.New("closed")
	}
}

func (b *bell) Close() {
	b.machine.mu.Lock()
	defer b.machine.mu.Unlock()
	delete(b.machine.bells, b)
	close(b.closed)
}
