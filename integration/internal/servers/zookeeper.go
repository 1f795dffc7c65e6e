package servers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// zookeeper makes a Kind of one of its releases.
func zookeeper(name, variable, image, own, release string) Kind {
	return Kind{
		name: name, product: "ZooKeeper", variable: variable, image: image, own: own,
		program: "zkServer.sh", cure: "put zkServer.sh on PATH (Debian: apt-get install default-jre-headless libzookeeper-java)",
		release: release, ports: ports{plain: 2181, tls: 2281, peer: 2888, election: 3888},
		versionArgs: []string{"version"}, another: debianZooKeeper,
		setup: zooKeeperSetup, ping: zooKeeperPing, askVersion: zooKeeperVersion,
		askStanding: zooKeeperStanding, askMetrics: zooKeeperMetrics,
	}
}

var (
	// ZooKeeper38 is the oldest ZooKeeper that is supported.
	ZooKeeper38 = zookeeper("ZooKeeper 3.8", "ZOOKEEPER38", "zookeeper:3.8.4", "fencelock/zookeeper-debian:bookworm", "3.8.")
	// ZooKeeper is the current ZooKeeper. As a process it is the one there is, as long
	// as it is supported.
	ZooKeeper = zookeeper("ZooKeeper", "ZOOKEEPER", "zookeeper:3.9.4", "fencelock/zookeeper-debian:trixie", "3.8+")
)

// ZooKeepers are the servers that backend/zookeeper supports.
func ZooKeepers() []Kind { return newest(allZooKeepers()) }

func allZooKeepers() []Kind { return []Kind{ZooKeeper38, ZooKeeper} }

// zooKeeperFlags are the JVM's. An address that has changed with a restart is asked
// for again, and a container node that is empty goes at the next look, which is
// frequent so that tests meet it. Nobody needs a line in the log for each question
// whether it serves.
const zooKeeperFlags = "-Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData " +
	"-Dsun.net.inetaddr.ttl=0 -Dsun.net.inetaddr.negative.ttl=0 -Dznode.container.checkIntervalMs=1000 " +
	"-Dorg.slf4j.simpleLogger.log.org.apache.zookeeper.server.NIOServerCnxn=warn"

// zooKeeperSetup makes a server whose sessions can be as short as 0.4 s, two ticks.
func zooKeeperSetup(l layout, o options) setup {
	config := []string{
		"dataDir=" + Dir, "tickTime=200", "initLimit=50", "syncLimit=10",
		"maxSessionTimeout=60000", "maxClientCnxns=0", "cnxTimeout=1000",
		"4lw.commands.whitelist=*", "admin.enableServer=false",
		fmt.Sprintf("clientPort=%d", l.plain), "clientPortAddress=" + l.host,
	}
	if o.tls != nil {
		config = append(
			config, fmt.Sprintf("secureClientPort=%d", l.tls), "secureClientPortAddress="+l.host,
			"serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory", "ssl.clientAuth=need",
			"ssl.keyStore.type=PEM", "ssl.keyStore.location="+Dir+"/keystore.pem",
			"ssl.trustStore.type=PEM", "ssl.trustStore.location="+Dir+"/ca.pem",
		)
	}
	files := map[string][]byte{}
	if len(l.members) > 1 {
		for i, m := range l.members {
			config = append(config, fmt.Sprintf("server.%d=%s:%d:%d", i+1, m.host, m.peer, m.election))
		}
		files["myid"] = []byte(strconv.Itoa(l.self+1) + "\n")
	}
	all := strings.Join(append(config, o.args...), "\n") + "\n"
	files["zoo.cfg"] = []byte(strings.ReplaceAll(all, Dir, l.dir))
	return setup{
		args:  []string{"start-foreground", Dir + "/zoo.cfg"},
		env:   map[string]string{"SERVER_JVMFLAGS": zooKeeperFlags, "JMXDISABLE": "true"},
		files: files,
	}
}

// zooKeeperPing is content with a server that serves: one without a quorum says
// that it does not.
func zooKeeperPing(ctx context.Context, addr string) error {
	_, err := zooKeeperServes(ctx, addr)
	return err
}

func zooKeeperVersion(ctx context.Context, addr string) (string, error) {
	answer, err := zooKeeperAsk(ctx, addr, "srvr")
	if err != nil {
		return "", err
	}
	return parseVersion(answer)
}

// zooKeeperStanding takes the epoch, with which each leader begins, for the term: it is
// the upper half of what the server has last seen.
func zooKeeperStanding(ctx context.Context, addr string) (standing, error) {
	fields, err := zooKeeperServes(ctx, addr)
	if err != nil {
		return standing{}, err
	}
	zxid, err := strconv.ParseUint(fields["Zxid"], 0, 64)
	return standing{leads: fields["Mode"] == "leader", term: zxid >> 32}, err
}

func zooKeeperServes(ctx context.Context, addr string) (map[string]string, error) {
	answer, err := zooKeeperAsk(ctx, addr, "srvr")
	if err != nil {
		return nil, err
	}
	fields := map[string]string{}
	for line := range strings.Lines(answer) {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = strings.TrimSpace(value)
	}
	if fields["Mode"] == "" {
		return nil, fmt.Errorf("srvr: %q", strings.TrimSpace(answer))
	}
	return fields, nil
}

func zooKeeperMetrics(ctx context.Context, addr string) (map[string]float64, error) {
	answer, err := zooKeeperAsk(ctx, addr, "mntr")
	return parseNumbers(answer, "\t"), err
}

// zooKeeperAsk sends one of the four-letter words on a connection of its own, which
// the server closes after its answer.
func zooKeeperAsk(ctx context.Context, addr, word string) (string, error) {
	return askServer(ctx, addr, word, func(r *bufio.Reader) (string, error) {
		answer, err := io.ReadAll(r)
		if err == nil && len(answer) == 0 {
			err = errors.New("no answer to " + word)
		}
		return string(answer), err
	})
}
