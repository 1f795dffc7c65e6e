package servers

import (
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/moby/moby/client"
)

// Labels tell whose a container or a network is. The namespace is that of process
// ids: several containers can share an engine, and each has a process of the same
// number.
const (
	labelHost      = "fencelock.owner.host"
	labelNamespace = "fencelock.owner.pidns"
	labelPID       = "fencelock.owner.pid"
)

func ownLabels() map[string]string {
	host, _ := os.Hostname()
	return map[string]string{labelHost: host, labelNamespace: pidNamespace(), labelPID: strconv.Itoa(os.Getpid())}
}

// ownerLabelled selects what tests have made.
func ownerLabelled() client.Filters { return make(client.Filters).Add("label", labelPID) }

// pidNamespace is "" where there is no such thing.
func pidNamespace() string {
	name, _ := os.Readlink("/proc/self/ns/pid")
	return name
}

// foreignLimit is the age at which what another host's tests have made, or those of
// another namespace, is taken for left over: nobody here can tell whether its owner
// lives.
const foreignLimit = 6 * time.Hour

func abandoned(labels map[string]string, created time.Time) bool {
	host, err := os.Hostname()
	if err != nil || labels[labelHost] != host || labels[labelNamespace] != pidNamespace() {
		return time.Since(created) > foreignLimit
	}
	pid, err := strconv.Atoi(labels[labelPID])
	return err != nil || syscall.Kill(pid, 0) == syscall.ESRCH
}
