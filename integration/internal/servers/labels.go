package servers

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/moby/moby/client"
)

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
