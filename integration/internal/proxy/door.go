package proxy

import (
	"fmt"
	"net"
	"os"
	"syscall"
)

// door is the listening port. Shut, it answers "connection refused" as the port
// of a dead server does, and still belongs to us: a socket that is bound but does
// not listen keeps others from taking it.
type door struct {
	addr     string
	listener *net.TCPListener // nil while shut
	keeper   *os.File         // the bound socket, while shut
}

// open listens on a new port.
func (d *door) open() error {
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	d.listener, d.addr = l, l.Addr().String()
	return nil
}

// refuse stops listening and keeps the port.
func (d *door) refuse() error {
	port := d.listener.Addr().(*net.TCPAddr).Port
	_ = d.listener.Close() // its only error is "closed already"
	d.listener = nil
	fd, err := socket()
	if err != nil {
		return fmt.Errorf("keep port %d: %w", port, err)
	}
	d.keeper = os.NewFile(uintptr(fd), "proxy port")
	err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if err == nil {
		err = syscall.Bind(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	}
	if err != nil {
		return fmt.Errorf("keep port %d: %w", port, err)
	}
	return nil
}

// reopen listens again on the port that refuse has kept.
func (d *door) reopen() error {
	keeper := d.keeper
	d.keeper = nil
	defer keeper.Close()
	if err := syscall.Listen(int(keeper.Fd()), syscall.SOMAXCONN); err != nil {
		return fmt.Errorf("listen again on %s: %w", d.addr, err)
	}
	l, err := net.FileListener(keeper)
	if err != nil {
		return fmt.Errorf("listen again on %s: %w", d.addr, err)
	}
	d.listener = l.(*net.TCPListener)
	return nil
}

// shut gives the port up.
func (d *door) shut() {
	if d.listener != nil {
		_ = d.listener.Close()
		d.listener = nil
	}
	if d.keeper != nil {
		_ = d.keeper.Close()
		d.keeper = nil
	}
}

// socket makes a TCP socket that no child process inherits.
func socket() (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return -1, err
	}
	syscall.CloseOnExec(fd)
	return fd, nil
}
