package oldbuild

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"testing"
)

// Process is a program of an earlier state, for one goroutine. It takes an order on a line, and answers with one.
type Process struct {
	orders  io.Writer
	answers *bufio.Scanner
	kill    func()
}

// ErrKilled is the error of an order whose process has ended.
var ErrKilled = errors.New("the process has ended")

// Start starts a program, which is killed at the end of the test.
func Start(t *testing.T, program string, args ...string) *Process {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Stderr = t.Output()
	orders, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	answers, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &Process{orders: orders, answers: bufio.NewScanner(answers), kill: sync.OnceFunc(func() { _ = cmd.Process.Kill() })}
	t.Cleanup(func() {
		p.kill()
		_ = cmd.Wait()
	})
	return p
}

// Kill ends the process. Unlike the other methods it may be called from any goroutine.
func (p *Process) Kill() { p.kill() }

// Order gives an order, and returns the answer.
func (p *Process) Order(order string) (string, error) {
	if _, err := fmt.Fprintln(p.orders, order); err != nil {
		return "", ErrKilled
	}
	return p.Answer()
}

// Answer is the next line that the process writes, which it may do without an order.
func (p *Process) Answer() (string, error) {
	if !p.answers.Scan() {
		return "", ErrKilled
	}
	return p.answers.Text(), nil
}
