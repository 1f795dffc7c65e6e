package servers

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/moby/moby/client"
)

// made is a container or a network that tests have made: these, or others.
type made struct {
	labels  map[string]string
	created time.Time
	remove  func(context.Context) error
}

// removeLeftovers removes the containers and networks of tests that crashed. Those
// of tests that run at the same time stay. It is a courtesy, so that it reports what
// it cannot do, and goes on.
func removeLeftovers(docker *client.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), faultLimit)
	defer cancel()
	// Containers first: a network in use cannot be removed.
	for _, list := range []func(context.Context, *client.Client) ([]made, error){allContainers, allNetworks} {
		all, err := list(ctx, docker)
		errs := here().sweep(ctx, all)
		if err != nil {
			errs = append(errs, err)
		}
		for _, err := range errs {
			fmt.Fprintf(os.Stderr, "servers: cannot remove what a crash has left over: %v\n", err)
		}
	}
}

// sweep removes what is abandoned, as far as can be told in this scope.
func (p pidScope) sweep(ctx context.Context, all []made) (errs []error) {
	for _, m := range all {
		if p.abandoned(m.labels, m.created) {
			if err := m.remove(ctx); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errs
}

func allContainers(ctx context.Context, docker *client.Client) (all []made, err error) {
	found, err := docker.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: ownerLabelled()})
	for _, c := range found.Items {
		all = append(all, made{c.Labels, time.Unix(c.Created, 0), (&container{docker: docker, id: c.ID}).remove})
	}
	return all, err
}

func allNetworks(ctx context.Context, docker *client.Client) (all []made, err error) {
	found, err := docker.NetworkList(ctx, client.NetworkListOptions{Filters: ownerLabelled()})
	for _, n := range found.Items {
		all = append(all, made{n.Labels, n.Created, (&clusterNetwork{docker: docker, id: n.ID}).remove})
	}
	return all, err
}

// Labels tell which process has made a container or a network. Several machines can share
// an engine, and several containers, each with a process of the same number. So a number
// means something only beside the machine, its boot and the namespace of process ids; and
// as long as no other process has got it since, which the time of its start tells.
const (
	labelHost      = "fencelock.owner.host"
	labelBoot      = "fencelock.owner.boot" // the namespace in which a system starts has the same number everywhere
	labelNamespace = "fencelock.owner.pidns"
	labelPID       = "fencelock.owner.pid"
	labelStarted   = "fencelock.owner.started"
)

// pidScope is where numbers of processes can be compared.
type pidScope struct{ host, boot, namespace string }

// here is that of this process.
var here = sync.OnceValue(func() pidScope {
	host, _ := os.Hostname()
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	namespace, _ := os.Readlink("/proc/self/ns/pid")
	return pidScope{host, strings.TrimSpace(string(boot)), namespace}
})

// known is false where two of them would look the same. There are no namespaces but on Linux.
func (p pidScope) known() bool {
	return p.host != "" && (runtime.GOOS != "linux" || p.boot != "" && p.namespace != "")
}

func (p pidScope) labels(pid int) map[string]string {
	return map[string]string{
		labelHost: p.host, labelBoot: p.boot, labelNamespace: p.namespace,
		labelPID: strconv.Itoa(pid), labelStarted: started(pid),
	}
}

func ownLabels() map[string]string { return here().labels(os.Getpid()) }

// ownerLabelled selects what tests have made.
func ownerLabelled() client.Filters { return make(client.Filters).Add("label", labelPID) }

// foreignLimit is the age at which what was made in another scope is taken for left over:
// nobody here can tell whether its owner lives. No run takes so long.
const foreignLimit = 6 * time.Hour

// abandoned reports whether the owner of what has these labels is gone.
func (p pidScope) abandoned(labels map[string]string, created time.Time) bool {
	if !p.known() || p != (pidScope{labels[labelHost], labels[labelBoot], labels[labelNamespace]}) {
		return time.Since(created) > foreignLimit
	}
	pid, err := strconv.Atoi(labels[labelPID])
	return err != nil || syscall.Kill(pid, 0) == syscall.ESRCH || started(pid) != labels[labelStarted]
}

// started is the time of a process's start, as the system counts, or "" where it does not
// tell: the 22nd field of its line, of which the second is a name with anything in it.
func started(pid int) string {
	line, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	fields := strings.Fields(string(line[strings.LastIndexByte(string(line), ')')+1:]))
	if len(fields) < 20 {
		return ""
	}
	return fields[19]
}

// watchdog is a process that outlives a crash of the tests, and then kills their
// server and removes its directory. It learns of our end, however it comes, from
// the pipe that we hold open.
type watchdog struct {
	cmd  *exec.Cmd
	pipe io.WriteCloser
}

// Each line names the process to kill in the end; an empty one, none.
const watchScript = `while read -r line; do pid=$line; done
[ -z "$pid" ] || kill -9 "$pid"
rm -rf "$1"`

func newWatchdog(dir string) (*watchdog, error) {
	w := &watchdog{cmd: exec.Command("sh", "-c", watchScript, "fencelock-watchdog", dir)}
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var err error
	if w.pipe, err = w.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	return w, w.cmd.Start()
}

// over names the process to watch over; 0 is none.
func (w *watchdog) over(pid int) error {
	line := "\n"
	if pid != 0 {
		line = fmt.Sprintf("%d\n", pid)
	}
	_, err := io.WriteString(w.pipe, line)
	return err
}

// end makes it do its duty now.
func (w *watchdog) end() error {
	_ = w.pipe.Close()
	return w.cmd.Wait()
}
