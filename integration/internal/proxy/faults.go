package proxy

import "time"

// faults are those that last. A change closes changed, which wakes whoever waits
// because of the old ones.
type faults struct {
	delayToServer, delayToClient time.Duration
	dropped, paused              Direction
	changed                      chan struct{}
}

// change applies a change and wakes the waiting. Call with p.mu held.
func (p *Proxy) change(apply func(*faults)) {
	apply(&p.faults)
	close(p.faults.changed)
	p.faults.changed = make(chan struct{})
}

// Delay adds latency, without limiting how much is under way. Lowering it hurries
// what is under way. Zero takes it off.
func (p *Proxy) Delay(dir Direction, d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.change(func(f *faults) {
		if dir&ToServer != 0 {
			f.delayToServer = d
		}
		if dir&ToClient != 0 {
			f.delayToClient = d
		}
	})
}

// Drop swallows every byte that goes one way, and the ends of connections, until
// Heal. Connections stay open; new ones are accepted, but the server does not
// learn of them while bytes to it are swallowed.
func (p *Proxy) Drop(dir Direction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.change(func(f *faults) { f.dropped |= dir })
}

// Blackhole is [Proxy.Drop] both ways: a partition that nobody is told of.
func (p *Proxy) Blackhole() { p.Drop(Both) }

// Pause holds back what goes one way, new connections to the server included,
// until Resume delivers it, late and complete.
func (p *Proxy) Pause(dir Direction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.change(func(f *faults) { f.paused |= dir })
}

// Resume delivers what [Proxy.Pause] has held back.
func (p *Proxy) Resume(dir Direction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.change(func(f *faults) { f.paused &^= dir })
}

// Refuse turns new connections away with "connection refused", until Heal or
// Admit. Those that exist stay. It panics if another process takes the port in
// the moment between two system calls.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.door.listener == nil {
		return
	}
	if err := p.door.refuse(); err != nil {
		panic("proxy: " + err.Error())
	}
}

// Admit ends [Proxy.Refuse].
func (p *Proxy) Admit() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reopen()
}

// reopen is called with p.mu held.
func (p *Proxy) reopen() {
	if p.closed || p.door.listener != nil {
		return
	}
	if err := p.door.reopen(); err != nil {
		panic("proxy: " + err.Error())
	}
	p.running.Go(p.accept(p.door.listener))
}

// Reset cuts all connections now, on both sides, with a TCP reset. What is held
// back on them is lost.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.reset()
	}
}

// Heal ends every fault: it resets the connections from which something was
// swallowed, delivers what is held back, accepts connections again and disarms
// the faults that were still to happen.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.change(func(f *faults) { *f = faults{changed: f.changed} })
	for c := range p.conns {
		if c.lossy {
			c.reset()
		}
	}
	p.armed = nil
	for _, f := range p.held {
		f.release()
		f.answer()
	}
	p.held = nil
	p.reopen()
}
