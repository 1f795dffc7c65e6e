package zkbench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/fencelock/fencelock/bench/internal/server"
)

// AddrVariable names the environment variable with the address of a running server.
const AddrVariable = "FENCELOCK_ZOOKEEPER_ADDR"

// classPath is where Debian's package has ZooKeeper.
const classPath = "/etc/zookeeper/conf:/usr/share/java/zookeeper.jar"

// Start uses the server at addr, or starts one when addr is empty. The latter syncs its log to the disk for each write, as
// is its default: it is most of what a lock costs there.
func Start(ctx context.Context, addr string) (*server.Server, error) {
	return server.Start(ctx, addr, command, 30*time.Second, func(ctx context.Context, addr string) (string, error) {
		answer, err := ask(ctx, addr, "srvr")
		if err != nil {
			return "", err
		}
		return version(answer)
	})
}

func command(addr, dir string) (*exec.Cmd, error) {
	java, err := exec.LookPath("java")
	if err == nil {
		_, err = os.Stat(classPath[strings.IndexByte(classPath, ':')+1:])
	}
	if err != nil {
		return nil, fmt.Errorf("there is no ZooKeeper to measure: install Debian's packages zookeeper and default-jre-headless, "+
			"or name a running one by -addr or %s", AddrVariable)
	}
	conf, err := configure(addr, dir)
	return exec.Command(java, "-cp", classPath, "org.apache.zookeeper.server.quorum.QuorumPeerMain", conf), err
}

// configure writes the server's file: its defaults, but for the limits that would keep a thousand clients out.
func configure(addr, dir string) (file string, err error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	lines := []string{
		"tickTime=2000",
		"dataDir=" + filepath.Join(dir, "data"),
		"clientPortAddress=" + host,
		"clientPort=" + port,
		"maxClientCnxns=0",
		"4lw.commands.whitelist=srvr,mntr",
		"admin.enableServer=false",
	}
	file = filepath.Join(dir, "zoo.cfg")
	return file, os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600)
}

func version(answer string) (string, error) {
	_, rest, found := strings.Cut(answer, "Zookeeper version: ")
	if !found {
		return "", errors.New("it is not serving yet")
	}
	return "ZooKeeper " + rest[:strings.IndexAny(rest+"-", "-,\n")], nil
}
