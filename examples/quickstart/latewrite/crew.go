package latewrite

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// process is a worker's process, as seen from the stage.
type process struct {
	*scene
	name   string
	cmd    *exec.Cmd
	in     io.WriteCloser
	stderr bytes.Buffer
}

// start runs this program once more, as a worker. It ends with ctx.
func (s *scene) start(ctx context.Context, name, url, bank string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{scene: s, name: name, cmd: exec.CommandContext(ctx, self)}
	p.cmd.Env = append(os.Environ(), nameVariable+"="+name, urlVariable+"="+url, bankVariable+"="+bank)
	p.cmd.Stderr = &p.stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	return p, p.cmd.Start()
}

// perform waits until the process ends, and suspends it meanwhile if that is its part.
func (p *process) perform(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- p.cmd.Wait() }()
	ready := p.ready[p.name]
	for {
		select {
		case <-ready:
			ready = nil
			if err := p.suspend(ctx); err != nil {
				return err
			}
		case err := <-ended:
			if err != nil {
				err = fmt.Errorf("%s: %w: %s", p.name, err, bytes.TrimSpace(p.stderr.Bytes()))
			}
			return err
		}
	}
}

// suspend stops the process until another has written, and a little longer. How long
// that takes is the server's business: it lets the next one in when the lease has ended.
func (p *process) suspend(ctx context.Context) error {
	if err := pause(p.cmd.Process); err != nil {
		return err
	}
	p.say(p.name, "IS SUSPENDED: it does nothing, and renews nothing")
	token := p.checker.last()
	for began := time.Now(); p.account.lastToken() <= token && time.Since(began) < p.patience/2 && ctx.Err() == nil; {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(thinking / 2)
	if _, err := fmt.Fprintln(p.in, "go on"); err != nil { // it reads this when it can
		return err
	}
	return resume(p.cmd.Process)
}
